/* SPDX-License-Identifier: MIT */
/*
 * A saved prompt: what is known of it, and its two files in the store's folder, `NUMBER.data` (what the engine wrote) and
 * `NUMBER.json` (everything else); NUMBER has 16 hexadecimal digits. The second is written last and removed first,
 * so that one without the other is a leftover. All functions with a `folder` (descriptor) touch the disk.
 */
#ifndef HOSTLER_SERVER_PROMPT_FILE_H
#define HOSTLER_SERVER_PROMPT_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "message/prompt_chain.h"

/* Of one chain: 1.5 MiB; a prompt of 100 MB has some 25,000. */
#define PROMPT_POINTS_MAX 65536

/* By which a file is known not to have changed since it was verified. All zero: it was not. */
struct prompt_stamp {
    uint64_t device, inode, size;
    struct timespec modified, changed;
};

struct prompt_file {
    uint64_t number; /* of its files */
    char *
        identity; /* of engine build, model bytes and arguments; only an engine of the same may read it */
    char *model; /* its id, for people */
    struct prompt_chain chain;
    uint64_t tokens;
    uint64_t bytes;       /* of the data */
    double token_ms;      /* what computing one token took */
    double created, used; /* Unix time, s; never in the future */
    uint64_t hits;
    double saved_ms;             /* by those hits, in sum */
    struct prompt_hash checksum; /* XXH3 of the data, unseeded */
    /* The store's own. */
    struct prompt_stamp verified;
    bool changed; /* since `NUMBER.json` was written */
};

#endif
