/* SPDX-License-Identifier: MIT */
#include "replay.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ORIGIN_MS = 1 << 30 }; /* of time: foresee() sets times before it */

#define GB 1000000000u

/* --- A replay ---------------------------------------------------------------------------- */

enum engine_state { ENGINE_NONE, ENGINE_LOADING, ENGINE_UP, ENGINE_STOPPING };

struct engine {
    struct sched_model m; /* first: it is found by its address */
    enum engine_state state;
    unsigned gb, busy;
    uint64_t load_ms, stop_ms;
    uint64_t spawned_at, gone_at;
    uint64_t granted_at; /* when its last request began, or it was ready */
    double work;         /* ms of the load that are left, if it has the disk to itself */
};

struct replay;

struct policy {
    void (*tell)(struct replay *p, enum sched_event_type what, unsigned model, struct task *task);
    void (*act)(struct replay *p); /* grants, spawns and stops whatever can be */
    uint64_t (*deadline)(const struct replay *p);
};

struct replay {
    struct trace *t;
    const struct policy *policy;
    struct engine engines[MODELS_MAX];
    struct sched s;                                  /* hostler, offline */
    struct sched_instance instances[MODELS_MAX + 1]; /* theirs: one a model, and the spare one */
    unsigned patience;   /* offline: pauses as if loads took so many times as long; 0: hostler */
    unsigned models_max; /* LRU */
    bool parallel;
    unsigned left; /* tasks that are not answered */
    uint64_t now, switching_ms;
    unsigned answers[MODELS_MAX];
    struct result result;
};

static unsigned count_engines(const struct replay *p, enum engine_state state)
{
    unsigned n = 0;
    for (unsigned i = 0; i < p->t->n_models; i++)
        n += p->engines[i].state == state;
    return n;
}

static void grant(struct replay *p, struct task *task)
{
    struct engine *e = &p->engines[task->model];
    double waited = (double)(p->now - task->since) / 1000;
    if (e->state != ENGINE_UP)
        die("a request was granted at an engine that is not ready");
    e->busy++;
    e->granted_at = p->now;
    task->end = p->now + task->run_ms;
    task->waited = waited;
    p->answers[task->model]++;
    p->result.waited += waited;
    p->result.waited_first += p->t->priority[task->model] > 0 ? waited : 0;
    p->result.worst = fmax(p->result.worst, waited);
}

static void spawn(struct replay *p, struct engine *e)
{
    unsigned used = e->gb;
    for (unsigned i = 0; i < p->t->n_models; i++)
        used += p->engines[i].state != ENGINE_NONE ? p->engines[i].gb : 0;
    if (used > p->t->budget_gb)
        die("%u GB are used, of %u", used, p->t->budget_gb);
    e->state = ENGINE_LOADING;
    e->work = (double)e->load_ms;
    e->spawned_at = p->now;
    p->result.loads++;
}

static void stop(struct replay *p, struct engine *e)
{
    if (e->state != ENGINE_UP || e->busy)
        die("an engine was stopped that is busy or not ready");
    e->state = ENGINE_STOPPING;
    e->gone_at = p->now + e->stop_ms;
}

/* How many ms a load takes for one of its work. */
static double slowness(const struct replay *p)
{
    unsigned n = count_engines(p, ENGINE_LOADING);
    return p->parallel || !n ? 1 : (double)n;
}

static uint64_t min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t next_time(const struct replay *p)
{
    uint64_t at = p->policy->deadline(p);
    for (unsigned i = 0; i < p->t->n_models; i++) {
        const struct engine *e = &p->engines[i];
        if (e->state == ENGINE_LOADING)
            at = min(at, p->now + (uint64_t)ceil(e->work * slowness(p)));
        else if (e->state == ENGINE_STOPPING)
            at = min(at, e->gone_at);
    }
    for (unsigned i = 0; i < p->t->n_sessions; i++) {
        const struct session *n = &p->t->sessions[i];
        at = min(at, n->next_at);
        for (unsigned k = n->first + n->over; k < n->first + n->asked; k++)
            at = p->t->tasks[k].end > p->now ? min(at, p->t->tasks[k].end) : at;
    }
    return at;
}

/* Whether no engine is there that could serve. */
static bool is_switching(const struct replay *p)
{
    return !count_engines(p, ENGINE_UP);
}

static void go_to(struct replay *p, uint64_t at)
{
    p->switching_ms += is_switching(p) ? at - p->now : 0;
    double work = (double)(at - p->now) / slowness(p);
    for (unsigned i = 0; i < p->t->n_models; i++)
        p->engines[i].work -= p->engines[i].state == ENGINE_LOADING ? work : 0;
    p->now = at;
}

static void step_engines(struct replay *p)
{
    for (unsigned i = 0; i < p->t->n_models; i++) {
        struct engine *e = &p->engines[i];
        if (e->state == ENGINE_LOADING && e->work < 1e-6) {
            e->state = ENGINE_UP;
            e->granted_at = p->now;
            p->policy->tell(p, SCHED_EV_READY, i, NULL);
        } else if (e->state == ENGINE_STOPPING && e->gone_at <= p->now) {
            e->state = ENGINE_NONE;
            p->policy->tell(p, SCHED_EV_GONE, i, NULL);
        }
    }
}

/* When the session asks next, once its last task was asked or answered. */
static void set_next(struct replay *p, struct session *n)
{
    n->next_at = n->asked == n->n ? SCHED_NEVER : p->now + p->t->tasks[n->first + n->asked].gap_ms;
}

static void step_session(struct replay *p, struct session *n)
{
    for (unsigned k = n->first + n->over; k < n->first + n->asked; k++) {
        struct task *task = &p->t->tasks[k];
        if (task->end != p->now)
            continue;
        task->end = 0;
        p->left--;
        p->engines[task->model].busy--;
        p->policy->tell(p, SCHED_EV_DONE, task->model, task);
        if (!n->open)
            set_next(p, n);
    }
    while (n->over < n->asked && !p->t->tasks[n->first + n->over].end)
        n->over++;
    while (n->next_at <= p->now) {
        struct task *task = &p->t->tasks[n->first + n->asked++];
        task->since = p->now;
        task->end = SCHED_NEVER;
        n->next_at = SCHED_NEVER;
        if (n->open)
            set_next(p, n);
        p->policy->tell(p, SCHED_EV_REQUEST, task->model, task);
    }
}

static void replay_init(struct replay *p, struct trace *t, bool parallel)
{
    *p = (struct replay){.t = t, .parallel = parallel, .left = t->n_tasks, .now = ORIGIN_MS};
    for (unsigned i = 0; i < t->n_models; i++) {
        p->engines[i].gb = t->gb[i];
        p->engines[i].load_ms = t->load_ms[i];
        p->engines[i].stop_ms = t->stop_ms[i];
    }
    for (unsigned i = 0; i < t->n_tasks; i++)
        t->tasks[i].end = t->tasks[i].since = 0;
    for (unsigned i = 0; i < t->n_sessions; i++) {
        t->sessions[i].asked = t->sessions[i].over = 0;
        set_next(p, &t->sessions[i]);
    }
}

/* Who waits at the end has waited until then. */
static void count_waiting(struct replay *p)
{
    for (unsigned i = 0; i < p->t->n_sessions; i++) {
        const struct session *n = &p->t->sessions[i];
        for (unsigned k = n->first + n->over; k < n->first + n->asked; k++) {
            double waited = (double)(p->now - p->t->tasks[k].since) / 1000;
            if (p->t->tasks[k].end != SCHED_NEVER)
                continue;
            p->result.waited += waited;
            p->result.worst = fmax(p->result.worst, waited);
        }
    }
}

static int by_wait(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of all models but the first. */
static double median_of_visitors(const struct trace *t)
{
    static double waits[TASKS_MAX];
    unsigned n = 0;
    for (unsigned i = 0; i < t->n_tasks; i++)
        if (t->tasks[i].model && t->tasks[i].since)
            waits[n++] = t->tasks[i].waited;
    qsort(waits, n, sizeof *waits, by_wait);
    return n ? waits[n / 2] : 0;
}

static void summarize_replay(struct replay *p)
{
    unsigned least = UINT_MAX, most = 0, all = 0;
    for (unsigned i = 0; i < p->t->n_models; i++) {
        least = p->answers[i] < least ? p->answers[i] : least;
        most = p->answers[i] > most ? p->answers[i] : most;
        all += p->answers[i];
    }
    p->result.answers = all;
    p->result.balance = most ? (double)least / most : 0;
    p->result.switching = (double)p->switching_ms / (double)(p->now - ORIGIN_MS);
    p->result.visitor = median_of_visitors(p->t);
}

static struct result replay(struct replay *p)
{
    uint64_t end = p->t->horizon_ms ? ORIGIN_MS + p->t->horizon_ms : SCHED_NEVER;
    while (p->left && p->now < end) {
        uint64_t at = next_time(p);
        if (at == SCHED_NEVER)
            die("%u requests are left, and nothing will ever happen", p->left);
        go_to(p, min(at > p->now ? at : p->now, end));
        step_engines(p);
        for (unsigned i = 0; i < p->t->n_sessions; i++)
            step_session(p, &p->t->sessions[i]);
        p->policy->act(p);
    }
    count_waiting(p);
    summarize_replay(p);
    return p->result;
}

/* --- hostler ----------------------------------------------------------------------------- */

static void sched_tell(struct replay *p, enum sched_event_type what, unsigned model,
                       struct task *task)
{
    struct sched_model *m = &p->engines[model].m;
    struct sched_event event = {.type = what,
                                .model = m,
                                .instance = LIST_FIRST(&m->instances),
                                .request = task ? &task->r : NULL};
    if (what == SCHED_EV_REQUEST)
        task->r = (struct sched_request){.model = m, .may_load = true};
    if (what == SCHED_EV_READY)
        m->load_ms = p->now - p->engines[model].spawned_at;
    sched_event(&p->s, &event, p->now);
}

static struct sched_instance *unused_instance(struct replay *p)
{
    unsigned i = 0;
    while (p->instances[i].state != SCHED_UNLOADED)
        i++;
    return &p->instances[i];
}

/* When the session needs that model next, as far as can be said: as if nobody waited from now on.
 * Not asked beyond `limit`. */
static uint64_t next_need(const struct replay *p, const struct session *n, unsigned model,
                          uint64_t limit)
{
    const struct task *task = &p->t->tasks[n->first + n->asked], *end = task + n->n - n->asked;
    uint64_t at = n->next_at;
    if (at == SCHED_NEVER && n->asked && task < end) {
        uint64_t over = task[-1].end == SCHED_NEVER ? p->now + task[-1].run_ms : task[-1].end;
        at = over + task->gap_ms;
    }
    for (; task < end && at < limit; task++) {
        if (task->model == model)
            return at;
        at += (n->open ? 0 : task->run_ms) + (task + 1 < end ? task[1].gap_ms : 0);
    }
    return limit;
}

/* The scheduler judges how soon a model is needed by how long it was not; so it is told the former
 * for the latter. Nothing else depends on that when there is no ttl. */
static void foresee(struct replay *p)
{
    for (unsigned i = 0; i < p->t->n_models; i++) {
        struct engine *e = &p->engines[i];
        uint64_t at = p->now + ORIGIN_MS / 2;
        for (unsigned k = 0; k < p->t->n_sessions; k++)
            at = next_need(p, &p->t->sessions[k], i, at);
        e->m.load_ms = p->patience * e->load_ms;
        if (LIST_FIRST(&e->m.instances))
            LIST_FIRST(&e->m.instances)->last_used = LIST_FIRST(&e->m.instances)->last_granted =
                2 * p->now - at;
        e->m.pauses[0] = 0; /* whether it is worth waiting for is seen by the former alone */
    }
}

static void sched_act(struct replay *p)
{
    struct sched_action a;
    if (p->patience)
        foresee(p);
    if (sched_deadline(&p->s) <= p->now)
        sched_event(&p->s, &(struct sched_event){.type = SCHED_EV_TICK}, p->now);
    while (sched_next(&p->s, p->now, &a)) {
        if (a.type == SCHED_ACT_GRANT)
            grant(p, (struct task *)a.request);
        else if (a.type == SCHED_ACT_SPAWN) {
            spawn(p, (struct engine *)a.model);
            p->s.spare = unused_instance(p);
        } else if (a.type == SCHED_ACT_STOP)
            stop(p, (struct engine *)a.model);
        else
            die("a request was rejected: %s", sched_reject_name(a.reject));
    }
}

static uint64_t deadline_of_sched(const struct replay *p)
{
    return sched_deadline(&p->s);
}

struct result replay_sched(struct trace *t, const struct setting *set, bool parallel)
{
    static const struct policy policy = {sched_tell, sched_act, deadline_of_sched};
    static struct replay p;
    replay_init(&p, t, parallel);
    p.policy = &policy;
    p.patience = set->patience;
    sched_init(&p.s, &(struct sched_config){.devices = 1,
                                            .turn = set->turn,
                                            .max_wait_ms = set->max_wait_ms,
                                            .loads_max = set->loads_max,
                                            .ceiling = {(uint64_t)t->budget_gb * GB}});
    p.s.spare = unused_instance(&p);
    for (unsigned i = 0; i < t->n_models; i++) {
        p.engines[i].m.next.bytes[0] = (uint64_t)t->gb[i] * GB;
        p.engines[i].m.priority = t->priority[i];
        p.engines[i].m.cold = !parallel;
        sched_tell(&p, SCHED_EV_ADD, i, NULL);
    }
    return replay(&p);
}

struct result replay_offline(struct trace *t, bool parallel)
{
    static const uint64_t waits[] = {10000, 20000, 30000, 60000};
    static const struct {
        unsigned turn;
        unsigned patience;
    } stays[] = {{0, 1}, {2, 1}, {2, 2}, {2, 4}};
    struct result best = {.waited = INFINITY};
    for (unsigned i = 0; i < 32; i++) {
        struct setting set = {waits[i / 4 % 4], stays[i % 4].turn, i / 16, stays[i % 4].patience};
        struct result r = replay_sched(t, &set, parallel);
        if (r.waited < best.waited)
            best = r;
    }
    return best;
}

/* --- LRU --------------------------------------------------------------------------------- */

/* When the oldest who waits for it came; SCHED_NEVER: nobody waits. */
static uint64_t oldest_waiter(const struct replay *p, unsigned model)
{
    uint64_t since = SCHED_NEVER;
    for (unsigned i = 0; i < p->t->n_sessions; i++) {
        const struct session *n = &p->t->sessions[i];
        for (unsigned k = n->first + n->over; k < n->first + n->asked; k++)
            if (p->t->tasks[k].end == SCHED_NEVER && p->t->tasks[k].model == model)
                since = min(since, p->t->tasks[k].since);
    }
    return since;
}

static void lru_grant_all(struct replay *p)
{
    for (unsigned i = 0; i < p->t->n_sessions; i++) {
        const struct session *n = &p->t->sessions[i];
        for (unsigned k = n->first + n->over; k < n->first + n->asked; k++) {
            struct task *task = &p->t->tasks[k];
            if (task->end == SCHED_NEVER && p->engines[task->model].state == ENGINE_UP)
                grant(p, task);
        }
    }
}

static struct engine *lru_victim(struct replay *p)
{
    struct engine *victim = NULL;
    for (unsigned i = 0; i < p->t->n_models; i++) {
        struct engine *e = &p->engines[i];
        if (e->state == ENGINE_UP && !e->busy && (!victim || e->granted_at < victim->granted_at))
            victim = e;
    }
    return victim;
}

/* Who is first in the queue, and how many are in it. */
static struct engine *lru_queue(struct replay *p, unsigned *n)
{
    uint64_t oldest = SCHED_NEVER;
    struct engine *first = NULL;
    *n = 0;
    for (unsigned i = 0; i < p->t->n_models; i++) {
        uint64_t since = oldest_waiter(p, i);
        enum engine_state state = p->engines[i].state;
        if (since == SCHED_NEVER || state == ENGINE_UP || state == ENGINE_LOADING)
            continue;
        ++*n;
        if (state == ENGINE_NONE && since < oldest) {
            oldest = since;
            first = &p->engines[i];
        }
    }
    return first;
}

static void lru_act(struct replay *p)
{
    unsigned wanted;
    struct engine *first, *victim;
    lru_grant_all(p);
    for (;;) {
        unsigned there = p->t->n_models - count_engines(p, ENGINE_NONE);
        unsigned coming = p->models_max - there + count_engines(p, ENGINE_STOPPING);
        first = lru_queue(p, &wanted);
        if (first && there < p->models_max)
            spawn(p, first);
        else if (wanted > coming && (victim = lru_victim(p)))
            stop(p, victim);
        else
            return;
    }
}

static void lru_tell(struct replay *p, enum sched_event_type what, unsigned model,
                     struct task *task)
{
    (void)p, (void)what, (void)model, (void)task; /* the record of the replay is all it needs */
}

static uint64_t lru_deadline(const struct replay *p)
{
    (void)p;
    return SCHED_NEVER;
}

static int by_size(const void *a, const void *b)
{
    return *(const int *)b - *(const int *)a;
}

/* How many engines may run at once so that they fit whichever they are. */
static unsigned safe_models_max(const struct trace *t)
{
    unsigned n = 0, used = 0, gb[MODELS_MAX];
    memcpy(gb, t->gb, sizeof gb);
    qsort(gb, t->n_models, sizeof *gb, by_size);
    while (n < t->n_models && used + gb[n] <= t->budget_gb)
        used += gb[n++];
    return n;
}

struct result replay_lru(struct trace *t, bool parallel)
{
    static const struct policy policy = {lru_tell, lru_act, lru_deadline};
    static struct replay p;
    replay_init(&p, t, parallel);
    p.policy = &policy;
    p.models_max = safe_models_max(t);
    return replay(&p);
}
