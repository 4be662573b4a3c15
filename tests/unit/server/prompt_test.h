/* SPDX-License-Identifier: MIT */
/* Chains of prompts for tests, one point a message. */
#ifndef HOSTLER_TESTS_PROMPT_TEST_H
#define HOSTLER_TESTS_PROMPT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <xxhash.h>

#include "server/prompt_index.h"

#define MESSAGE 100 /* bytes of each */
#define CHAIN_POINTS 64

struct test_chain {
    struct prompt_point point[CHAIN_POINTS];
    struct prompt_chain chain;
};

/* The prompt whose messages are the letters of `text`; a first digit is its head. Points into `c`. */
static inline const struct prompt_chain *chain_of(struct test_chain *c, const char *text)
{
    *c = (struct test_chain){.chain = {.point = c->point}};
    if (*text >= '0' && *text <= '9')
        c->chain.head.low = (uint64_t)*text++;
    for (size_t n = 1; n <= strlen(text) && n <= CHAIN_POINTS; n++) {
        XXH128_hash_t h = XXH3_128bits(text, n);
        c->point[n - 1] = (struct prompt_point){n * MESSAGE, {h.low64, h.high64}};
        c->chain.n = n;
        c->chain.bytes = n * MESSAGE;
    }
    return &c->chain;
}

#endif
