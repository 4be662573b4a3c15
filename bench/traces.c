/* SPDX-License-Identifier: MIT */
/*
 * How long requests wait: the scheduler on traces, in virtual time, beside what else one could do.
 *
 *  - hostler: src/sched as it is, with a budget of memory. It begins without knowing any load time.
 *  - LRU: what llama.cpp's router does. At most `models_max` engines; models queue in the order in
 *    which they were asked for; the idle engine whose last request began the longest ago goes, and
 *    if nobody is idle, they wait until somebody is. `models_max` is the largest that is safe: so
 *    many of the trace's largest models fit into the budget.
 *  - offline: knows the future. hostler's queue, but whoever must go is chosen by what loading it
 *    takes over the time until it is needed next (Belady, weighted); and of the settings in
 *    replay_offline() the one that does best on that very trace and seed.
 *
 * A trace is a set of sessions: a closed one asks when its last request has been answered (a person,
 * an agent), an open one whatever happens (many people). So all policies see the same work. Loads
 * take 1 s and 1 s a gigabyte, and share the disk: n at once take n times as long (--parallel: files
 * are in the page cache, and they do not disturb each other). A ready model serves all its requests side by side.
 *
 * A ratio is of sums over the seeds. Prints Markdown; the same seeds give the same figures.
 *
 *     traces [--seeds N] [--residence MS] [--max-wait MS] [--loads N] [--parallel] [--sweep]
 */
#include "sched/sched.h"

#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MODELS_MAX = 8, SESSIONS_MAX = 16, TASKS_MAX = 20000, SEEDS_MAX = 200 };
enum { LOAD_FIXED_MS = 1000, LOAD_MS_A_GB = 1000, STOP_MS = 500 };
enum { ORIGIN_MS = 1 << 30 }; /* of time: foresee() sets times before it */

#define GB 1000000000u

/* --- Traces ------------------------------------------------------------------------------ */

/* A request of a trace, and of one replay of it. */
struct task {
    struct sched_request r; /* first: it is found by its address */
    unsigned model, session;
    uint64_t gap_ms; /* after the session's last one was answered (closed) or asked (open) */
    uint64_t run_ms;
    uint64_t since, end; /* of this replay: when asked; when answered, SCHED_NEVER: waits */
};

struct session {
    bool open;
    unsigned first, n; /* its tasks */
    unsigned asked;    /* of this replay: how many of them are */
    uint64_t next_at; /* when the next one is; SCHED_NEVER: its predecessor runs, or none is left */
};

struct trace {
    uint64_t random;
    unsigned budget_gb;
    unsigned n_models, n_sessions, n_tasks;
    unsigned gb[MODELS_MAX];
    int priority[MODELS_MAX];
    struct session sessions[SESSIONS_MAX];
    struct task tasks[TASKS_MAX];
};

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("traces: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

/* splitmix64 (Steele, Lea, Flood 2014) */
static uint64_t draw(struct trace *t)
{
    uint64_t z = (t->random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t between(struct trace *t, uint64_t low, uint64_t high)
{
    return low + draw(t) % (high - low + 1);
}

/* Gaps of arrivals that know nothing of each other. */
static uint64_t exponential(struct trace *t, double mean)
{
    double u = ((double)(draw(t) >> 11) + 1) / 9007199254740993.0;
    return (uint64_t)(-mean * log(u));
}

static void add_model(struct trace *t, unsigned gb, int priority)
{
    t->gb[t->n_models] = gb;
    t->priority[t->n_models++] = priority;
}

static void begin_session(struct trace *t, bool open)
{
    if (t->n_sessions == SESSIONS_MAX)
        die("more than %d sessions", SESSIONS_MAX);
    t->sessions[t->n_sessions++] = (struct session){.open = open, .first = t->n_tasks};
}

static void add_task(struct trace *t, unsigned model, uint64_t gap_ms, uint64_t run_ms)
{
    if (t->n_tasks == TASKS_MAX)
        die("more than %d requests", TASKS_MAX);
    t->sessions[t->n_sessions - 1].n++;
    t->tasks[t->n_tasks++] = (struct task){
        .model = model, .session = t->n_sessions - 1, .gap_ms = gap_ms, .run_ms = run_ms};
}

/* Whoever uses one model all the time, and is not in a hurry. */
static void add_user(struct trace *t, unsigned model, unsigned n, uint64_t gap_ms)
{
    begin_session(t, false);
    for (unsigned i = 0; i < n; i++)
        add_task(t, model, exponential(t, (double)gap_ms), between(t, 2000, 8000));
}

static void add_stream(struct trace *t, unsigned model, unsigned n, uint64_t gap_ms)
{
    begin_session(t, true);
    for (unsigned i = 0; i < n; i++)
        add_task(t, model, exponential(t, (double)gap_ms), between(t, 2000, 8000));
}

/* Two people, each with a model of their own, in bursts of requests; only one model fits. */
static void add_ping_pong(struct trace *t, uint64_t pause_least, uint64_t pause_most)
{
    t->budget_gb = 24;
    for (unsigned model = 0; model < 2; model++) {
        add_model(t, 14, 0);
        begin_session(t, false);
        for (unsigned burst = 0; burst < 40; burst++) {
            unsigned n = (unsigned)between(t, 4, 12);
            for (unsigned i = 0; i < n; i++)
                add_task(t, model,
                         i ? between(t, pause_least, pause_most) : between(t, 20000, 120000),
                         between(t, 2000, 6000));
        }
    }
}

static void make_ping_pong(struct trace *t)
{
    add_ping_pong(t, 500, 3000);
}

/* The same with pauses for thought: whoever waits for the end of a pause often does so in vain. */
static void make_slow_ping_pong(struct trace *t)
{
    add_ping_pong(t, 4000, 20000);
}

/* A large model that four people use, and four others that are asked for now and then. */
static void make_hot(struct trace *t)
{
    static const unsigned visitors[] = {5, 7, 9, 11};
    t->budget_gb = 24;
    add_model(t, 12, 0);
    for (unsigned i = 0; i < 4; i++)
        add_user(t, 0, 300, 8000);
    for (unsigned i = 0; i < 4; i++) {
        add_model(t, visitors[i], 0);
        add_stream(t, i + 1, 40, 90000);
    }
}

/* Models of different sizes, all of which are used, and which together do not quite fit. */
static void make_over(struct trace *t)
{
    static const unsigned sizes[] = {12, 6, 4, 3, 2};
    t->budget_gb = 24;
    for (unsigned i = 0; i < 5; i++) {
        add_model(t, sizes[i], 0);
        add_stream(t, i, 120, between(t, 20000, 60000));
    }
}

/* The same with models of one size: there a budget of memory is as good as a number of engines. */
static void make_equal(struct trace *t)
{
    t->budget_gb = 24;
    for (unsigned i = 0; i < 5; i++) {
        add_model(t, 8, 0);
        add_stream(t, i, 480 >> i, 15000u << i);
    }
}

/* Agents that go from model to model every few seconds; two of three fit. */
static void make_agents(struct trace *t)
{
    static const unsigned sizes[] = {10, 8, 7};
    t->budget_gb = 20;
    for (unsigned i = 0; i < 3; i++)
        add_model(t, sizes[i], 0);
    for (unsigned agent = 0; agent < 4; agent++) {
        unsigned model = agent % 3;
        begin_session(t, false);
        for (unsigned i = 0; i < 200; i++) {
            add_task(t, model, between(t, 200, 3000), between(t, 1000, 5000));
            model = (model + (unsigned)between(t, 0, 2)) % 3;
        }
    }
}

/* People who chat, and two batches of low priority that never rest. All three do not fit. */
static void make_priorities(struct trace *t)
{
    static const unsigned batches[] = {9, 12};
    t->budget_gb = 24;
    add_model(t, 10, 10);
    for (unsigned i = 0; i < 2; i++)
        add_user(t, 0, 120, 25000);
    for (unsigned i = 0; i < 2; i++) {
        add_model(t, batches[i], 0);
        begin_session(t, false);
        for (unsigned k = 0; k < 250; k++)
            add_task(t, i + 1, between(t, 100, 1000), between(t, 3000, 12000));
    }
}

static const struct kind {
    const char *name;
    void (*make)(struct trace *t);
} kinds[] = {
    {"ping-pong", make_ping_pong},   {"ping-pong, slow", make_slow_ping_pong},
    {"hot and visitors", make_hot},  {"just over the budget", make_over},
    {"equal sizes", make_equal},     {"agents that alternate", make_agents},
    {"priorities", make_priorities},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static void make_trace(struct trace *t, const struct kind *kind, uint64_t seed)
{
    *t = (struct trace){.random = seed};
    kind->make(t);
}

/* --- A replay ---------------------------------------------------------------------------- */

enum engine_state { ENGINE_NONE, ENGINE_LOADING, ENGINE_UP, ENGINE_STOPPING };

struct engine {
    struct sched_model m; /* first: it is found by its address */
    enum engine_state state;
    unsigned gb, busy;
    uint64_t spawned_at, gone_at;
    uint64_t granted_at; /* when its last request began, or it was ready */
    double work;         /* ms of the load that are left, if it has the disk to itself */
};

struct result {
    double waited, waited_first; /* s; the second of requests for models with a priority */
    double worst;
    unsigned loads;
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
    unsigned patience;   /* offline: residence as if loads took so many times as long; 0: hostler */
    unsigned models_max; /* LRU */
    bool parallel;
    unsigned left; /* tasks that are not answered */
    uint64_t now;
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
    p->result.waited += waited;
    p->result.waited_first += p->t->priority[task->model] > 0 ? waited : 0;
    p->result.worst = fmax(p->result.worst, waited);
}

static uint64_t load_ms(const struct engine *e)
{
    return LOAD_FIXED_MS + LOAD_MS_A_GB * (uint64_t)e->gb;
}

static void spawn(struct replay *p, struct engine *e)
{
    unsigned used = e->gb;
    for (unsigned i = 0; i < p->t->n_models; i++)
        used += p->engines[i].state != ENGINE_NONE ? p->engines[i].gb : 0;
    if (used > p->t->budget_gb)
        die("%u GB are used, of %u", used, p->t->budget_gb);
    e->state = ENGINE_LOADING;
    e->work = (double)load_ms(e);
    e->spawned_at = p->now;
    p->result.loads++;
}

static void stop(struct replay *p, struct engine *e)
{
    if (e->state != ENGINE_UP || e->busy)
        die("an engine was stopped that is busy or not ready");
    e->state = ENGINE_STOPPING;
    e->gone_at = p->now + STOP_MS;
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
        for (unsigned k = n->first; k < n->first + n->asked; k++)
            at = p->t->tasks[k].end > p->now ? min(at, p->t->tasks[k].end) : at;
    }
    return at;
}

static void go_to(struct replay *p, uint64_t at)
{
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
    for (unsigned k = n->first; k < n->first + n->asked; k++) {
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
    for (unsigned i = 0; i < t->n_models; i++)
        p->engines[i].gb = t->gb[i];
    for (unsigned i = 0; i < t->n_tasks; i++)
        t->tasks[i].end = 0;
    for (unsigned i = 0; i < t->n_sessions; i++) {
        t->sessions[i].asked = 0;
        set_next(p, &t->sessions[i]);
    }
}

static struct result replay(struct replay *p)
{
    while (p->left) {
        uint64_t at = next_time(p);
        if (at == SCHED_NEVER)
            die("%u requests are left, and nothing will ever happen", p->left);
        go_to(p, at > p->now ? at : p->now);
        step_engines(p);
        for (unsigned i = 0; i < p->t->n_sessions; i++)
            step_session(p, &p->t->sessions[i]);
        p->policy->act(p);
    }
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
        e->m.load_ms = p->patience * load_ms(e);
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

struct setting {
    uint64_t residence_ms, max_wait_ms;
    unsigned loads_max, patience;
};

static struct result replay_sched(struct trace *t, const struct setting *set, bool parallel)
{
    static const struct policy policy = {sched_tell, sched_act, deadline_of_sched};
    static struct replay p;
    replay_init(&p, t, parallel);
    p.policy = &policy;
    p.patience = set->patience;
    sched_init(&p.s, &(struct sched_config){.devices = 1,
                                            .residence_ms = set->residence_ms,
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

static struct result replay_offline(struct trace *t, bool parallel)
{
    static const uint64_t waits[] = {10000, 20000, 30000, 60000};
    static const struct {
        uint64_t residence_ms;
        unsigned patience;
    } stays[] = {{0, 1}, {SCHED_NEVER, 1}, {SCHED_NEVER, 2}, {SCHED_NEVER, 4}};
    struct result best = {.waited = INFINITY};
    for (unsigned i = 0; i < 32; i++) {
        struct setting set = {stays[i % 4].residence_ms, waits[i / 4 % 4], i / 16,
                              stays[i % 4].patience};
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
        for (unsigned k = n->first; k < n->first + n->asked; k++)
            if (p->t->tasks[k].end == SCHED_NEVER && p->t->tasks[k].model == model)
                since = min(since, p->t->tasks[k].since);
    }
    return since;
}

static void lru_grant_all(struct replay *p)
{
    for (unsigned i = 0; i < p->t->n_sessions; i++) {
        const struct session *n = &p->t->sessions[i];
        for (unsigned k = n->first; k < n->first + n->asked; k++) {
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

static struct result replay_lru(struct trace *t, bool parallel)
{
    static const struct policy policy = {lru_tell, lru_act, lru_deadline};
    static struct replay p;
    replay_init(&p, t, parallel);
    p.policy = &policy;
    p.models_max = safe_models_max(t);
    return replay(&p);
}

/* --- Report ------------------------------------------------------------------------------ */

enum { LRU, HOSTLER, OFFLINE, POLICIES };
static const char *const policy_names[] = {"LRU by count", "hostler", "offline"};

static struct options {
    unsigned seeds;
    bool parallel, sweep;
    struct setting set;
} options = {.seeds = 21, .set = {30000, 30000, 1, 0}};

struct summary {
    double median, least, most, sum;
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct summary summarize(const double *values)
{
    unsigned n = options.seeds;
    double sorted[SEEDS_MAX];
    struct summary s = {0};
    memcpy(sorted, values, n * sizeof *values);
    qsort(sorted, n, sizeof *sorted, by_value);
    for (unsigned i = 0; i < n; i++)
        s.sum += sorted[i];
    s.median = sorted[n / 2];
    s.least = sorted[0];
    s.most = sorted[n - 1];
    return s;
}

/* The figures of all seeds of a trace under a policy. */
struct figures {
    double waited[SEEDS_MAX], waited_first[SEEDS_MAX], worst[SEEDS_MAX], loads[SEEDS_MAX];
};

static void keep(struct figures *f, unsigned seed, const struct result *r)
{
    f->waited[seed] = r->waited;
    f->waited_first[seed] = r->waited_first;
    f->worst[seed] = r->worst;
    f->loads[seed] = r->loads;
}

static void print_summary(const double *values)
{
    struct summary s = summarize(values);
    printf(" %.0f (%.0f–%.0f) |", s.median, s.least, s.most);
}

static double sum_of(const struct figures *f)
{
    return summarize(f->waited).sum;
}

static double worst_ratio(const struct figures *f, const struct figures *base)
{
    double worst = 0;
    for (unsigned i = 0; i < options.seeds; i++)
        worst = fmax(worst, f->waited[i] / base->waited[i]);
    return worst;
}

static void print_row(const char *name, const char *policy, const struct figures *f,
                      const struct figures *base)
{
    printf("| %s | %s |", name, policy);
    print_summary(f->waited);
    print_summary(f->loads);
    print_summary(f->worst);
    printf(" %.2f | %.2f |\n", sum_of(f) / sum_of(base), worst_ratio(f, base));
}

static struct trace trace;

static void measure(const struct kind *kind, unsigned policy, const struct setting *set,
                    struct figures *out)
{
    for (unsigned i = 0; i < options.seeds; i++) {
        struct result r;
        make_trace(&trace, kind, i + 1);
        if (policy == LRU)
            r = replay_lru(&trace, options.parallel);
        else if (policy == HOSTLER)
            r = replay_sched(&trace, set, options.parallel);
        else
            r = replay_offline(&trace, options.parallel);
        keep(out, i, &r);
    }
}

/* Of the set: every trace counts the same (geometric mean), and every second does (sums). */
static void print_set(double sums[POLICIES], double logs[POLICIES])
{
    for (unsigned i = 0; i < POLICIES; i++)
        printf("| **all** | %s | sum %.0f | | | %.2f | geometric mean %.2f |\n", policy_names[i],
               sums[i] / options.seeds, sums[i] / sums[LRU], exp(logs[i] / KINDS));
}

static void print_table(void)
{
    static struct figures f[KINDS][POLICIES];
    double sums[POLICIES] = {0}, logs[POLICIES] = {0};
    printf("Waiting in seconds, median over %u seeds (least–most).\n\n", options.seeds);
    puts("| trace | policy | waited in all | loads | worst wait | to LRU | worst seed |\n"
         "| --- | --- | --- | --- | --- | --- | --- |");
    for (unsigned k = 0; k < KINDS; k++)
        for (unsigned i = 0; i < POLICIES; i++) {
            measure(&kinds[k], i, &options.set, &f[k][i]);
            print_row(i ? "" : kinds[k].name, policy_names[i], &f[k][i], &f[k][LRU]);
            sums[i] += sum_of(&f[k][i]);
            logs[i] += log(sum_of(&f[k][i]) / sum_of(&f[k][LRU]));
        }
    print_set(sums, logs);
    puts("\nOf *priorities*, those with a priority waited:\n");
    puts("| policy | seconds |\n| --- | --- |");
    for (unsigned i = 0; i < POLICIES; i++) {
        printf("| %s |", policy_names[i]);
        print_summary(f[KINDS - 1][i].waited_first);
        puts("");
    }
}

/* hostler to LRU, by trace and in all, for one setting. */
static void print_setting(const struct setting *set, const double base[KINDS])
{
    static struct figures f;
    double all = 0, all_base = 0;
    printf("| %llu | %llu | %u |", (unsigned long long)set->residence_ms,
           (unsigned long long)set->max_wait_ms, set->loads_max);
    for (unsigned k = 0; k < KINDS; k++) {
        measure(&kinds[k], HOSTLER, set, &f);
        all += sum_of(&f);
        all_base += base[k];
        printf(" %.2f |", sum_of(&f) / base[k]);
    }
    printf(" %.2f |\n", all / all_base);
}

static void print_sweep(void)
{
    static const uint64_t residences[] = {0, 2000, 5000, 10000, 30000, 60000};
    static const uint64_t waits[] = {5000, 10000, 15000, 20000, 30000, 60000};
    static struct figures f;
    double base[KINDS];
    fputs("| residence_ms | max_wait_ms | loads_max |", stdout);
    for (unsigned k = 0; k < KINDS; k++) {
        measure(&kinds[k], LRU, NULL, &f);
        base[k] = sum_of(&f);
        printf(" %s |", kinds[k].name);
    }
    fputs(" all |\n| --- | --- | --- |", stdout);
    for (unsigned k = 0; k <= KINDS; k++)
        fputs(" --- |", stdout);
    puts("");
    for (unsigned r = 0; r < sizeof residences / sizeof *residences; r++)
        for (unsigned w = 0; w < sizeof waits / sizeof *waits; w++)
            for (unsigned loads = 0; loads < 2; loads++)
                print_setting(&(struct setting){residences[r], waits[w], loads, 0}, base);
}

static uint64_t number(const char *text)
{
    char *end;
    unsigned long long n = strtoull(text, &end, 10);
    if (end == text || *end)
        die("not a number: %s", text);
    return n;
}

int main(int argc, char **argv)
{
    static const struct option list[] = {{"seeds", required_argument, NULL, 's'},
                                         {"residence", required_argument, NULL, 'r'},
                                         {"max-wait", required_argument, NULL, 'w'},
                                         {"loads", required_argument, NULL, 'l'},
                                         {"parallel", no_argument, NULL, 'p'},
                                         {"sweep", no_argument, NULL, 'x'},
                                         {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", list, NULL)) != -1;) {
        if (c == 's')
            options.seeds = (unsigned)number(optarg);
        else if (c == 'r')
            options.set.residence_ms = number(optarg);
        else if (c == 'w')
            options.set.max_wait_ms = number(optarg);
        else if (c == 'l')
            options.set.loads_max = (unsigned)number(optarg);
        else if (c == 'p')
            options.parallel = true;
        else if (c == 'x')
            options.sweep = true;
        else
            return 2;
    }
    if (options.seeds < 1 || options.seeds > SEEDS_MAX)
        die("--seeds takes 1 to %d", SEEDS_MAX);
    if (options.sweep)
        print_sweep();
    else
        print_table();
    return 0;
}
