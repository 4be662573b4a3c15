/* SPDX-License-Identifier: MIT */
/*
 * Prompt caches on disk: states of engines' slots, each with the chain of hashes of the prompt that it was
 * computed for. A folder of its own holds them, and one daemon at a time uses it (a second one gets -EBUSY).
 *
 * - The loop never waits: what touches the disk runs in libuv's pool, one read for a waiting request (lend) and one
 *   other job at a time. The index is read in the pool, too: until then nothing is found.
 * - Nothing is lent that is not byte for byte what was taken: size and checksum are verified when this daemon lends a
 *   file for the first time, and again when its inode, size or times changed.
 * - Whatever moment the process or the machine ends at, the next start finds whole prompts, and removes the rest.
 * - Bounded: in bytes, in files (PROMPT_STORE_FILES_MAX), in points of all chains. What saves the least time a byte goes
 *   first (prompt_index.h defines it).
 * - A disk that is full, read-only, gone: logged once, in prompt_store_status(), and tried again after a minute.
 *
 * Files are named by a number: a pointer to a struct prompt_file is valid until the loop's next turn or the next call that
 * may change the store, a number always. Times are Unix time in seconds.
 */
#ifndef HOSTLER_SERVER_PROMPT_STORE_H
#define HOSTLER_SERVER_PROMPT_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/error.h"
#include "message/prompt_chain.h"
#include "server/prompt_index.h"

struct prompt_store;

/*
 * `dir` is made if it is missing, and must be empty or a prompt cache's. `max_bytes` 0: the smaller of 8 GiB and a
 * tenth of what the disk would have free without the store, asked again with each file that is taken. Making and
 * locking the folder blocks. 0; -EBUSY: another daemon uses it; -ENOTEMPTY: it holds other things; or another errno;
 * each with a text.
 */
int prompt_store_open(struct prompt_store **out, uv_loop_t *loop, const char *dir,
                      uint64_t max_bytes, struct error *err) __attribute__((warn_unused_result));
/* Ends what is queued, writes what files were used for, and calls `closed` on the loop. Callbacks that are still due are called
 * before. Folders of engines and what is lent stay usable until then. */
void prompt_store_close(struct prompt_store *s, void (*closed)(void *ctx), void *ctx);

/* For prompt_scan_create(): chains of the store's files were made with it. Random, kept in the folder. */
uint64_t prompt_store_seed(const struct prompt_store *s);

/*
 * A new empty folder (0700), on the store's file system, for one engine to save its slots to and restore them from.
 * NULL: there is none now (the disk; or so many engines started within milliseconds that none is ready). Absolute where
 * the store's is; the caller frees it, after prompt_store_remove_folder(), which removes it with the files in it.
 */
char *prompt_store_create_folder(struct prompt_store *s);
void prompt_store_remove_folder(struct prompt_store *s, const char *path);

/*
 * The name of a new file for an engine to save a slot to, PROMPT_ENGINE_FILE bytes; also in a folder that users gave their engines. Such a
 * folder is cleaned of what an earlier daemon with this store, which was killed, left half written there: prompt_store_tidy(). Other
 * daemons' files and users' own are not touched.
 */
void prompt_store_name_file(const struct prompt_store *s, char *name);
void prompt_store_tidy(struct prompt_store *s, const char *path);

/* Whether it is worth saving: the disk takes files at present, and a file of `bytes` (0: not known) that saves
 * `gain_ms` would not be the first to go. O(files), some µs. */
bool prompt_store_wants(const struct prompt_store *s, uint64_t bytes, double gain_ms);

/*
 * The file of `identity` whose prompt has the most bytes in common with `chain`, up to a point of both, and among those
 * the smallest. `*common`: how many. NULL: none has any, or the disk does not answer. O(log files), some µs.
 */
const struct prompt_file *prompt_store_find(const struct prompt_store *s, const char *identity,
                                            const struct prompt_chain *chain, uint64_t *common);
/* Whether there is any file of it. O(log files). */
bool prompt_store_has(const struct prompt_store *s, const char *identity);
/* Whether there is any file of the model. O(1). */
bool prompt_store_has_model(const struct prompt_store *s, const char *model);
/* NULL: it was dropped. */
const struct prompt_file *prompt_store_get(const struct prompt_store *s, uint64_t number);

/* What is known of a file that an engine has written. All is copied. */
struct prompt_taking {
    const char *path;
    const char *identity, *model;
    const struct prompt_chain *chain;
    uint64_t tokens;
    uint64_t bytes;  /* that the engine says it wrote; 0: unknown */
    double token_ms; /* what computing one took */
};

/*
 * Takes the file at `path` over; it is gone from there in any case. Files of the same identity whose chain is a prefix
 * of the new one's are removed, and then what saves the least, until the bounds hold. `done` (may be NULL) is called
 * on the loop, never from within this call: `rc` 0 and the file's number; or -EBADMSG: it has not the said size, or was still
 * written; -EFBIG: more than the bound; -EINVAL: no tokens, no points or too many; -EDQUOT: others save more, it was the
 * first to go; another errno of the disk.
 */
typedef void prompt_taken_fn(int rc, uint64_t number, void *ctx);
void prompt_store_take(struct prompt_store *s, const struct prompt_taking *t, prompt_taken_fn *done,
                       void *ctx);

/*
 * Makes the file `number` readable at `path`, whose folder exists: as a link or, on another file system, as a copy.
 * `done` as above: 0; -ENOENT, -EBADMSG: it is gone or not what was taken, and was dropped; other errors leave
 * it in the store. The borrower only reads it, and gives it back by prompt_store_discard().
 */
void prompt_store_lend(struct prompt_store *s, uint64_t number, const char *path,
                       void (*done)(int rc, void *ctx), void *ctx);
/* Removes the file at `path`, lent or saved in vain. A lent file that nobody wrote to is not verified again. */
void prompt_store_discard(struct prompt_store *s, const char *path);
/* No callback gets `ctx` any more. What is lent then is discarded; what is taken is taken. */
void prompt_store_forget(struct prompt_store *s, const void *ctx);

/* A lent file was of use; it may have been dropped meanwhile. */
void prompt_store_used(struct prompt_store *s, uint64_t number, double saved_ms);
/* It is of no use, for the reason `why`, which is logged; NULL: nothing is logged. */
void prompt_store_drop(struct prompt_store *s, uint64_t number, const char *why);
/* Drops those of a model (NULL: all), with those on their way into the store. `done` (may be NULL): they are gone from the disk; rc: the
 * first error. They are not found any more when this returns. */
void prompt_store_clear(struct prompt_store *s, const char *model,
                        void (*done)(int rc, uint64_t files, uint64_t bytes, void *ctx), void *ctx);

struct prompt_store_status {
    const char *dir; /* borrowed */
    bool loading;    /* the index is being read */
    uint64_t files, bytes, max_bytes;
    uint64_t hits; /* since the folder was made, also by files that are gone */
    double saved_ms;
    int error;       /* negative errno of the last use of the disk; 0: it succeeded */
    uint64_t failed; /* uses of the disk that failed, since the start */
    uint64_t broken; /* files that were dropped because they were not whole, since the start */
};
struct prompt_store_status prompt_store_status(const struct prompt_store *s);
/* For lists: from 0 on, in no order that matters; NULL after the last. */
const struct prompt_file *prompt_store_at(const struct prompt_store *s, size_t index);

#endif
