/* SPDX-License-Identifier: MIT */
#include "server/conversations.h"

#include <stdlib.h>

#include "base/memory.h"

static void conversation_free(struct conversation *one)
{
    prompt_chain_finish(&one->chain);
    free(one);
}

static void forget(struct conversations *c, struct conversation *one)
{
    TAILQ_REMOVE(&c->list, one, link);
    c->n--;
    conversation_free(one);
}

void conversations_init(struct conversations *c)
{
    *c = (struct conversations){0};
    TAILQ_INIT(&c->list);
}

void conversations_clear(struct conversations *c)
{
    struct conversation *one, *next;
    for (one = TAILQ_FIRST(&c->list); one; one = next) {
        next = TAILQ_NEXT(one, link);
        conversation_free(one);
    }
    TAILQ_INIT(&c->list);
    c->n = 0;
}

/* One of them is the other's beginning, or the same. */
static bool is_same_conversation(const struct conversation *one, const struct prompt_chain *chain)
{
    uint64_t common = prompt_chain_common(&one->chain, chain);
    return common && (common == one->chain.bytes || common == chain->bytes);
}

struct conversation *conversations_note(struct conversations *c, struct prompt_chain *chain,
                                        uint64_t prompt, uint64_t total)
{
    struct conversation *one = mem_zalloc(sizeof *one), *old, *next;
    one->number = ++c->last_number;
    one->prompt = prompt;
    one->total = total;
    for (old = TAILQ_FIRST(&c->list); old; old = next) {
        next = TAILQ_NEXT(old, link);
        if (!is_same_conversation(old, chain))
            continue;
        /* What the store has of it is this one's beginning, up to the end of the shorter prompt. */
        if (old->saved > one->saved) {
            one->saved = old->saved;
            one->bytes = old->bytes;
        }
        forget(c, old);
    }
    if (total && one->saved > total)
        one->saved = total;
    if (c->n >= CONVERSATIONS_MAX)
        forget(c, TAILQ_LAST(&c->list, conversation_list));
    one->chain = *chain;
    *chain = (struct prompt_chain){0};
    TAILQ_INSERT_HEAD(&c->list, one, link);
    c->n++;
    return one;
}

struct conversation *conversations_find(const struct conversations *c,
                                        const struct prompt_chain *chain, uint64_t *common)
{
    struct conversation *one, *best = NULL;
    *common = 0;
    TAILQ_FOREACH (one, &c->list, link) {
        uint64_t bytes = prompt_chain_common(&one->chain, chain);
        if (bytes <= *common)
            continue;
        *common = bytes;
        best = one;
    }
    return best;
}

unsigned conversations_rank(const struct conversations *c, const struct conversation *conversation)
{
    const struct conversation *one;
    unsigned rank = 0;
    TAILQ_FOREACH (one, &c->list, link) {
        if (one == conversation)
            return rank;
        rank++;
    }
    return rank;
}

/* The last token of an answer is not in the slot; one that ends an answer may not be, either. */
static bool may_hold(const struct engine_slot *slot, const struct conversation *one)
{
    return one->total && slot->tokens >= one->prompt && slot->tokens <= one->total;
}

static bool is_latest(const struct engine_slot *slot, const struct engine_slot *slots, int n)
{
    for (int i = 0; i < n; i++)
        if (slots[i].task > slot->task)
            return false;
    return true;
}

/* Whether its slot holds as many tokens as this one does. */
static bool is_as_long(const struct conversation *one, const struct engine_slot *slot)
{
    return one->total && one->total == slot->tokens + 1;
}

/* Among those as long as it, how many began later. */
static unsigned count_later(const struct conversations *c, const struct conversation *than,
                            const struct engine_slot *slot)
{
    const struct conversation *one;
    unsigned n = 0;
    TAILQ_FOREACH (one, &c->list, link)
        n += one != than && is_as_long(one, slot) && one->order > than->order;
    return n;
}

/* Conversations of one length are told apart by the order in which they began, which is that of their slots' tasks. */
static struct conversation *find_as_long(const struct conversations *c,
                                         const struct engine_slot *slot,
                                         const struct engine_slot *slots, int n)
{
    struct conversation *one;
    unsigned later = 0;
    for (int i = 0; i < n; i++)
        later += !slots[i].busy && slots[i].tokens == slot->tokens && slots[i].task > slot->task;
    TAILQ_FOREACH (one, &c->list, link)
        if (is_as_long(one, slot) && count_later(c, one, slot) == later)
            return one;
    return NULL;
}

struct conversation *conversations_of_slot(const struct conversations *c,
                                           const struct engine_slot *slot,
                                           const struct engine_slot *slots, int n)
{
    struct conversation *one, *first = TAILQ_FIRST(&c->list), *found;
    if (!slot->tokens || slot->busy)
        return NULL;
    if ((found = find_as_long(c, slot, slots, n)))
        return found;
    TAILQ_FOREACH (one, &c->list, link)
        if (may_hold(slot, one) && !is_as_long(one, slot))
            return one;
    /* Its answer did not say how many tokens it has; then it can only be the last one. */
    if (first && !first->total && is_latest(slot, slots, n))
        return first;
    return NULL;
}

struct conversation *conversations_get(const struct conversations *c, uint64_t number)
{
    struct conversation *one;
    TAILQ_FOREACH (one, &c->list, link)
        if (one->number == number)
            return one;
    return NULL;
}

uint64_t conversations_tokens_before(const struct conversations *c,
                                     const struct conversation *conversation)
{
    const struct conversation *one;
    uint64_t tokens = 0;
    TAILQ_FOREACH (one, &c->list, link) {
        if (one == conversation)
            break;
        tokens += one->total;
    }
    return tokens;
}
