/* SPDX-License-Identifier: MIT */
/*
 * A prompt as a chain of hashes, by which two prompts are compared without their texts: how many bytes they begin with in common.
 *
 * What is hashed is a canonical form of the prompt's JSON (message/prompt_scan.h). A point is the hash of all bytes before it, and where
 * points lie depends on nothing but these bytes. So the chains of two prompts have the same points as far as the prompts are the same,
 * and none in common after that: the end of what is common is found by binary search.
 *
 * Points lie at the end of each element (a message) and wherever a multiple of PROMPT_STEP bytes has been hashed. When a prompt has
 * more than PROMPT_POINTS_MAX, every other point goes: those remain whose hash ends in `coarse` zero bits, one in 2^coarse. This depends on
 * the point alone, so the points of a coarser chain are among those of a finer one of the same prompt. The end of a prompt of messages
 * always remains.
 */
#ifndef HOSTLER_MESSAGE_PROMPT_CHAIN_H
#define HOSTLER_MESSAGE_PROMPT_CHAIN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROMPT_STEP 4096        /* bytes */
#define PROMPT_POINTS_MAX 8192U /* 192 KiB */

/* XXH3, 128 bits, with the store's seed. */
struct prompt_hash {
    uint64_t low, high;
};

struct prompt_point {
    uint64_t at; /* bytes of the prompt before it */
    struct prompt_hash hash;
};

struct prompt_chain {
    struct prompt_hash
        head; /* of what the model reads before the messages: tools, system, … (message/prompt_scan.h) */
    struct prompt_point *point; /* in order; the last is at `bytes` */
    size_t n;
    uint64_t bytes;  /* of the prompt's canonical form; of a text, up to the last point */
    unsigned coarse; /* see above */
};

void prompt_chain_finish(struct prompt_chain *c);
/* 0 or -ENOMEM; `out` is empty then. */
int prompt_chain_copy(struct prompt_chain *out, const struct prompt_chain *c)
    __attribute__((warn_unused_result));
bool prompt_chain_equal(const struct prompt_chain *a, const struct prompt_chain *b);
/* How many bytes of the prompt both begin with, as far as their points tell: at most PROMPT_STEP too few unless one is coarse. 0
 * where the heads differ. O(log² n). */
uint64_t prompt_chain_common(const struct prompt_chain *a, const struct prompt_chain *b);

/* For whoever builds a chain, from an empty one: adds a point, whose `at` is not less than the last one's; then the prompt's end.
 * `cap` is the room at `point`, 0 at first. 0 or -ENOMEM. */
int prompt_chain_add(struct prompt_chain *c, size_t *cap, struct prompt_point point)
    __attribute__((warn_unused_result));
int prompt_chain_end(struct prompt_chain *c, size_t *cap, struct prompt_point point)
    __attribute__((warn_unused_result));

/* A string, base64 of binary numbers: 32 characters a point. NULL: no memory. The caller owns it. */
json_t *prompt_chain_to_json(const struct prompt_chain *c);
/* 0, -EINVAL (to_json() does not make such a value) or -ENOMEM; `out` is empty then. */
int prompt_chain_from_json(struct prompt_chain *out, const json_t *json)
    __attribute__((warn_unused_result));

#endif
