/* SPDX-License-Identifier: MIT */
/*
 * Which saved prompts there are: found by the longest common prefix, and by what is worth the least. In memory; knows
 * no disk. Owns its files.
 *
 * Chains have this property: when two prompts begin with the same bytes, they have the same points within these, and a
 * point's hash stands for all bytes before it. So files, sorted by identity, head and then points like words by
 * letters, have those with the longest common prefix next to where a chain would stand.
 *
 * What a file is worth: tokens × token_ms / (1 + age / 1 h) / bytes: the time that computing it took, for each byte it
 * occupies; half of that an hour after its last use, a third after two. Age is never negative.
 */
#ifndef HOSTLER_SERVER_PROMPT_INDEX_H
#define HOSTLER_SERVER_PROMPT_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/prompt_file.h"

struct prompt_index {
    struct prompt_file **file; /* sorted as said above */
    size_t n, cap;
    uint64_t bytes;  /* of all data */
    uint64_t points; /* of all chains */
};

/* Frees the files, too. */
void prompt_index_finish(struct prompt_index *x);
/* Takes `f` over; its number is not in use. O(n), some µs for 10,000. */
void prompt_index_add(struct prompt_index *x, struct prompt_file *f);
/* Takes it out; the caller frees it. NULL: there is none. O(n). */
struct prompt_file *prompt_index_remove(struct prompt_index *x, uint64_t number);
struct prompt_file *prompt_index_get(const struct prompt_index *x, uint64_t number);
/* See prompt_store_find(). */
struct prompt_file *prompt_index_find(const struct prompt_index *x, const char *identity,
                                      const struct prompt_chain *chain, uint64_t *common);
/* Another file of the same identity whose chain is a prefix of that of `f`, or equal to it; NULL. */
struct prompt_file *prompt_index_superseded(const struct prompt_index *x,
                                            const struct prompt_file *f);
/* The one that is worth the least at `now` (Unix time); NULL: it is empty. O(n). */
struct prompt_file *prompt_index_least(const struct prompt_index *x, double now);

/* What a file is worth, ms a byte: `gain_ms` to compute it, `age` s since its last use. */
double prompt_worth(double gain_ms, double age, uint64_t bytes);

#endif
