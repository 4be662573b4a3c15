/* SPDX-License-Identifier: MIT */
/*
 * What it takes to compute, save and restore a model's prompts, as its engines showed, and what follows: whether a prompt
 * is worth to be saved or restored. Pure.
 *
 *     at a stop      the engine is about to go, and others may wait for its place:
 *                    gain > 2 × (save + restore), and at least PROMPT_GAIN_MIN_MS
 *     while it runs  it is saved again after each turn, for the case of a crash, and since engines may drop idle prompts:
 *                    gain > 4 × (save + restore), and at least 5 times that minimum
 *     restored       gain > 2 × restore, and at least that minimum
 */
#ifndef HOSTLER_SERVER_PROMPT_COSTS_H
#define HOSTLER_SERVER_PROMPT_COSTS_H

#include <stdbool.h>
#include <stdint.h>

#define PROMPT_GAIN_MIN_MS 50

/* Zeroed: nothing is known. Each: ms (or bytes) a token, the later figures weigh more. */
struct prompt_costs {
    double token, save, restore;
    double bytes;
};

enum prompt_moment { PROMPT_AT_STOP, PROMPT_WHILE_RUNNING };

/* An answer's prompt: `computed` of its tokens took `ms`. Too few tokens tell nothing. */
void prompt_costs_note_computed(struct prompt_costs *c, uint64_t computed, double ms);
void prompt_costs_note_saved(struct prompt_costs *c, uint64_t tokens, uint64_t bytes, double ms);
void prompt_costs_note_restored(struct prompt_costs *c, uint64_t tokens, double ms);
/* The figure kept a request from being restored. It may be that of a disk that was slow once, so it counts less each time. */
void prompt_costs_doubt(struct prompt_costs *c);
/* What saving `tokens` will take, in ms. */
double prompt_costs_save(const struct prompt_costs *c, uint64_t tokens);
double prompt_costs_restore(const struct prompt_costs *c, uint64_t tokens);
/* `tokens` are in the slot, and the store has `saved` of them already. */
bool prompt_costs_worth_saving(const struct prompt_costs *c, uint64_t tokens, uint64_t saved,
                               enum prompt_moment moment);
/* `gain_ms`: what computing `tokens` would take. */
bool prompt_costs_worth_restoring(const struct prompt_costs *c, uint64_t tokens, double gain_ms);

#endif
