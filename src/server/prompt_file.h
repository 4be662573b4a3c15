/* SPDX-License-Identifier: MIT */
/*
 * A saved prompt: what is known of it, and its two files in the store's folder, `NUMBER.data` (what the engine wrote) and
 * `NUMBER.json` (everything else); NUMBER has 16 hexadecimal digits. The second is written last and removed first,
 * so one without the other is a leftover. Neither changes afterwards: how often a prompt was of use is elsewhere
 * (server/prompt_folder.h).
 *
 * Functions with a descriptor touch the disk; `folder` is the store's. Errors are negative errnos.
 */
#ifndef HOSTLER_SERVER_PROMPT_FILE_H
#define HOSTLER_SERVER_PROMPT_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "message/prompt_chain.h"

/* By which the data is known not to have changed since it was verified. All zero: it was not verified. */
struct prompt_stamp {
    uint64_t device, inode, size;
    struct timespec modified, changed;
};

#define PROMPT_ENGINE_FILE                                                                         \
    43 /* bytes of the name of a file that an engine writes, with the final zero */

struct prompt_file {
    uint64_t number;
    char *
        identity; /* of engine build, model bytes and arguments; only an engine of the same may read it */
    char *model; /* its id, for people */
    struct prompt_chain chain;
    uint64_t tokens, bytes;      /* bytes of data */
    double token_ms;             /* what computing one token took */
    double created, used;        /* Unix time, s; `used` is never in the future */
    struct prompt_hash checksum; /* XXH3 with 128 bits of the data, unseeded */
    uint64_t hits;               /* how often it was of use, */
    double saved_ms;             /* and what that saved in sum */
    struct prompt_stamp verified;
    UT_hash_handle by_number; /* of server/prompt_index.h */
};

/* Copies all three. NULL: out of memory. */
struct prompt_file *prompt_file_create(const char *identity, const char *model,
                                       const struct prompt_chain *chain);
void prompt_file_destroy(struct prompt_file *f);

/* The number in the name of one of its files (`…json.next` is one that was being written), or false. */
enum prompt_part { PROMPT_DATA, PROMPT_INDEX, PROMPT_NEXT };
bool prompt_file_parse_name(const char *name, uint64_t *number, enum prompt_part *part);
#define PROMPT_NAME_SIZE 32
const char *prompt_file_name(char *out, uint64_t number, enum prompt_part part);

/* Writes `NUMBER.json` whole or not at all; the caller synchronises the folder. */
int prompt_file_write(int folder, const struct prompt_file *f) __attribute__((warn_unused_result));
/* -EBADMSG: it is not what prompt_file_write() wrote, or by another version. */
int prompt_file_read(int folder, uint64_t number, struct prompt_file **out)
    __attribute__((warn_unused_result));
/* Removes both files. What is not there is no error. */
int prompt_file_remove(int folder, uint64_t number);

/* Opens `NUMBER.data` for reading: a descriptor, with what fstat() says. */
int prompt_file_open_data(int folder, uint64_t number, struct stat *st)
    __attribute__((warn_unused_result));
/* Reads all that `from` has, at most `size` bytes and one, into a checksum and, unless `to` is -1, into that
 * file. -EBADMSG: there are not `size` bytes. */
int prompt_data_read(int from, uint64_t size, int to, struct prompt_hash *checksum)
    __attribute__((warn_unused_result));

struct prompt_stamp prompt_stamp_of(const struct stat *st);
bool prompt_stamp_equal(const struct prompt_stamp *a, const struct prompt_stamp *b);

#endif
