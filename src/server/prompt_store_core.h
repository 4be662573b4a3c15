/* SPDX-License-Identifier: MIT */
/* What the files of the store share: prompt_store.c, prompt_take.c, prompt_lend.c. Nobody else includes it. */
#ifndef HOSTLER_SERVER_PROMPT_STORE_CORE_H
#define HOSTLER_SERVER_PROMPT_STORE_CORE_H

#include "base/strv.h"
#include "server/pool_lane.h"
#include "server/prompt_folder.h"
#include "server/prompt_store.h"

#define PROMPT_SPARE_FOLDERS 8

/* A callback that is due, of a take or a lend. `ctx` NULL and `forgotten`: nobody waits for it any more. */
struct prompt_callback {
    void *ctx;
    bool forgotten;
    TAILQ_ENTRY(prompt_callback) link;
};

/* A link in an engine's folder that was not given back yet. */
struct prompt_lent {
    char *path;
    uint64_t number;
};

struct prompt_store {
    uv_loop_t *loop;
    struct prompt_folder *folder; /* another object once it was made anew */
    bool loading;                 /* the index is being read */
    bool lost;                    /* the folder was removed, and is not made anew yet */
    struct prompt_index index;
    struct prompt_use total; /* of all prompts there ever were */
    bool uses_changed;       /* since uses.json was written */
    uint64_t next_number;
    uint64_t max_bytes;
    bool max_is_given;

    struct pool_lane lends;  /* a request waits for these */
    uint64_t lending;        /* bytes of the one that runs */
    struct pool_lane others; /* everything else */
    TAILQ_HEAD(prompt_callbacks, prompt_callback) callbacks;
    uv_timer_t timer; /* uses.json, and a lost folder */

    struct strv engines; /* folders of engines, paths */
    char *spare[PROMPT_SPARE_FOLDERS];
    size_t n_spare;
    bool making_spares;
    struct prompt_lent *lent;
    size_t n_lent;

    int error; /* negative errno; 0: the disk was usable the last time */
    uint64_t retry_at;
    uint64_t failed, broken;

    bool closing;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

/* How a use of the disk went: keeps and logs what is new. What says nothing about the disk is passed over. */
void prompt_store_note(struct prompt_store *s, int rc);
/* `folder`, which a job used, is not there any more. */
void prompt_store_note_lost(struct prompt_store *s, const struct prompt_folder *folder);
/* From the index and from the disk. */
void prompt_store_remove(struct prompt_store *s, struct prompt_file *f);
/* Drops a file that is not what was taken, and says why. */
void prompt_store_drop_broken(struct prompt_store *s, struct prompt_file *f, const char *why);
/* How many bytes are too many with `more` than there are. */
uint64_t prompt_store_excess(const struct prompt_store *s, uint64_t more);
/* Removes what is worth the least until the bounds hold. */
void prompt_store_make_room(struct prompt_store *s);
/* The default bound, from what the disk has free beside all files and `new_bytes`; PROMPT_FOLDER_UNKNOWN leaves it. */
void prompt_store_adapt_max(struct prompt_store *s, uint64_t free_bytes, uint64_t new_bytes);

void prompt_store_await(struct prompt_store *s, struct prompt_callback *c, void *ctx);
/* Whether somebody waits for it; it is off the list then. */
bool prompt_store_is_awaited(struct prompt_store *s, struct prompt_callback *c);

#endif
