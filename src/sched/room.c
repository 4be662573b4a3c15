/* SPDX-License-Identifier: MIT */
#include "sched/room.h"

#include <string.h>

_Static_assert(sizeof((struct sched_weights){0}.users) == ROOMS * sizeof(unsigned),
               "a count for each room");

static int64_t amount(uint64_t bytes)
{
    return (int64_t)(bytes < SCHED_UNLIMITED ? bytes : SCHED_UNLIMITED);
}

bool room_is_left_by(const struct sched_model *m)
{
    return m->state == SCHED_STOPPING;
}

/* How many map it in this room. */
static unsigned *users(const struct room *r, struct sched_weights *weights)
{
    if (weights->look != r->look) {
        memset(weights->users, 0, sizeof weights->users);
        weights->look = r->look;
    }
    return &weights->users[r->when];
}

/* What it needs of a device: its weights only if nobody has them there already. */
static int64_t need(const struct room *r, const struct sched_model *m, unsigned device)
{
    bool brings = device == 0 && m->weights && !*users(r, m->weights);
    return amount(m->bytes[device]) + (brings ? amount(m->weights->bytes) : 0);
}

/* Its place is not that of its model's next engine, whom somebody waits for. */
static bool leaves_for_good(const struct room *r, const struct sched_model *m)
{
    return r->overlap && room_is_left_by(m) && !m->apart && m->waiting_since == SCHED_NEVER;
}

bool room_fits(const struct room *r, const struct sched_model *m)
{
    bool overlaps = r->places < 1;
    if (overlaps && (r->places + r->leaving < 1 || m->apart))
        return false;
    for (unsigned d = 0; d < r->devices; d++) {
        int64_t wanted = need(r, m, d) + (overlaps ? r->spare : 0);
        /* Who needs nothing of a device fits even where there is less than nothing left. */
        if (wanted && wanted > r->bytes[d])
            return false;
    }
    return true;
}

void room_take(struct room *r, const struct sched_model *m)
{
    r->places--;
    r->leaving += leaves_for_good(r, m);
    for (unsigned d = 0; d < r->devices; d++)
        r->bytes[d] -= need(r, m, d);
    if (m->weights)
        ++*users(r, m->weights);
}

void room_give(struct room *r, const struct sched_model *m)
{
    r->places++;
    r->leaving -= leaves_for_good(r, m);
    if (m->weights)
        --*users(r, m->weights);
    for (unsigned d = 0; d < r->devices; d++)
        r->bytes[d] += need(r, m, d);
}

void room_init(struct room *r, enum room_when when, const struct sched *s)
{
    *r = (struct room){
        .when = when,
        .devices = s->config.devices,
        .look = s->looks,
        .places = s->config.models_max ? s->config.models_max : INT32_MAX,
        .overlap = s->config.overlap,
        .spare = amount(s->config.spare),
    };
    for (unsigned d = 0; d < r->devices; d++)
        r->bytes[d] = amount(s->capacity[d]);
}

bool room_could_ever_fit(const struct sched *s, const struct sched_model *m)
{
    for (unsigned d = 0; d < s->config.devices; d++) {
        int64_t weights = d == 0 && m->weights ? amount(m->weights->bytes) : 0;
        if (amount(m->bytes[d]) + weights > amount(s->config.ceiling[d]))
            return false;
    }
    return true;
}
