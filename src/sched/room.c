/* SPDX-License-Identifier: MIT */
#include "sched/room.h"

static int64_t amount(uint64_t bytes)
{
    return (int64_t)(bytes < SCHED_UNLIMITED ? bytes : SCHED_UNLIMITED);
}

bool room_is_left_by(const struct sched_model *m)
{
    return m->state == SCHED_STOPPING;
}

/* What it needs of a device: its weights only if nobody has them there already. */
static int64_t need(const struct room *r, const struct sched_model *m, unsigned device)
{
    bool shared = device == 0 && m->weights && m->weights->users[r->when];
    int64_t weights = device == 0 && m->weights && !shared ? amount(m->weights->bytes) : 0;
    return amount(m->bytes[device]) + weights;
}

bool room_fits(const struct room *r, const struct sched_model *m)
{
    if (r->places < 1)
        return false;
    for (unsigned d = 0; d < r->devices; d++) {
        int64_t wanted = need(r, m, d);
        /* Who needs nothing of a device fits even where there is less than nothing left. */
        if (wanted && wanted > r->bytes[d])
            return false;
    }
    return true;
}

void room_take(struct room *r, const struct sched_model *m)
{
    r->places--;
    for (unsigned d = 0; d < r->devices; d++)
        r->bytes[d] -= need(r, m, d);
    if (m->weights)
        m->weights->users[r->when]++;
}

void room_give(struct room *r, const struct sched_model *m)
{
    r->places++;
    if (m->weights)
        m->weights->users[r->when]--;
    for (unsigned d = 0; d < r->devices; d++)
        r->bytes[d] += need(r, m, d);
}

void room_init(struct room *now, struct room *later, const struct sched *s)
{
    const struct sched_model *m;
    *now = (struct room){
        .when = ROOM_NOW,
        .devices = s->config.devices,
        .places = s->config.models_max ? s->config.models_max : INT32_MAX,
    };
    for (unsigned d = 0; d < now->devices; d++)
        now->bytes[d] = amount(s->capacity[d]);
    *later = *now;
    later->when = ROOM_LATER;
    TAILQ_FOREACH (m, &s->waiting_models, queue_link)
        if (m->weights)
            m->weights->users[ROOM_NOW] = m->weights->users[ROOM_LATER] = 0;
    TAILQ_FOREACH (m, &s->running_models, link)
        if (m->weights)
            m->weights->users[ROOM_NOW] = m->weights->users[ROOM_LATER] = 0;
    TAILQ_FOREACH (m, &s->running_models, link) {
        room_take(now, m);
        if (!room_is_left_by(m))
            room_take(later, m);
    }
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
