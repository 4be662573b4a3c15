/* SPDX-License-Identifier: MIT */
#include "server/loads.h"

#include <stdlib.h>
#include <string.h>

#define ENOUGH 3 /* loads, that the one at the end of their order may be left out */

static struct load *find(struct loads *l, uint64_t number)
{
    for (unsigned i = 0; i < l->n; i++)
        if (l->load[i].number == number)
            return &l->load[i];
    return NULL;
}

static struct load *begin(struct loads *l, uint64_t number, const struct memory_use *use)
{
    if (l->n < LOADS_MOST)
        l->n++;
    memmove(&l->load[1], &l->load[0], (l->n - 1) * sizeof l->load[0]);
    l->load[0] = (struct load){.number = number};
    memcpy(l->load[0].loaded, use->bytes, sizeof l->load[0].loaded);
    return &l->load[0];
}

void loads_measure(struct loads *l, uint64_t number, const struct memory_use *use)
{
    struct load *load = find(l, number);
    if (!load)
        load = begin(l, number, use);
    for (size_t d = 0; d < use->n; d++)
        if (use->bytes[d] > load->most[d])
            load->most[d] = use->bytes[d];
}

void loads_end(struct loads *l, uint64_t number, bool served)
{
    struct load *load = find(l, number);
    if (!load || served || l->n == 1)
        return;
    l->n--;
    memmove(load, load + 1, (size_t)(&l->load[l->n] - load) * sizeof *load);
}

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

uint64_t loads_most(const struct loads *l, size_t device)
{
    uint64_t bytes[LOADS_MOST] = {0};
    for (unsigned i = 0; i < l->n; i++)
        bytes[i] = l->load[i].most[device];
    qsort(bytes, l->n, sizeof *bytes, compare);
    return l->n >= ENOUGH ? bytes[l->n - 2] : bytes[l->n ? l->n - 1 : 0];
}

uint64_t loads_loaded(const struct loads *l, size_t device)
{
    uint64_t bytes[LOADS_MOST] = {0};
    for (unsigned i = 0; i < l->n; i++)
        bytes[i] = l->load[i].loaded[device];
    qsort(bytes, l->n, sizeof *bytes, compare);
    return l->n >= ENOUGH ? bytes[1] : bytes[0];
}
