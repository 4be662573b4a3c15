/* SPDX-License-Identifier: MIT */
#include "sched/victims.h"

#include <string.h>

#include "sched/instance.h"

#define STEPS_MAX 4096 /* of the search: some 100 µs */
#define FRESH_MS 1000  /* so that what was used this very moment is not priceless */

struct search {
    const struct sched_footprint *wants;
    struct room *room;
    struct sched_instance *const *candidates; /* the least harmful first */
    const double *harm;
    unsigned n, steps;
    bool in[VICTIMS_MAX], best[VICTIMS_MAX];
    double best_harm;
};

/*
 * A model that was not used for a time t is used next after about t more (the longer the quieter),
 * so its absence costs per time what bringing it back takes, divided by t. Where loads are fast or
 * their times not known this is least recently used. One that drains, or yields and is busy, is on
 * its way out already: no harm. One that yields and is done while requests wait for it is wanted
 * now.
 */
double victims_harm(const struct sched *s, const struct sched_instance *i)
{
    const struct sched_model *m = i->model;
    bool busy = sched_instance_is_busy(i);
    uint64_t used = busy ? i->last_granted : m->waiting ? s->now : i->last_used;
    uint64_t load_ms = m->load_ms > SCHED_QUICK_MS ? m->load_ms : SCHED_QUICK_MS;
    double cost = (double)load_ms * (m->waiting ? 2 : 1);
    if (i->state == SCHED_DRAINING || (i->state == SCHED_YIELDING && busy))
        return 0;
    return cost / (double)(s->now - used + FRESH_MS);
}

static bool comes_before(const struct sched_instance *a, double harm_a,
                         const struct sched_instance *b, double harm_b)
{
    int priority_a = a->model->priority, priority_b = b->model->priority;
    return priority_a != priority_b ? priority_a < priority_b : harm_a < harm_b;
}

/* Keeps the VICTIMS_MAX first of them in order; equals in the order of their load. */
static unsigned insert(struct sched_instance *i, double harm, struct sched_instance **out,
                       double *harms, unsigned n)
{
    unsigned at = n;
    if (n == VICTIMS_MAX && !comes_before(i, harm, out[n - 1], harms[n - 1]))
        return n;
    if (n == VICTIMS_MAX)
        at--;
    else
        n++;
    for (; at && comes_before(i, harm, out[at - 1], harms[at - 1]); at--) {
        out[at] = out[at - 1];
        harms[at] = harms[at - 1];
    }
    out[at] = i;
    harms[at] = harm;
    return n;
}

/* By priority, then harm. */
static unsigned collect(const struct sched *s, victims_filter *is_candidate,
                        const struct sched_instance *without, struct sched_instance **out,
                        double *harms)
{
    unsigned n = 0;
    struct sched_instance *i;
    TAILQ_FOREACH (i, &s->instances, link)
        if (!sched_instance_is_stopping(i) && i != without && is_candidate(s, i))
            n = insert(i, victims_harm(s, i), out, harms, n);
    return n;
}

static bool is_enough(const struct search *q)
{
    return room_fits(q->room, q->wants);
}

/* The length of the shortest prefix of the candidates that is enough; 0 when all are not. */
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

/* Makes the best set minimal: takes out members that are not needed, the most harmful first. */
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

bool victims_choose(const struct sched *s, struct room *room, const struct sched_footprint *f,
                    victims_filter *is_candidate, const struct sched_instance *without,
                    struct victims *out)
{
    struct sched_instance *candidates[VICTIMS_MAX];
    double harm[VICTIMS_MAX];
    struct search q = {.wants = f, .room = room, .candidates = candidates, .harm = harm};
    q.n = collect(s, is_candidate, without, candidates, harm);
    unsigned k = shortest_prefix(&q);
    out->n = 0;
    if (!k)
        return false;
    memset(q.best, true, k);
    trim(&q);
    /* Any candidate up to the highest priority that is needed at all may be the better choice; none
     * of a higher one. */
    while (k < q.n && candidates[k]->model->priority == candidates[k - 1]->model->priority)
        k++;
    q.n = k;
    improve(&q, 0, 0);
    trim(&q); /* also those that do no harm at all */
    for (unsigned i = 0; i < q.n; i++)
        if (q.best[i])
            out->v[out->n++] = candidates[i];
    return true;
}
