/* SPDX-License-Identifier: MIT */
#include "engine/card.h"

#include <string.h>

int card_compare_pci(const char *a, const char *b)
{
    /* All parts have a fixed width except the domain, which may have more than four digits. */
    size_t x = strlen(a), y = strlen(b);
    return x == y ? strcmp(a, b) : (x > y) - (x < y);
}

bool card_is_like(const struct card *a, const struct card *b)
{
    return a->vendor == b->vendor && a->total == b->total && strcmp(a->product, b->product) == 0;
}

struct card *card_list_add(struct card_list *l, const struct card *card)
{
    if (l->n == CARDS_MAX)
        return NULL;
    l->card[l->n] = *card;
    return &l->card[l->n++];
}
