/* SPDX-License-Identifier: MIT */
#include "sched/victims.h"

#include <string.h>

#include "sched/core.h"

#define STEPS_MAX 4096 /* of the search: some 100 µs */
#define FRESH_MS 1000  /* so that what was used this very moment is not priceless */

struct search {
    const struct sched_model *wants;
    struct room *room;
    struct sched_model *const *candidates; /* the least harmful first */
    const double *harm;
    unsigned n, steps;
    bool in[VICTIMS_MAX], best[VICTIMS_MAX];
    double best_harm;
};

/*
 * A model that was not used for t is used next after about t more (the longer the quieter), so what
 * its absence costs per time is what bringing it back takes, by t. Where loads are fast or their
 * times not known this is the least recently used. Whoever yields and is not done is on its way out already; but if
 * it is done and somebody waits for it, it is wanted now.
 */
double victims_harm(const struct sched *s, const struct sched_model *m)
{
    bool busy = core_is_busy(m);
    uint64_t used = busy ? m->last_granted : m->waiting ? s->now : m->last_used;
    uint64_t load_ms = m->load_ms > SCHED_QUICK_MS ? m->load_ms : SCHED_QUICK_MS;
    double cost = (double)load_ms * (m->waiting ? 2 : 1);
    return m->draining || (m->yielding && busy) ? 0 : cost / (double)(s->now - used + FRESH_MS);
}

static bool comes_before(const struct sched_model *a, double harm_a, const struct sched_model *b,
                         double harm_b)
{
    return a->priority != b->priority ? a->priority < b->priority : harm_a < harm_b;
}

/* By priority, then harm; equals in the order of their load. */
static unsigned collect(const struct sched *s, victims_filter *may_go, struct sched_model **out,
                        double *harm)
{
    unsigned n = 0;
    struct sched_model *m;
    TAILQ_FOREACH (m, &s->running_models, link) {
        if (room_is_left_by(m) || !may_go(s, m))
            continue;
        double h = victims_harm(s, m);
        unsigned i = n < VICTIMS_MAX ? n++ : VICTIMS_MAX;
        if (i == VICTIMS_MAX && !comes_before(m, h, out[i - 1], harm[i - 1]))
            continue;
        i -= i == VICTIMS_MAX;
        for (; i && comes_before(m, h, out[i - 1], harm[i - 1]); i--) {
            out[i] = out[i - 1];
            harm[i] = harm[i - 1];
        }
        out[i] = m;
        harm[i] = h;
    }
    return n;
}

static bool is_enough(const struct search *q)
{
    return room_fits(q->room, q->wants);
}

/* How many of the candidates, from the first on, it takes; 0 when not even all are enough. */
static unsigned shortest_prefix(struct search *q)
{
    unsigned k = 0;
    while (k < q->n && !is_enough(q))
        room_give(q->room, q->candidates[k++]);
    bool enough = is_enough(q);
    for (unsigned i = k; i-- > 0;)
        room_take(q->room, q->candidates[i]);
    return enough ? k : 0;
}

/* Takes out of the best set whoever need not go, the most harmful asked first. */
static void trim(struct search *q)
{
    for (unsigned i = 0; i < q->n; i++)
        if (q->best[i])
            room_give(q->room, q->candidates[i]);
    q->best_harm = 0;
    for (unsigned i = q->n; i-- > 0;) {
        if (!q->best[i])
            continue;
        room_take(q->room, q->candidates[i]);
        q->best[i] = !is_enough(q);
        if (!q->best[i])
            continue;
        room_give(q->room, q->candidates[i]);
        q->best_harm += q->harm[i];
    }
    for (unsigned i = 0; i < q->n; i++)
        if (q->best[i])
            room_take(q->room, q->candidates[i]);
}

static void improve(struct search *q, unsigned i, double harm)
{
    if (harm >= q->best_harm || q->steps == STEPS_MAX)
        return;
    q->steps++;
    if (is_enough(q)) {
        q->best_harm = harm;
        for (unsigned k = 0; k < q->n; k++)
            q->best[k] = k < i && q->in[k];
        return;
    }
    if (i == q->n)
        return;
    q->in[i] = true;
    room_give(q->room, q->candidates[i]);
    improve(q, i + 1, harm + q->harm[i]);
    room_take(q->room, q->candidates[i]);
    q->in[i] = false;
    improve(q, i + 1, harm);
}

bool victims_choose(const struct sched *s, struct room *room, const struct sched_model *m,
                    victims_filter *may_go, struct victims *out)
{
    struct sched_model *candidates[VICTIMS_MAX];
    double harm[VICTIMS_MAX];
    struct search q = {.wants = m, .room = room, .candidates = candidates, .harm = harm};
    q.n = collect(s, may_go, candidates, harm);
    unsigned k = shortest_prefix(&q);
    out->n = 0;
    if (!k)
        return false;
    memset(q.best, true, k);
    trim(&q);
    /* Of the highest priority that must go at all, and of those below, anybody may be the better
     * choice; nobody of a higher one. */
    while (k < q.n && candidates[k]->priority == candidates[k - 1]->priority)
        k++;
    q.n = k;
    improve(&q, 0, 0);
    trim(&q); /* those that do no harm at all */
    for (unsigned i = 0; i < q.n; i++)
        if (q.best[i])
            out->v[out->n++] = candidates[i];
    return true;
}
