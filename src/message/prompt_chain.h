/* SPDX-License-Identifier: MIT */
/* What a prompt begins with, as hashes: two prompts begin with the same bytes as far as their points are equal. */
#ifndef HOSTLER_MESSAGE_PROMPT_CHAIN_H
#define HOSTLER_MESSAGE_PROMPT_CHAIN_H

#include <stddef.h>
#include <stdint.h>

/* XXH3 with 128 bits, seeded. */
struct prompt_hash {
    uint64_t low, high;
};

/* Of all of the prompt's bytes before `at`. */
struct prompt_point {
    uint64_t at;
    struct prompt_hash hash;
};

struct prompt_chain {
    struct prompt_hash
        head; /* of the members that stand before the messages in the rendered prompt */
    struct prompt_point *point; /* in order; owned */
    size_t n;
    uint64_t bytes; /* of the whole prompt */
};

#endif
