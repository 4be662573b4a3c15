/* SPDX-License-Identifier: MIT */
/*
 * What a models folder holds, as plain records: names and stat() only, no file is opened.
 *
 * The rules are llama.cpp's (common/preset.cpp, docs/presets.md), with an
 * answer where it leaves the choice to the order in which the file system lists names:
 * - `x.gguf` is model `x`. Every `.gguf` in the name is dropped for the id, as llama.cpp does.
 * - A subfolder is one model named after it: its first shard, else its first other file. Folders in
 *   it are not looked into. First is always by name, in byte order.
 * - `mmproj` anywhere in a name, or a draft prefix in front, makes a companion, never a model. Only
 * a subfolder's companions belong to a model: the first of each kind.
 * - Where `x.gguf` and folder `x` both exist the folder wins, since it may hold companions.
 * - Of a split model only the first shard is a model; it keeps its name (`x-00001-of-00003`).
 * - Symbolic links are followed, hidden files count, `.GGUF` does not. `._*` never counts: macOS
 *   leaves such stubs beside every file it copies.
 */
#ifndef HOSTLER_CATALOG_FOLDER_H
#define HOSTLER_CATALOG_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/error.h"

enum model_source { MODEL_SOURCE_FOLDER, MODEL_SOURCE_CACHE, MODEL_SOURCE_PRESET };

#define FOLDER_SETTLE_S 2

struct folder_model {
    char *id;
    enum model_source source;
    char *path;   /* of the first shard, also when that is missing; NULL: the engine fetches it */
    char *mmproj; /* NULL when there is none */
    char *draft;  /* NULL when there is none */
    char
        *problem; /* why it cannot run (a shard is missing), for a person; NULL when all is there */
    bool missing; /* no file of it is known: `problem` says so */
    bool hidden;  /* it is not listed (dedup-cache-models), but can be used */
    bool first_in_repo; /* in the cache: the file system lists it before others of its repository */
    unsigned shards;    /* files of the model itself; 1 when it is not split */
    uint64_t size;      /* bytes, all shards */
    time_t mtime;       /* of the shard that changed last */
    time_t changed;     /* of whichever of all its files changed last */
    /* Differ when the file does (device, inode, size or time of change); 0 when there is none. */
    uint64_t stamp, mmproj_stamp, draft_stamp;
};

struct folder {
    struct folder_model *v; /* in byte order of id, ids unique */
    size_t n;
};

/*
 * Lists `dir`. Paths begin with `dir` as given. 0, or a negative errno when `dir` itself cannot be
 * read. What else may not be read or is odd is left out with a warning in the log; a temporary
 * error (file_error_passes()) fails the reading. Blocking: one stat()
 * for each file and one open() for each subfolder.
 */
int folder_read(struct folder *f, const char *dir, struct error *err)
    __attribute__((warn_unused_result));
void folder_finish(struct folder *f);
/* Adds those of `more` whose id is not there yet; empties `more`. */
void folder_merge(struct folder *f, struct folder *more);
/* NULL when there is none. Binary search. */
struct folder_model *folder_find(const struct folder *f, const char *id);
/* Adds `m`, whose id must not be there yet, at its place; its strings are the folder's then. */
struct folder_model *folder_insert(struct folder *f, struct folder_model *m);
/* Fills `to`, which was empty, with copies. */
void folder_copy(struct folder *to, const struct folder *from);
/* Copies all but the id, which `to` keeps. `to` has nothing to free but that. */
void folder_model_copy(struct folder_model *to, const struct folder_model *from);
/* Whether a file of it changed less than FOLDER_SETTLE_S seconds before `now`: it may still be
 * being written. */
bool folder_model_is_fresh(const struct folder_model *m, time_t now);

/* For sources of other kinds (cache.h): appends a model, which takes over `id`; the rest is the
 * caller's to fill until the next call. */
struct folder_model *folder_add(struct folder *f, char *id);
/* Sorts by `compare`, which goes by id first, and drops all but the first of one id, with a
 * warning. */
void folder_sort(struct folder *f, int (*compare)(const void *, const void *));

/*
 * The record of the model file `path`, without companions; a split model is given by its first
 * shard. 0, or a negative errno: it or another shard is missing, or it is not the first.
 */
int folder_read_file(struct folder_model *m, const char *id, const char *path, struct error *err)
    __attribute__((warn_unused_result));
void folder_model_finish(struct folder_model *m);

/* The stamp of one file; 0 when it cannot be looked at. */
uint64_t folder_stamp(const char *path);

/* The path of shard `no` (from 1) of `count`, given the first one's. The caller frees it. */
char *folder_shard_path(const char *first, unsigned no, unsigned count);

#endif
