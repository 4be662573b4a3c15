/* SPDX-License-Identifier: MIT */
/*
 * The folder of saved prompts (0700), which one daemon at a time uses:
 *
 *   lock                      locked as long as the daemon lives
 *   seed                      of the chains' hashes; its presence says that the folder is a prompt cache's
 *   NUMBER.data, NUMBER.json  a prompt each (server/prompt_file.h)
 *   uses.json                 how often each was of use, and all together
 *   engines/NAME/             a folder for each engine, where it saves and from where it restores
 *
 * All but references touches the disk; errors are negative errnos. Nothing is removed that does not have one of these names.
 */
#ifndef HOSTLER_SERVER_PROMPT_FOLDER_H
#define HOSTLER_SERVER_PROMPT_FOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "server/prompt_index.h"

struct prompt_folder {
    char *path;
    int fd, lock, engines; /* descriptors: the folder, its lock, the folder `engines` */
    uint64_t seed;
    uint32_t life; /* random; the names of engines' folders begin with it */
    uint32_t made; /* such folders */
    unsigned refs; /* counted on the loop */
};

/* Makes it where it is missing, and locks it. `seed` 0: the folder's, or a new one. Otherwise what was made with another
 * is removed. -EBUSY: another daemon uses it; -ENOTEMPTY: it has no seed but other files. The caller has one reference. */
int prompt_folder_open(struct prompt_folder **out, const char *path, uint64_t seed,
                       struct error *err) __attribute__((warn_unused_result));
struct prompt_folder *prompt_folder_ref(struct prompt_folder *f);
/* The last one unlocks it. */
void prompt_folder_unref(struct prompt_folder *f);
/* Whether its path still leads to it. */
bool prompt_folder_is_there(const struct prompt_folder *f);

/* How often a prompt was of use; of all: number 0. */
struct prompt_use {
    uint64_t number;
    double used; /* Unix time, s */
    uint64_t hits;
    double saved_ms;
};

/* Reads which prompts there are into the empty `x`, and into `total` what all prompts ever saved; removes what others left behind:
 * halves, temporary files, superseded prompts, engines' folders. */
int prompt_folder_load(const struct prompt_folder *f, struct prompt_index *x,
                       struct prompt_use *total) __attribute__((warn_unused_result));
/* `use` has `n` prompts, and the total first. */
int prompt_folder_write_uses(const struct prompt_folder *f, const struct prompt_use *use, size_t n)
    __attribute__((warn_unused_result));
/* What the file system has free for this user; PROMPT_FOLDER_UNKNOWN. */
#define PROMPT_FOLDER_UNKNOWN UINT64_MAX
uint64_t prompt_folder_free_bytes(const struct prompt_folder *f);

/* `hostler-STORE-LIFE-RANDOM`, in hexadecimal digits: of the store, this daemon, and the file; PROMPT_ENGINE_FILE bytes. */
void prompt_folder_name_file(const struct prompt_folder *f, char *name);
/* Removes such files of this store, but of another daemon's life, from any folder. */
void prompt_folder_tidy(const struct prompt_folder *f, const char *path);

/* A new folder for an engine; from one thread at a time. The caller frees `*path`. */
int prompt_folder_make_for_engine(struct prompt_folder *f, char **path)
    __attribute__((warn_unused_result));
/* By such a path: makes it again, in a folder that was made anew; or removes it and its files. */
int prompt_folder_make_again(const struct prompt_folder *f, const char *path);
void prompt_folder_remove_for_engine(const struct prompt_folder *f, const char *path);

#endif
