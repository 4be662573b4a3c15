/* SPDX-License-Identifier: MIT */
#include "sched/room.h"

#include <string.h>

_Static_assert(sizeof((struct sched_weights){0}.users) == ROOMS * sizeof(unsigned),
               "a count for each room");

static int64_t amount(uint64_t bytes)
{
    return (int64_t)(bytes < SCHED_UNLIMITED ? bytes : SCHED_UNLIMITED);
}

void room_reset(struct sched_weights *weights, uint64_t probe)
{
    memset(weights->users, 0, sizeof weights->users);
    weights->probe = probe;
}

/* How many map it in this room. */
static unsigned *users(const struct room *r, struct sched_weights *weights)
{
    if (weights->probe != r->probe)
        room_reset(weights, r->probe);
    return &weights->users[r->when];
}

/* What it needs of a device: its weights only if nobody has them there already. */
static int64_t need(const struct room *r, const struct sched_footprint *f, unsigned device)
{
    bool brings = device == 0 && f->weights && !*users(r, f->weights);
    return amount(f->bytes[device]) + (brings ? amount(f->weights->bytes) : 0);
}

/* Its place is not the one that its own model waits for. */
static bool leaves_for_good(const struct room *r, const struct sched_instance *i)
{
    return r->overlap && sched_instance_is_stopping(i) && !i->surplus && !i->footprint.apart &&
           i->model->waiting_since == SCHED_NEVER;
}

static bool has_bytes(const struct room *r, const struct sched_footprint *f, int64_t spare)
{
    for (unsigned d = 0; d < r->devices; d++) {
        int64_t wanted = need(r, f, d) + spare;
        /* What needs nothing of a device fits even where less than nothing is left. */
        if (wanted && wanted > r->bytes[d])
            return false;
    }
    return true;
}

bool room_fits(const struct room *r, const struct sched_footprint *f)
{
    if (r->places >= 1)
        return has_bytes(r, f, 0);
    return r->places + r->leaving >= 1 && !f->apart && has_bytes(r, f, r->spare);
}

bool room_fits_beside(const struct room *r, const struct sched_footprint *f)
{
    return r->overlap && r->devices && !f->apart && has_bytes(r, f, r->spare);
}

bool room_lacks(const struct room *r, const struct sched_footprint *f,
                const struct sched_instance *i)
{
    if (r->places < 1 && !i->surplus)
        return true;
    for (unsigned d = 0; d < r->devices; d++) {
        bool holds = i->footprint.bytes[d] || (d == 0 && i->footprint.weights);
        int64_t wanted = holds ? need(r, f, d) : 0;
        if (wanted && wanted > r->bytes[d])
            return true;
    }
    return false;
}

static void take_bytes(struct room *r, const struct sched_footprint *f)
{
    for (unsigned d = 0; d < r->devices; d++)
        r->bytes[d] -= need(r, f, d);
    if (f->weights)
        ++*users(r, f->weights);
}

void room_take(struct room *r, const struct sched_instance *i)
{
    r->places -= !i->surplus;
    r->leaving += leaves_for_good(r, i);
    take_bytes(r, &i->footprint);
}

void room_give(struct room *r, const struct sched_instance *i)
{
    const struct sched_footprint *f = &i->footprint;
    r->places += !i->surplus;
    r->leaving -= leaves_for_good(r, i);
    if (f->weights)
        --*users(r, f->weights);
    for (unsigned d = 0; d < r->devices; d++)
        r->bytes[d] += need(r, f, d);
}

void room_reserve(struct room *r, const struct sched_footprint *f, bool place)
{
    r->places -= place;
    take_bytes(r, f);
}

void room_init(struct room *r, enum room_when when, const struct sched *s, uint64_t probe)
{
    *r = (struct room){
        .when = when,
        .devices = s->config.devices,
        .probe = probe,
        .places = s->config.models_max ? s->config.models_max : INT32_MAX,
        .overlap = s->config.overlap,
        .spare = amount(s->config.spare),
    };
    for (unsigned d = 0; d < r->devices; d++)
        r->bytes[d] = amount(s->capacity[d]);
}

bool room_could_ever_fit(const struct sched *s, const struct sched_footprint *f)
{
    for (unsigned d = 0; d < s->config.devices; d++) {
        int64_t weights = d == 0 && f->weights ? amount(f->weights->bytes) : 0;
        if (amount(f->bytes[d]) + weights > amount(s->config.ceiling[d]))
            return false;
    }
    return true;
}
