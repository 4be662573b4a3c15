/* SPDX-License-Identifier: MIT */
/*
 * The conversations that one engine process has answered in, the latest first: how each one's prompt begins, how many tokens
 * its slot held at the end of the answer, and how many of these the store has. By the number of tokens, and the order of tasks, it is
 * known which slot holds which conversation, since an engine does not tell more.
 *
 * A request whose prompt begins with all of an earlier one's continues it. A wrong guess costs time, never a wrong answer:
 * the engine compares tokens.
 */
#ifndef HOSTLER_SERVER_CONVERSATIONS_H
#define HOSTLER_SERVER_CONVERSATIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "engine/slots.h"
#include "message/prompt_chain.h"

#define CONVERSATIONS_MAX 64 /* of an engine; the one that was used the longest ago is forgotten */

struct conversation {
    uint64_t number; /* of all of this list's */
    struct prompt_chain chain;
    uint64_t prompt,
        total;      /* tokens of the prompt, and with those of the answer; total 0: not known */
    uint64_t order; /* of its last request among the engine's: a later one is greater */
    uint64_t saved; /* of its tokens, those that the store has */
    uint64_t bytes; /* of the file that has them; 0: there is none */
    bool saving;    /* they are on their way there */
    TAILQ_ENTRY(conversation) link;
};

struct conversations {
    TAILQ_HEAD(conversation_list, conversation) list; /* the latest first */
    unsigned n;
    uint64_t last_number;
};

void conversations_init(struct conversations *c);
/* Forgets all. Safe for a zeroed one. */
void conversations_clear(struct conversations *c);
/* An answer has ended; `chain` is taken over. It replaces the conversation that it continues, or that was asked the same again.
 * Returns its record. */
struct conversation *conversations_note(struct conversations *c, struct prompt_chain *chain,
                                        uint64_t prompt, uint64_t total);
/* Of those that begin as `chain` does, the one with the most bytes in common: `*common`. NULL: none. */
struct conversation *conversations_find(const struct conversations *c,
                                        const struct prompt_chain *chain, uint64_t *common);
/* NULL: it is not there any more. */
struct conversation *conversations_get(const struct conversations *c, uint64_t number);
/* How many conversations were used after it, and their tokens. */
unsigned conversations_rank(const struct conversations *c, const struct conversation *conversation);
uint64_t conversations_tokens_before(const struct conversations *c,
                                     const struct conversation *conversation);
/* The one that the slot holds; NULL: not known. `slots`: all of the engine's. */
struct conversation *conversations_of_slot(const struct conversations *c,
                                           const struct engine_slot *slot,
                                           const struct engine_slot *slots, int n);

#endif
