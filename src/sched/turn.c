/* SPDX-License-Identifier: MIT */
#include "sched/turn.h"

#include "sched/instance.h"
#include "sched/queue.h"
#include "sched/room.h"

#define RIVALS_MAX 64 /* waiting models that are looked at for each instance: bounds a pass */

/* What a change of places takes for this model's part, by what it took before. */
static uint64_t cost(const struct sched_model *m)
{
    return m->stop_ms + m->load_ms;
}

static uint64_t longest(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static bool is_yielded_to(const struct sched *s, const struct sched_instance *i,
                          const struct sched_model *m)
{
    return m->priority >= i->model->priority || queue_is_overdue(s, m);
}

/* The oldest model that lacks what `i` holds and to which `i` yields; else the oldest that may be loaded: what is
 * reserved for others can make it need the place of `i`. */
static const struct sched_model *rival_of(const struct sched *s, const struct room *left,
                                          const struct sched_instance *i)
{
    const struct sched_model *m, *oldest = NULL;
    unsigned n = 0;
    for (m = TAILQ_FIRST(&s->waiting_models); m && n < RIVALS_MAX;
         m = TAILQ_NEXT(m, queue_link), n++) {
        if (!queue_may_be_loaded(s, m))
            continue;
        if (is_yielded_to(s, i, m) && room_lacks(left, &m->next, i))
            return m;
        oldest = oldest ? oldest : m;
    }
    return oldest;
}

void turn_find_rivals(struct sched *s)
{
    struct room left;
    struct sched_instance *i;
    const struct sched_model *first = TAILQ_FIRST(&s->waiting_models);
    uint64_t overdue = first && queue_is_overdue(s, first) ? first->waiting_since : SCHED_NEVER;
    if (!s->config.turn)
        return;
    room_init(&left, ROOM_LATER, s, ++s->probes);
    TAILQ_FOREACH (i, &s->instances, link)
        if (!sched_instance_is_stopping(i))
            room_take(&left, i);
    TAILQ_FOREACH (i, &s->instances, link) {
        const struct sched_model *rival = rival_of(s, &left, i);
        i->rival_cost = rival ? cost(rival) : 0;
        i->rival_since = rival ? ms_earlier(rival->waiting_since, overdue) : SCHED_NEVER;
    }
}

static uint64_t end_without_turns(const struct sched *s)
{
    const struct sched_model *oldest = TAILQ_FIRST(&s->waiting_models);
    return oldest && queue_is_overdue(s, oldest) ? 0 : SCHED_NEVER;
}

static uint64_t end_of(const struct sched *s, uint64_t loaded_at, uint64_t change)
{
    uint64_t turn = longest(s->config.turn * change, SCHED_TURN_MIN_MS);
    return ms_after(loaded_at, ms_earlier(turn, s->config.max_wait_ms));
}

static uint64_t end_before(const struct sched *s, uint64_t loaded_at, uint64_t change,
                           uint64_t rival_since)
{
    uint64_t patience = ms_earlier(change / 2, s->config.max_wait_ms);
    return longest(end_of(s, loaded_at, change), ms_after(rival_since, patience));
}

static uint64_t turn_end(const struct sched *s, const struct sched_instance *i)
{
    if (!s->config.turn)
        return end_without_turns(s);
    bool rival = s->queued && i->rival_since != SCHED_NEVER;
    uint64_t change = cost(i->model) + (rival ? i->rival_cost : 0);
    return rival ? end_before(s, i->loaded_at, change, i->rival_since)
                 : end_of(s, i->loaded_at, change);
}

uint64_t turn_end_before(const struct sched *s, const struct sched_model *m, uint64_t loaded_at,
                         const struct sched_model *rival, uint64_t rival_since)
{
    if (!s->config.turn)
        return ms_after(rival_since, s->config.max_wait_ms);
    return end_before(s, loaded_at, cost(m) + cost(rival), rival_since);
}

/*
 * Clients that use a model again and again leave pauses, in which others that wait would take its
 * place, and soon make it wait itself. A pause of a quarter of a load is worth waiting for if the
 * model's pauses are like that: one of the last two, since between two bursts there is a long one.
 */
static uint64_t pause_end(const struct sched *s, const struct sched_instance *i)
{
    const struct sched_model *m = i->model;
    uint64_t pause = longest(m->load_ms / 4, SCHED_PAUSE_MIN_MS);
    if (!s->config.turn || ms_earlier(m->pauses[0], m->pauses[1]) > pause)
        return 0;
    return ms_after(i->last_used, pause);
}

bool turn_is_over(const struct sched *s, const struct sched_instance *i)
{
    return i->state == SCHED_YIELDING || turn_end(s, i) <= s->now;
}

bool turn_is_paused(const struct sched *s, const struct sched_instance *i)
{
    return pause_end(s, i) > s->now;
}

uint64_t turn_deadline(const struct sched *s, const struct sched_instance *i)
{
    uint64_t over = turn_end(s, i), pause = pause_end(s, i);
    return ms_earlier(over > s->placed_at ? over : SCHED_NEVER,
                      pause > s->placed_at ? pause : SCHED_NEVER);
}

/*
 * While nobody waits a pause keeps no place from anybody. And one that ends only when another model
 * has been loaded may have been a wait for that one's answer: an agent that uses two models in turn
 * does not come back before.
 */
void turn_note_pause(const struct sched *s, struct sched_model *m)
{
    bool loaded = sched_model_serving(m) != NULL;
    uint64_t pause = s->now - m->last_used;
    if (loaded && !s->queued)
        return;
    if (!loaded && s->ready_at > m->last_used && pause > SCHED_PAUSE_MIN_MS)
        pause = SCHED_NEVER;
    m->pauses[1] = m->pauses[0];
    m->pauses[0] = pause;
}
