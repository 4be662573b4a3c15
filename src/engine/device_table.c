/* SPDX-License-Identifier: MIT */
#include "engine/device_table.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

#define GIB ((double)(1u << 30))

/* --- which card is which */

static bool is_same_card(const struct card *a, const struct card *b)
{
    if (a->vendor != b->vendor || a->instance != b->instance)
        return false;
    if (*a->uuid && *b->uuid)
        return strcmp(a->uuid, b->uuid) == 0;
    return strcmp(a->pci, b->pci) == 0 && (!a->instance || a->number == b->number);
}

static bool is_equal(const struct card *a, const struct card *b)
{
    return a->vendor == b->vendor && a->instance == b->instance &&
           a->partitioned == b->partitioned && a->device == b->device && a->total == b->total &&
           strcmp(a->uuid, b->uuid) == 0 && strcmp(a->pci, b->pci) == 0 &&
           strcmp(a->product, b->product) == 0;
}

static bool contains(const struct card_list *l, const struct card *card)
{
    for (size_t i = 0; i < l->n; i++)
        if (is_equal(&l->card[i], card))
            return true;
    return false;
}

/* In whatever order: that of a driver may change. */
static bool are_equal(const struct card_list *a, const struct card_list *b)
{
    for (size_t i = 0; i < a->n; i++)
        if (!contains(b, &a->card[i]))
            return false;
    return a->n == b->n;
}

/* --- states */

void device_table_init(struct device_table *t)
{
    *t = (struct device_table){.n = 1, .device[0].name = "host"};
}

static void log_state(const struct device *d, enum device_state before)
{
    switch (d->state) {
    case DEVICE_ANSWERS:
        log_info(before == DEVICE_GONE ? "%s is back" : "%s answers again", d->name);
        return;
    case DEVICE_SILENT:
        log_warn("%s does not answer any more: no model is placed there until it does", d->name);
        return;
    case DEVICE_GONE:
        log_warn("%s is gone: its driver does not list it any more", d->name);
        return;
    }
}

void device_table_set_state(struct device_table *t, size_t device, enum device_state state)
{
    struct device *d = &t->device[device];
    enum device_state before = d->state;
    if (state == before)
        return;
    d->state = state;
    d->left_at = t->updates;
    log_state(d, before);
}

bool device_table_has(const struct device_table *t, enum device_state state)
{
    for (size_t d = 1; d < t->n; d++)
        if (t->device[d].state == state)
            return true;
    return false;
}

/* --- names */

static bool is_number_given(const struct device_table *t, unsigned number)
{
    for (size_t d = 1; d < t->n; d++)
        if (t->device[d].number == number)
            return true;
    return false;
}

/* A card keeps its number when it is divided into instances, and when it is whole again. */
static const struct device *find_other_part(const struct device_table *t, const struct card *card)
{
    for (size_t d = 1; d < t->n; d++) {
        const struct card *other = &t->device[d].card;
        if (other->vendor == card->vendor && strcmp(other->pci, card->pci) == 0 &&
            (other->instance || card->instance))
            return &t->device[d];
    }
    return NULL;
}

static void name_card(unsigned number, char *out, size_t size)
{
    snprintf(out, size, "gpu%u", number);
}

/* 0: none. */
static size_t find_name(const struct device_table *t, const char *name)
{
    for (size_t d = 1; d < t->n; d++)
        if (strcmp(t->device[d].name, name) == 0)
            return d;
    return 0;
}

static bool is_named(const struct device_table *t, unsigned number)
{
    char name[16];
    name_card(number, name, sizeof name);
    return find_name(t, name);
}

/* By its driver, of a card that has no device yet. */
static bool is_number_due(const struct card_list *cards, unsigned number)
{
    for (size_t i = 0; i < cards->n; i++) {
        const struct card *card = &cards->card[i];
        if (card->vendor == CARD_NVIDIA && !card->instance && !card->device &&
            card->number == number)
            return true;
    }
    return false;
}

/* `parent`: the card that an instance belongs to; else the card itself. */
static unsigned number_of(const struct device_table *t, const struct card_list *cards,
                          const struct card *card, const struct card *parent)
{
    const struct device *part = find_other_part(t, card);
    unsigned next = 0;
    if (part && (card->instance || !is_named(t, part->number)))
        return part->number;
    if (!is_number_given(t, parent->number))
        return parent->number;
    while (is_number_given(t, next) || is_number_due(cards, next))
        next++;
    return next;
}

/* Writes the name; returns the device that has it and has gone, 0 when none has it. */
static size_t name_instance(const struct device_table *t, unsigned number, unsigned instance,
                            char *out, size_t size)
{
    size_t device;
    snprintf(out, size, "gpu%u.%u", number, instance);
    for (unsigned i = 0; (device = find_name(t, out)) && t->device[device].state != DEVICE_GONE;
         i++)
        snprintf(out, size, "gpu%u.%u", number, i);
    return device;
}

/* --- devices */

/* 0: none. */
static size_t find_card(const struct device_table *t, const struct card *card)
{
    for (size_t d = 1; d < t->n; d++)
        if (is_same_card(&t->device[d].card, card))
            return d;
    return 0;
}

/* 0: every index is that of a card which is there. */
static size_t free_index(struct device_table *t)
{
    size_t longest = 0;
    if (t->n < MEMORY_DEVICES_MAX)
        return t->n++;
    for (size_t d = 1; d < t->n; d++)
        if (t->device[d].state == DEVICE_GONE &&
            (!longest || t->device[d].left_at < t->device[longest].left_at))
            longest = d;
    return longest;
}

static size_t add_device(struct device_table *t, const struct card_list *cards,
                         const struct card *card, const struct card *parent)
{
    struct device new = {.card = *card, .number = number_of(t, cards, card, parent)};
    size_t d = 0;
    if (card->instance)
        d = name_instance(t, new.number, card->number, new.name, sizeof new.name);
    else
        name_card(new.number, new.name, sizeof new.name);
    if (!d)
        d = free_index(t);
    if (!d)
        return 0;
    t->device[d] = new;
    if (t->updates > 1)
        log_info("%s is new: %s, %.1f GiB, at PCI address %s", new.name,
                 *card->product ? card->product : "a card", (double)card->total / GIB, card->pci);
    return d;
}

/* What was seen before; a figure that does not come stays. */
static void take_known(struct device_table *t, struct card *card, size_t device)
{
    struct device *d = &t->device[device];
    card->device = (uint8_t)device;
    device_table_set_state(t, device, card->total ? DEVICE_ANSWERS : DEVICE_SILENT);
    if (!card->total)
        card->total = d->card.total;
    d->card = *card;
}

static void take_all_known(struct device_table *t, struct card_list *cards, bool *seen)
{
    for (size_t i = 0; i < cards->n; i++) {
        struct card *card = &cards->card[i];
        size_t d = card->partitioned ? 0 : find_card(t, card);
        if (!d)
            continue;
        take_known(t, card, d);
        seen[d] = true;
    }
}

static void add_new(struct device_table *t, struct card_list *cards)
{
    const struct card *parent = NULL;
    for (size_t i = 0; i < cards->n; i++) {
        struct card *card = &cards->card[i];
        if (!card->instance)
            parent = card;
        if (card->partitioned || card->device || !card->total)
            continue;
        size_t d = add_device(t, cards, card, parent ? parent : card);
        card->device = t->device[d].card.device = (uint8_t)d;
    }
}

/* Those that were not found. */
static void leave_out(struct device_table *t, struct card_list *cards, const bool *seen,
                      bool complete)
{
    for (size_t d = 1; d < t->n; d++) {
        bool unknown = t->device[d].card.vendor == CARD_NVIDIA && !complete;
        if (seen[d])
            continue;
        if (!unknown)
            device_table_set_state(t, d, DEVICE_GONE);
        else if (t->device[d].state != DEVICE_GONE)
            device_table_set_state(t, d, DEVICE_SILENT);
        if (t->device[d].state == DEVICE_SILENT)
            card_list_add(cards, &t->device[d].card);
    }
}

/* A partitioned card counts where its first instance does. */
static void set_partitioned(struct card_list *cards)
{
    for (size_t i = 0; i < cards->n; i++)
        for (size_t k = i + 1;
             cards->card[i].partitioned && k < cards->n && cards->card[k].instance; k++)
            if (!cards->card[i].device)
                cards->card[i].device = cards->card[k].device;
}

void device_table_update(struct device_table *t, const struct card_list *found, bool complete)
{
    struct card_list cards = *found;
    bool seen[MEMORY_DEVICES_MAX] = {true};
    t->updates++; /* known ones first: new ones get the names that are left */
    take_all_known(t, &cards, seen);
    leave_out(t, &cards, seen, complete);
    add_new(t, &cards);
    set_partitioned(&cards);
    t->version += t->updates == 1 || !are_equal(&cards, &t->cards);
    t->cards = cards;
}
