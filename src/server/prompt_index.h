/* SPDX-License-Identifier: MIT */
/*
 * Which saved prompts there are: found by the longest common prefix, and by what is worth the least. In memory; knows
 * no disk. Owns its files.
 *
 * Prompts that begin with the same bytes have the same points within these (message/prompt_chain.h), and a point's hash
 * stands for all bytes before it. So when files are sorted by identity, head and then points, as words are by letters,
 * those with the longest common prefix stand next to where a chain would stand. Only chains of different coarseness, of
 * prompts with thousands of points, are compared one by one.
 *
 * What a file is worth: tokens × token_ms / (1 + age / 1 h) / bytes. That is the time that computing it took, for each
 * byte that it occupies; half of it an hour after its last use, a third after two. Age is never negative.
 */
#ifndef HOSTLER_SERVER_PROMPT_INDEX_H
#define HOSTLER_SERVER_PROMPT_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/prompt_file.h"

struct prompt_index {
    struct prompt_file **file;   /* sorted as said above */
    struct prompt_file *numbers; /* the same, by number */
    struct prompt_model *models; /* how many files each model has */
    size_t n, cap;
    size_t n_coarse; /* files whose chain is coarse */
    uint64_t bytes;  /* of all data */
    uint64_t points; /* of all chains */
};

/* Frees the files, too. */
void prompt_index_finish(struct prompt_index *x);
/* Takes `f` over; its number is not in use. O(n), some µs for 10,000. */
void prompt_index_add(struct prompt_index *x, struct prompt_file *f);
/* The caller frees `f` with prompt_file_destroy(). O(log n), and some µs for 10,000. */
void prompt_index_remove(struct prompt_index *x, struct prompt_file *f);
/* Takes out those of a model (NULL: all) in one pass; `out` has room for `n`. How many: the caller frees them. */
size_t prompt_index_remove_model(struct prompt_index *x, const char *model,
                                 struct prompt_file **out);
/* NULL: there is none. O(1). */
struct prompt_file *prompt_index_get(const struct prompt_index *x, uint64_t number);
/* Whether there is any file of it. O(log n). */
bool prompt_index_has(const struct prompt_index *x, const char *identity);
/* Whether there is any file of the model. O(1). */
bool prompt_index_has_model(const struct prompt_index *x, const char *model);
/* The file of `identity` that has the most bytes in common with `chain`, among those the smallest one. `*common`: how many bytes.
 * NULL: none has any. O(log n). */
struct prompt_file *prompt_index_find(const struct prompt_index *x, const char *identity,
                                      const struct prompt_chain *chain, uint64_t *common);
/* An older file (of a lower number) of the same identity whose chain is a prefix of that of `f`, or equal to it; NULL. */
struct prompt_file *prompt_index_superseded(const struct prompt_index *x,
                                            const struct prompt_file *f);
/* The one that is worth the least at `now` (Unix time), and whether a new one of `gain_ms` and `bytes` would be worth
 * more than enough others to have room for `excess` bytes. O(n). */
struct prompt_file *prompt_index_least(const struct prompt_index *x, double now);
bool prompt_index_would_keep(const struct prompt_index *x, double gain_ms, uint64_t bytes,
                             uint64_t excess, double now);

/* ms a byte: see above. `age` s since its last use. */
double prompt_worth(double gain_ms, double age, uint64_t bytes);

#endif
