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

typedef const uint64_t *figures_of(const struct load *load);

static const uint64_t *loaded_of(const struct load *load)
{
    return load->loaded;
}

static const uint64_t *most_of(const struct load *load)
{
    return load->most;
}

/* The largest of the loads, or the smallest; of enough of them the next to it. */
static uint64_t extreme(const struct loads *l, size_t device, figures_of *of, bool largest)
{
    uint64_t bytes[LOADS_MOST] = {0};
    unsigned skipped = l->n >= ENOUGH;
    for (unsigned i = 0; i < l->n; i++)
        bytes[i] = of(&l->load[i])[device];
    qsort(bytes, l->n, sizeof *bytes, compare);
    return l->n ? bytes[largest ? l->n - 1 - skipped : skipped] : 0;
}

uint64_t loads_most(const struct loads *l, size_t device)
{
    return extreme(l, device, most_of, true);
}

uint64_t loads_loaded(const struct loads *l, size_t device)
{
    return extreme(l, device, loaded_of, false);
}
