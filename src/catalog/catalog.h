/* SPDX-License-Identifier: MIT */
/*
 * The models that can be served, by id. What the sources (folder.h, cache.h, presets) list is given
 * to catalog_update(); the headers are then read in libuv's thread pool, a few at a time, each file
 * once as long as its size and time of change stay the same. A model is in the table from the
 * update on; its header comes later.
 *
 * The strings of a model never change while it exists (a thread may be reading them): what changed
 * on disk is another model. Everything here is for the loop's thread.
 */
#ifndef HOSTLER_CATALOG_CATALOG_H
#define HOSTLER_CATALOG_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <uv.h>

#include "base/error.h"
#include "base/strv.h"
#include "catalog/folder.h"
#include "catalog/gguf.h"

enum model_header {
    MODEL_HEADER_NONE,    /* there is no file yet: the engine fetches it when it is loaded */
    MODEL_HEADER_PENDING, /* not read yet */
    MODEL_HEADER_READ,
    MODEL_HEADER_BROKEN, /* `problem` says why */
};

struct catalog_model {
    char *id;
    struct strv aliases;
    enum model_source source;
    char *path;   /* the GGUF file; of a split model its first shard; NULL: see MODEL_HEADER_NONE */
    char *mmproj; /* NULL when there is none */
    char *draft;  /* NULL when there is none */
    unsigned shards; /* 1 when not split; the others' paths: folder_shard_path() */
    uint64_t size;   /* bytes on disk, all shards, without mmproj and draft */
    time_t created;  /* the file's time of change; of shards the latest */
    uint64_t
        stamp; /* of its files' identity: another one when a file is replaced or written to; 0 without `path` */
    enum model_header header;
    /* Valid when READ. Of a split model the first shard's, but with the tensors of all of them. */
    struct gguf_info info;
    struct gguf_info *mmproj_info; /* of `mmproj`; NULL without one, and until it is READ */
    struct gguf_info *draft_info;  /* of `draft`, likewise; NULL also where it cannot be read */
    char *problem;                 /* when BROKEN: why, for a person */
    bool missing; /* BROKEN, since no file of it is known: there is nothing to load */
    bool hidden;  /* not listed, but usable; may change while it is in the table */
    bool removed; /* no longer in the table; kept until catalog_model_release() */
    void *owner;  /* the server's record of it; the catalog does not touch it */
};

struct catalog;

struct catalog_events {
    /* A model came (its header is PENDING), its header was read or turned out broken (once for each
     * model unless it is removed before; within the scan when nothing has to be read for it), or it
     * has just left the table. On `removed`, the owner calls catalog_model_release() when it no
     * longer needs it, now or later. Any of them may be NULL; without `removed` nobody releases.
     * `added` and `removed` must not change the catalog but by catalog_add_alias() and
     * catalog_model_release(). */
    void (*added)(struct catalog_model *model, void *ctx);
    void (*header)(struct catalog_model *model, void *ctx);
    void (*removed)(struct catalog_model *model, void *ctx);
};

/* `events` is copied. Never NULL. */
struct catalog *catalog_create(uv_loop_t *loop, const struct catalog_events *events, void *ctx);
/* Cancels header reads; `closed` (may be NULL) is called on the loop when the catalog is freed,
 * models included (those already removed and not released too). No other event comes from here on.
 */
void catalog_close(struct catalog *c, void (*closed)(void *ctx), void *ctx);

/*
 * Makes the table hold what `models` lists: adds what is new, drops what is gone, leaves the rest
 * untouched; a model whose file, mmproj or draft changed is dropped and added anew, keeping the
 * headers of those of its files that did not. Takes what it needs out of `models`, which is in order of id; the
 * caller finishes it. O(models): two comparisons of an id each.
 *
 * `patient`: a file that changed within the last seconds may still be being written, so it is left
 * as the table has it. Returns how many were left so: another update is wanted soon.
 */
size_t catalog_update(struct catalog *c, struct folder *models, bool patient);

/* Another name for `model`, as long as it is in the table. -EEXIST when that is another model's
 * alias, or any model's id; naming it again is 0. An id that comes later goes before the alias. */
int catalog_add_alias(struct catalog *c, struct catalog_model *model, const char *alias,
                      struct error *err) __attribute__((warn_unused_result));
/* Takes all of its aliases away. */
void catalog_clear_aliases(struct catalog *c, struct catalog_model *model);

/* By id, or else by alias, or else by the normal form (base/model_name.h) that only one model's names have;
 * NULL when there is none. O(1). */
struct catalog_model *catalog_find(const struct catalog *c, const char *name);
size_t catalog_count(const struct catalog *c);
/* In order of id; NULL after the last. Indices shift when models come or go. */
struct catalog_model *catalog_at(const struct catalog *c, size_t index);
/* Of the first model whose id comes after `id`, which needs not be there. */
size_t catalog_index_after(const struct catalog *c, const char *id);
/* The id or alias nearest to `wanted`, for "did you mean"; NULL when none is near. Owned by `c`. */
const char *catalog_nearest(const struct catalog *c, const char *wanted);
/* Its header, if it has still to be read, is read before those of other models. */
void catalog_read_next(struct catalog *c, struct catalog_model *model);
/* The owner of a removed model is done with it; it is freed. */
void catalog_model_release(struct catalog *c, struct catalog_model *model);

/* `preset`, `models_dir`, `cache`: as in a list entry's `source`. */
const char *model_source_name(enum model_source source);

#endif
