/* SPDX-License-Identifier: MIT */
/* How many values were in which range, in the way of Prometheus: for each bound, those up to it. */
#ifndef HOSTLER_BASE_HISTOGRAM_H
#define HOSTLER_BASE_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BOUNDS_MAX 16

/* Bounds, ascending; what is above the last one has a range of its own. */
struct histogram_scale {
    unsigned n;
    double bound[HISTOGRAM_BOUNDS_MAX];
};

/* Zeroed: empty. Belongs to one scale. */
struct histogram {
    uint64_t count[HISTOGRAM_BOUNDS_MAX + 1]; /* of each range alone */
    double sum;
};

/* A negative value, or one that is no number, counts as 0. */
static inline void histogram_add(struct histogram *h, const struct histogram_scale *s, double value)
{
    unsigned i = 0;
    if (!(value > 0))
        value = 0;
    while (i < s->n && value > s->bound[i])
        i++;
    h->count[i]++;
    h->sum += value;
}

#endif
