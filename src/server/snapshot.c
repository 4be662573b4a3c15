/* SPDX-License-Identifier: MIT */
#include "server/snapshot.h"

#include <stdlib.h>

static int by_number(const void *key, const void *element)
{
    uint64_t number = *(const uint64_t *)key;
    const struct snapshot_process *p = element;
    return (number > p->number) - (number < p->number);
}

const struct memory_use *snapshot_use(const struct snapshot *s, uint64_t number)
{
    const struct snapshot_process *p =
        s->n ? bsearch(&number, s->process, s->n, sizeof *s->process, by_number) : NULL;
    return p ? &p->use : NULL;
}

uint64_t snapshot_others(const struct snapshot *s, size_t device)
{
    const struct memory_device *d = &s->figures.device[device];
    const uint64_t used = d->total > d->available ? d->total - d->available : 0;
    return used > s->held[device] ? used - s->held[device] : 0;
}
