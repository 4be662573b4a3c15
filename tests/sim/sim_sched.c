/* SPDX-License-Identifier: MIT */
/*
 * Simulation of the scheduler: random worlds from a seed, driven through the public interface only,
 * with a record of engines and clients beside it that is kept from the actions alone. What is
 * checked:
 *
 *  - at each action: whether it may be given at all, in this world, now (check_grant and so on);
 *  - whenever nothing is left to do: the scheduler's counters against a recount, and that nobody
 * waits who could be served, or at whose cost somebody could (check_rest);
 *  - after a request, in a `strict` world: that it got the answer which the rules promise;
 *  - in the end: that everybody is answered within a bound, and that all engines can be stopped.
 *
 * In a strict world all actions are pulled after each event. In the others events come between
 * pulls, so that the races are seen which an action being performed brings about.
 *
 * The bound. Let loading take at most T, a lease L, a stop K; N models; and let there be fewer
 * pinned models than places. Once a waiting model B is the oldest and overdue, each unpinned engine
 * that has a place is loading (at most T, then ready), ready (it is stopped when idle, or yields,
 * or another place is to come: at most L), or stopping (at most K). So a place comes free after T +
 * L + K, and it is B's. A model that was served and waits again is younger than B, so at most N - 1
 * models come before it, and its own load takes T. Before all this B may have to wait until it is
 * overdue, and for its own engine to end, if that drains, yields or stops: L + K. In all:
 *
 *     max_wait + N * (T + L + K) + T + L + K,   and never more than wait_timeout if there is one.
 *
 * Where there are turns, each engine that serves may have one first, of max_wait at most; sim_turns
 * holds turns to closer bounds. It holds whatever new requests come to the resident models, and without max_wait if none come.
 *
 *     sim_sched [--seed N] [--events N] [--worlds N] [--only OPS] [-v]
 *
 * The events are shared out evenly among the worlds. World i has the seed N + i, so that a world
 * that fails can be replayed alone; the command for it is printed.
 */
#include "sched/sched.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_OPS = 100000 };
enum { EVENTS_A_WORLD = 400, MODELS = 12, CLIENTS = 48, TRACE_LINES = 60, TRACE_WIDTH = 160 };
/* T, L and K of the bound; K is more by what saving may take. */
enum { LOAD_MS = 400, LEASE_MS = 300, STOP_MS = 100, SAVED_MS = 2000 };
enum { DEVICES = 2, FILES = 3, BACK_OFF_MAX_MS = 30000 };

enum engine_state { ENGINE_NONE, ENGINE_LOADING, ENGINE_UP, ENGINE_SAVING, ENGINE_STOPPING };
enum client_state { CLIENT_OUT, CLIENT_ASKED, CLIENT_SERVED };

struct engine {
    struct sched_instance i; /* first: it is found by its address */
    TAILQ_ENTRY(engine) link;
    enum engine_state state;
    unsigned id;
    struct catalog_model *model;
    bool outdated;         /* its model's arguments have changed since */
    bool yielded;          /* when that was last noticed, before its stop */
    bool has_place;        /* until its replacement takes it over */
    uint64_t wanted_since; /* by the operator whom it was spawned for; SCHED_NEVER */
    bool draining;         /* somebody asked it to end: until when, why, and whether at once */
    bool unload_due;       /* when it is idle */
    bool killed, broken;
    uint64_t drain_until;
    enum sched_stop_reason drain_reason;
    bool stop_given, force_given;
    bool deaf;      /* never reports the end of a save */
    bool save_over; /* the end of its save was reported */
    enum sched_stop_reason save_reason;
    uint64_t least_gain;  /* of its save, so far */
    uint64_t press_until; /* while it is saved: others wait for so long; SCHED_NEVER: none does */
    uint64_t last_used, loaded;
    uint64_t at; /* in the end phase: when it does its next step */
};

struct catalog_model {
    struct sched_model m;
    bool listed, wanted;
    uint64_t wanted_since, held_until;
};

struct client {
    struct sched_request r;
    enum client_state state;
    struct engine *engine; /* that serves it */
    bool rejected;         /* by the event that is being handled */
    enum sched_reject_reason reason;
    bool unread; /* its client left, */
    uint64_t lapses_at;
    bool judged;       /* in the end phase: was there when it began */
    uint64_t since, n; /* ms; order of arrival */
    uint64_t at;       /* in the end phase: when it is done */
};

struct world {
    struct sched s;
    struct sched_config config;
    struct catalog_model models[MODELS];
    struct client clients[CLIENTS];
    struct sched_weights files[FILES];
    TAILQ_HEAD(, engine) engines; /* that were spawned, in their order, until they may be freed */
    unsigned n_models;
    bool strict, shutdown;
    bool fixed;         /* max_leases does not change */
    bool plain;         /* only places are short: then much more can be said of what must happen */
    bool interrupted;   /* events came since the first of the actions that are being pulled */
    unsigned shortages; /* of the host's memory, so far */
    bool ending;        /* the end phase has begun */
    bool resident;      /* in the end phase: whoever is served asks again */
    const struct engine *victim;       /* that is being judged */
    const struct catalog_model *first; /* whose turn it is, while that is being judged */
    uint64_t seed, random, now, event, arrivals;
    uint64_t ticked_at;
    unsigned op; /* of random_event(): what is drawn in it depends on this and the seed alone */
    unsigned spawned; /* how many there were */
    unsigned depth;
    char trace[TRACE_LINES][TRACE_WIDTH];
    uint64_t traced;
};

static struct totals {
    uint64_t events, grants, rejects, spawns, stops, evictions, shortages, yields, replaced,
        own_failures, saves, saved, cut, resumed;
} totals;

static bool verbose, quiet;
static int failed_line;                /* that is being shrunk */
static unsigned only[MAX_OPS], n_only; /* the ops that are carried out; none: all */
static unsigned long long events_a_world;

/* --- Chance, trace, failure -------------------------------------------------------------- */

/* splitmix64 (Steele, Lea, Flood 2014) */
static uint64_t draw(struct world *w)
{
    uint64_t z = (w->random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static unsigned below(struct world *w, unsigned n)
{
    return (unsigned)(draw(w) % n);
}

static bool one_in(struct world *w, unsigned n)
{
    return below(w, n) == 0;
}

__attribute__((format(printf, 2, 3))) static void trace(struct world *w, const char *fmt, ...)
{
    char *line = w->trace[w->traced++ % TRACE_LINES];
    int n = snprintf(line, TRACE_WIDTH, "%6llu %8llu ms  ", (unsigned long long)w->event,
                     (unsigned long long)w->now);
    va_list args;
    va_start(args, fmt);
    vsnprintf(line + n, TRACE_WIDTH - (size_t)n, fmt, args);
    va_end(args);
    if (verbose)
        puts(line);
}

static void shrink(const struct world *w);

__attribute__((noreturn)) static void fail(const struct world *w, int line, const char *what)
{
    uint64_t first = w->traced > TRACE_LINES ? w->traced - TRACE_LINES : 0;
    if (quiet)
        _exit(line == failed_line ? 1 : 2);
    for (uint64_t i = first; i < w->traced && !verbose; i++)
        puts(w->trace[i % TRACE_LINES]);
    printf("config: models=%u models_max=%u loads_max=%u max_queue=%u devices=%u max_wait=%llu "
           "wait_timeout=%llu turn=%u hopeless=%llu max_failures=%u strict=%d plain=%d\n",
           w->n_models, w->config.models_max, w->config.loads_max, w->config.max_queue,
           w->config.devices, (unsigned long long)w->config.max_wait_ms,
           (unsigned long long)w->config.wait_timeout_ms, w->config.turn,
           (unsigned long long)w->config.hopeless_ms, w->config.max_failures, w->strict, w->plain);
    printf("FAILED (line %d): %s\nseed %llu, event %llu, op %u\n", line, what,
           (unsigned long long)w->seed, (unsigned long long)w->event, w->op);
    failed_line = line;
    if (!n_only)
        shrink(w);
    fflush(stdout);
    _exit(1);
}

#define CHECK(condition, what)                                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail(w, __LINE__, what);                                                               \
    } while (0)

static unsigned index_of(const struct world *w, const struct sched_model *m)
{
    return (unsigned)((const struct catalog_model *)m - w->models);
}

static unsigned number_of(const struct world *w, const struct sched_request *r)
{
    return (unsigned)((const struct client *)r - w->clients);
}

/* --- What the record says ---------------------------------------------------------------- */

static uint64_t sum(uint64_t t, uint64_t ms)
{
    return ms > SCHED_NEVER - t ? SCHED_NEVER : t + ms;
}

static bool lives(const struct engine *e)
{
    return e->state != ENGINE_NONE;
}

static bool is_of(const struct engine *e, const struct catalog_model *m)
{
    return !m || e->model == m;
}

/* Engines that live; those of one model if `m` is not NULL. */
#define EACH_ENGINE(e, w, m)                                                                       \
    TAILQ_FOREACH (e, &(w)->engines, link)                                                         \
        if (lives(e) && is_of(e, m))

static unsigned count_engines(const struct world *w)
{
    unsigned n = 0;
    const struct engine *e;
    EACH_ENGINE (e, w, NULL)
        n++;
    return n;
}

/* Without those whose place their replacement has taken over. */
static unsigned count_taken(const struct world *w)
{
    unsigned n = 0;
    const struct engine *e;
    EACH_ENGINE (e, w, NULL)
        n += e->has_place;
    return n;
}

static bool is_in_state(const struct world *w, const struct catalog_model *m,
                        enum sched_state state)
{
    const struct engine *e;
    EACH_ENGINE (e, w, m)
        if (e->i.state == state)
            return true;
    return false;
}

static bool is_loading(const struct world *w, const struct catalog_model *m)
{
    const struct engine *e;
    EACH_ENGINE (e, w, m)
        if (e->state == ENGINE_LOADING && e->i.state == SCHED_LOADING)
            return true;
    return false;
}

static unsigned count_leases(const struct world *w, const struct engine *e)
{
    unsigned n = 0;
    for (unsigned i = 0; i < CLIENTS; i++)
        n += w->clients[i].state == CLIENT_SERVED && w->clients[i].engine == e;
    return n;
}

/* Leases that keep the engine in service. */
static unsigned count_readers(const struct world *w, const struct engine *e)
{
    unsigned n = 0;
    for (unsigned i = 0; i < CLIENTS; i++) {
        const struct client *c = &w->clients[i];
        n += c->state == CLIENT_SERVED && c->engine == e && !c->r.lapsed;
    }
    return n;
}

/* Clients of `m` in `state`. */
static unsigned count_clients(const struct world *w, const struct catalog_model *m,
                              enum client_state state)
{
    unsigned n = 0;
    for (unsigned i = 0; i < CLIENTS; i++)
        n += w->clients[i].r.model == &m->m && w->clients[i].state == state;
    return n;
}

static unsigned count_asked(const struct world *w)
{
    unsigned n = 0;
    for (unsigned i = 0; i < w->n_models; i++)
        n += count_clients(w, &w->models[i], CLIENT_ASKED);
    return n;
}

static uint64_t oldest_client(const struct world *w, const struct catalog_model *m)
{
    uint64_t since = SCHED_NEVER;
    for (unsigned i = 0; i < CLIENTS; i++) {
        const struct client *c = &w->clients[i];
        if (c->r.model == &m->m && c->state == CLIENT_ASKED && c->since < since)
            since = c->since;
    }
    return since;
}

/* Since when somebody has wished that it were loaded. */
static uint64_t oldest_wish(const struct world *w, const struct catalog_model *m)
{
    uint64_t since = oldest_client(w, m);
    return m->wanted && m->wanted_since < since ? m->wanted_since : since;
}

/* What its requests wait for, from its engines. */
static enum sched_waits expected_waits(const struct world *w, const struct catalog_model *m)
{
    const struct engine *e;
    bool due = false, beside = false, wish = oldest_wish(w, m) != SCHED_NEVER;
    EACH_ENGINE (e, w, m) {
        bool leaves = e->draining || sched_instance_is_stopping(&e->i);
        if (e->state == ENGINE_LOADING && !leaves)
            return SCHED_WAITS_NOT;
        if (!leaves && (!e->i.replacement_due || e->unload_due))
            return SCHED_WAITS_NOT;
        if (!e->outdated)
            return SCHED_WAITS_NOT;
        due |= !leaves;
        beside |= leaves && e->has_place;
    }
    if (due || (wish && beside))
        return SCHED_WAITS_BESIDE;
    return wish ? SCHED_WAITS_PLACE : SCHED_WAITS_NOT;
}

static bool wishes_place(const struct world *w, const struct catalog_model *m)
{
    return expected_waits(w, m) == SCHED_WAITS_PLACE;
}

static bool is_held(const struct world *w, const struct catalog_model *m)
{
    return m->held_until > w->now;
}

/* The engine that would serve a request; NULL. */
static struct engine *open_engine(const struct world *w, const struct catalog_model *m)
{
    struct engine *e;
    EACH_ENGINE (e, w, m)
        if (e->state == ENGINE_UP && e->i.state == SCHED_READY && !e->draining)
            return e;
    return NULL;
}

static bool is_open(const struct world *w, const struct catalog_model *m)
{
    return open_engine(w, m) != NULL;
}

/* Leases at an engine that count for max_leases. */
static unsigned count_active(const struct world *w, const struct engine *e)
{
    unsigned n = 0;
    for (unsigned i = 0; i < CLIENTS; i++) {
        const struct client *c = &w->clients[i];
        n += c->state == CLIENT_SERVED && !c->r.passive && c->engine == e;
    }
    return n;
}

/* Of them those that have not lapsed. */
static unsigned count_users(const struct world *w, const struct engine *e)
{
    unsigned n = 0;
    for (unsigned i = 0; i < CLIENTS; i++) {
        const struct client *c = &w->clients[i];
        n += c->state == CLIENT_SERVED && !c->r.passive && !c->r.lapsed && c->engine == e;
    }
    return n;
}

static bool is_full(const struct world *w, const struct engine *e)
{
    return e->model->m.max_leases && count_active(w, e) >= e->model->m.max_leases;
}

struct places {
    unsigned wishes, overdue, stopping, draining, yielding;
};

static struct places count_places(const struct world *w)
{
    struct places p = {0};
    for (unsigned i = 0; i < w->n_models; i++) {
        const struct catalog_model *m = &w->models[i];
        p.wishes += wishes_place(w, m);
        p.overdue += wishes_place(w, m) && sum(oldest_wish(w, m), w->config.max_wait_ms) <= w->now;
    }
    const struct engine *e;
    EACH_ENGINE (e, w, NULL) {
        p.stopping += e->state == ENGINE_SAVING || e->state == ENGINE_STOPPING;
        p.draining += e->state == ENGINE_UP && e->draining;
        p.yielding += e->i.state == SCHED_YIELDING;
    }
    return p;
}

/* --- Room, from the record --------------------------------------------------------------- */

typedef bool filter(const struct world *w, const struct engine *e);

static bool leaves(const struct engine *e)
{
    return e->state == ENGINE_SAVING || e->state == ENGINE_STOPPING;
}

static bool is_idle(const struct world *w, const struct engine *e)
{
    return e->state == ENGINE_UP && !e->draining && !e->model->m.pinned && !count_readers(w, e);
}

static uint64_t greater(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* From when on the engine must give its place to the model that waits for it. */
static uint64_t turn_end(const struct world *w, const struct engine *e)
{
    uint64_t most = w->config.max_wait_ms;
    const struct sched_model *m = &e->model->m, *other = TAILQ_FIRST(&w->s.waiting_models);
    if (!w->config.turn)
        return other && sum(other->waiting_since, most) <= w->now ? 0 : SCHED_NEVER;
    bool rival = w->s.queued && e->i.rival_since != SCHED_NEVER;
    uint64_t change = m->stop_ms + m->load_ms + (rival ? e->i.rival_cost : 0);
    uint64_t turn = greater(w->config.turn * change, SCHED_TURN_MIN_MS);
    uint64_t end = sum(e->loaded, smaller(turn, most));
    return rival ? greater(end, sum(e->i.rival_since, smaller(change / 2, most))) : end;
}

static bool has_had_turn(const struct world *w, const struct engine *e)
{
    return e->i.state == SCHED_YIELDING || e->yielded || turn_end(w, e) <= w->now;
}

/* Not in a pause that is worth waiting for. */
static bool stayed(const struct world *w, const struct engine *e)
{
    const struct sched_model *m = &e->model->m;
    uint64_t pause = greater(m->load_ms / 4, SCHED_PAUSE_MIN_MS);
    bool paused = w->config.turn && sum(e->last_used, pause) > w->now &&
                  (m->pauses[0] <= pause || m->pauses[1] <= pause);
    return !paused || has_had_turn(w, e);
}

/* A pause holds nobody of a higher priority out. */
static bool has_stayed(const struct world *w, const struct engine *e)
{
    bool better = false;
    const struct engine *o;
    EACH_ENGINE (o, w, NULL)
        better |= o->model->m.priority > e->model->m.priority && is_idle(w, o) && stayed(w, o);
    return better || stayed(w, e);
}

static bool is_late(const struct world *w, const struct catalog_model *m)
{
    return sum(oldest_wish(w, m), w->config.max_wait_ms) <= w->now;
}

static bool nobody(const struct world *w, const struct engine *e)
{
    (void)w;
    (void)e;
    return false;
}

static bool who_leaves(const struct world *w, const struct engine *e)
{
    (void)w;
    return leaves(e);
}

static bool who_leaves_or_yields(const struct world *w, const struct engine *e)
{
    (void)w;
    return leaves(e) || e->i.state == SCHED_YIELDING || e->draining;
}

/* With shared weights fewer can be enough where all are not. */
static bool who_leaves_or_is_chosen(const struct world *w, const struct engine *e)
{
    (void)w;
    return leaves(e) || e->i.chosen;
}

static bool who_leaves_or_is_idle(const struct world *w, const struct engine *e)
{
    return leaves(e) || (is_idle(w, e) && has_stayed(w, e));
}

/* To the model whose turn it is. */
static bool who_could_yield(const struct world *w, const struct engine *e)
{
    bool above = e->model->m.priority > w->first->m.priority && !is_late(w, w->first);
    bool may_yield = e->state == ENGINE_UP && !e->model->m.pinned && !above && has_had_turn(w, e);
    return leaves(e) || e->draining || (is_idle(w, e) && has_stayed(w, e)) ||
           (may_yield && count_readers(w, e));
}

static bool who_is_not_pinned(const struct world *w, const struct engine *e)
{
    (void)w;
    return leaves(e) || !e->model->m.pinned || e->draining;
}

/* Its place is for another though it is still there. */
static bool leaves_for_good(const struct world *w, const struct engine *e)
{
    return w->config.overlap && leaves(e) && e->has_place && !e->i.footprint.apart &&
           oldest_wish(w, e->model) == SCHED_NEVER;
}

/* What is left on each device without those engines, and what `f` adds to what is used there. */
static void count_memory(const struct world *w, const struct sched_footprint *f, filter *gone,
                         int64_t left[DEVICES], uint64_t needs[DEVICES])
{
    bool mapped[FILES] = {false};
    const struct engine *e;
    for (unsigned d = 0; d < DEVICES; d++)
        left[d] = (int64_t)w->s.capacity[d];
    EACH_ENGINE (e, w, NULL) {
        const struct sched_footprint *o = &e->i.footprint;
        for (unsigned d = 0; d < DEVICES && !gone(w, e); d++)
            left[d] -= (int64_t)o->bytes[d];
        if (o->weights && !gone(w, e))
            mapped[o->weights - w->files] = true;
    }
    for (unsigned i = 0; i < FILES; i++)
        left[0] -= mapped[i] ? (int64_t)w->files[i].bytes : 0;
    memcpy(needs, f->bytes, DEVICES * sizeof *needs);
    if (f->weights && !mapped[f->weights - w->files])
        needs[0] += f->weights->bytes;
}

/* Where it needs nothing more it always fits. */
static bool has_memory(const struct world *w, const struct sched_footprint *f, filter *gone,
                       uint64_t spare)
{
    int64_t left[DEVICES];
    uint64_t needs[DEVICES];
    count_memory(w, f, gone, left, needs);
    for (unsigned d = 0; d < w->config.devices; d++)
        if (needs[d] + spare && (int64_t)(needs[d] + spare) > left[d])
            return false;
    return true;
}

/* Whether the model's next engine would fit if those engines were gone. */
static bool fits_without(const struct world *w, const struct catalog_model *m, filter *gone)
{
    unsigned places = 1, leaving = 0;
    const struct engine *e;
    EACH_ENGINE (e, w, NULL)
        if (!gone(w, e)) {
            places += e->has_place;
            leaving += leaves_for_good(w, e);
        }
    bool beside = w->config.models_max && places > w->config.models_max;
    return has_memory(w, &m->m.next, gone, beside ? w->config.spare : 0) &&
           (!beside || (places - leaving <= w->config.models_max && !m->m.next.apart));
}

/* Whether another engine of the model may be loaded while `e` runs, if there is memory. */
static bool is_memory_known(const struct world *w, const struct engine *e)
{
    return w->config.overlap && w->config.devices && !e->i.footprint.apart;
}

/* Whether the model's next engine fits beside all that is there, and beside `old`, whose place it
 * takes. */
static bool fits_beside(const struct world *w, const struct engine *old)
{
    const struct sched_footprint *f = &old->model->m.next;
    return is_memory_known(w, old) && !f->apart && has_memory(w, f, nobody, w->config.spare);
}

static bool may_be_placed(const struct world *w, const struct catalog_model *m)
{
    return wishes_place(w, m) && !m->m.unsure && m->m.retry_at <= w->now;
}

static bool comes_before(const struct world *w, const struct catalog_model *a,
                         const struct catalog_model *b)
{
    bool late_a = is_late(w, a), late_b = is_late(w, b);
    if (late_a != late_b)
        return late_a;
    if (!late_a && a->m.priority != b->m.priority)
        return a->m.priority > b->m.priority;
    return oldest_wish(w, a) < oldest_wish(w, b);
}

/* Whose turn it is: of several as old, any. NULL: nobody waits, or nobody can be loaded yet. */
static const struct catalog_model *first_in_turn(const struct world *w)
{
    const struct catalog_model *first = NULL;
    for (unsigned i = 0; i < w->n_models; i++)
        if (may_be_placed(w, &w->models[i]) && (!first || comes_before(w, &w->models[i], first)))
            first = &w->models[i];
    return first;
}

/* Before all others, and as old as none of them. */
static bool is_first(const struct world *w, const struct catalog_model *m)
{
    for (unsigned i = 0; i < w->n_models; i++)
        if (&w->models[i] != m && may_be_placed(w, &w->models[i]) &&
            !comes_before(w, m, &w->models[i]))
            return false;
    return true;
}

static bool may_load_more(const struct world *w, const struct catalog_model *m)
{
    unsigned loading = 0, cold = 0;
    const struct engine *e;
    EACH_ENGINE (e, w, NULL) {
        bool loads = e->state == ENGINE_LOADING;
        loading += loads;
        cold += loads && e->i.cold;
    }
    return (!w->config.loads_max || loading < w->config.loads_max) && !(m->m.cold && cold);
}

/* --- Checks at an action ----------------------------------------------------------------- */

static void check_grant(struct world *w, const struct engine *e, const struct client *c)
{
    CHECK(c->state == CLIENT_ASKED, "grant for one who did not ask, or has been answered");
    CHECK(e->state == ENGINE_UP && !e->stop_given, "grant at an engine not in service");
    CHECK(!e->killed, "grant at an engine that is being killed");
    CHECK(c->r.model == &e->model->m, "grant at another model's engine");
    /* In the others it may have been decided before the drain began. */
    CHECK(!w->strict || !e->draining, "grant at an engine that drains");
    for (unsigned i = 0; i < CLIENTS; i++) {
        const struct client *o = &w->clients[i];
        /* Passive ones need not wait for a lease to end. */
        CHECK(o->r.model != c->r.model || o->state != CLIENT_ASKED || o->n >= c->n ||
                  (c->r.model->max_leases && c->r.passive),
              "grant before one who came earlier");
    }
}

static void check_reject(struct world *w, const struct client *c, enum sched_reject_reason reason)
{
    uint64_t late = sum(c->since, w->config.wait_timeout_ms);
    CHECK(c->state == CLIENT_ASKED, "reject for one who did not ask, or has been answered");
    CHECK(reason != SCHED_REJECT_WAIT_TIMEOUT || (w->config.wait_timeout_ms && late <= w->now),
          "rejected before its time");
    CHECK(reason != SCHED_REJECT_SHUTDOWN || w->shutdown, "rejected for no shutdown");
    bool load = reason == SCHED_REJECT_LOAD_FAILED || reason == SCHED_REJECT_OOM;
    CHECK(!load || !w->strict || !is_open(w, (const struct catalog_model *)c->r.model),
          "rejected for a load, though another engine serves");
    CHECK(reason != SCHED_REJECT_NOT_LOADED || !c->r.may_load, "rejected though it may load");
    CHECK(reason != SCHED_REJECT_QUEUE_FULL || w->config.max_queue, "the queue has no limit");
    CHECK(!w->plain || reason < SCHED_REJECT_OOM || reason > SCHED_REJECT_NO_ROOM,
          "rejected for what does not happen here");
    CHECK(reason != SCHED_REJECT_FAILED || w->config.max_failures, "failures have no limit");
}

static unsigned count_without_place(const struct world *w, const struct catalog_model *m)
{
    unsigned n = 0;
    const struct engine *e;
    EACH_ENGINE (e, w, m)
        n += !e->has_place;
    return n;
}

/* The engine whose place the model's next one takes over; NULL: that needs a place of its own. */
static struct engine *predecessor(const struct world *w, const struct catalog_model *m)
{
    struct engine *e, *found = NULL;
    EACH_ENGINE (e, w, m)
        if (e->has_place && e->outdated)
            found = e;
    return count_without_place(w, m) ? NULL : found;
}

static void check_spawn_beside(struct world *w, const struct catalog_model *m)
{
    const struct engine *e, *old = predecessor(w, m);
    EACH_ENGINE (e, w, m)
        CHECK(e->outdated, "spawn beside an engine that is as it should be");
    CHECK(old, "spawn beside an engine that keeps its place");
    CHECK(!w->plain && fits_beside(w, old), "spawn beside an engine without memory for both");
}

static void check_spawn_in_turn(struct world *w, const struct catalog_model *m)
{
    unsigned leaving = 0;
    const struct engine *e;
    EACH_ENGINE (e, w, NULL)
        leaving += leaves_for_good(w, e);
    CHECK(!w->config.models_max || count_taken(w) - leaving < w->config.models_max,
          "too many engines");
    CHECK(wishes_place(w, m), "spawn for nobody");
    CHECK(may_be_placed(w, m), "spawn of what must not be loaded yet");
    CHECK(fits_without(w, m, nobody), "spawn without room");
    for (unsigned i = 0; i < w->n_models && w->plain; i++)
        CHECK(!wishes_place(w, &w->models[i]) || oldest_wish(w, &w->models[i]) >= oldest_wish(w, m),
              "spawn before a model that has waited longer");
}

static void check_cause(struct world *w, const struct catalog_model *m, const struct client *c)
{
    /* In the others somebody's rejection may be due that the record has not seen. */
    if (!w->plain && !w->strict)
        return;
    bool nobody_waits = is_open(w, m) || oldest_wish(w, m) == SCHED_NEVER;
    CHECK(!c == (nobody_waits || (m->wanted && m->wanted_since <= oldest_client(w, m))),
          "who caused the load?");
    CHECK(!c || (c->state == CLIENT_ASKED && c->r.model == &m->m && c->r.may_load &&
                 c->r.caused_load && c->since == oldest_client(w, m)),
          "spawn because of somebody else");
}

static void check_spawn(struct world *w, const struct catalog_model *m, const struct client *c)
{
    CHECK(m->listed && !is_held(w, m) && !w->shutdown, "spawn of what must not be loaded");
    CHECK(!m->m.unsure && m->m.retry_at <= w->now, "spawn before its time");
    CHECK(!w->s.capacity_pending, "spawn while the capacity is being read");
    CHECK(may_load_more(w, m), "too many loads");
    check_cause(w, m, c);
    if (predecessor(w, m))
        check_spawn_beside(w, m);
    else
        check_spawn_in_turn(w, m);
    const struct catalog_model *first = first_in_turn(w);
    CHECK(first == m || !first || !is_first(w, first) || !fits_without(w, first, nobody) ||
              !fits_without(w, first, who_leaves) || !may_load_more(w, first),
          "spawn before a model whose turn it is, and which fits");
}

static bool will_leave(const struct world *w, const struct engine *e)
{
    return leaves(e) || (e != w->victim && e->i.stop_due);
}

/* The set is minimal: at least of the model whose turn it is this can be said. */
static void check_need(struct world *w, const struct engine *e, const struct catalog_model *cause)
{
    CHECK(cause && cause != e->model, "an eviction for nobody");
    CHECK(is_idle(w, e) && has_stayed(w, e), "not evictable");
    w->victim = e;
    /* Rejections that follow from an eviction are pulled before it, and what came meanwhile may free room. */
    CHECK(w->interrupted || !is_first(w, cause) || !fits_without(w, cause, will_leave),
          "evicted without need");
}

/* An eviction is chosen when it is pulled, so that it can be checked in all worlds. */
static void check_eviction(struct world *w, const struct engine *e)
{
    struct places p = count_places(w);
    CHECK(w->config.models_max && count_engines(w) == w->config.models_max,
          "eviction with a place");
    CHECK(p.stopping < p.wishes, "more engines stopped than models wait for");
    CHECK(!e->model->m.pinned && !e->draining && e->state == ENGINE_UP, "not evictable");
    for (unsigned i = 0; i < w->n_models; i++) {
        const struct engine *o = open_engine(w, &w->models[i]);
        bool idle = o && o != e && !o->model->m.pinned && !count_readers(w, o) &&
                    oldest_wish(w, o->model) == SCHED_NEVER;
        CHECK(!idle ||
                  (o->last_used >= e->last_used && count_clients(w, e->model, CLIENT_ASKED) == 0),
              "there was a better victim");
    }
}

/* Of a SAVE, or of a STOP that none came before. */
static void check_reason(struct world *w, const struct engine *e, const struct sched_action *a)
{
    const struct sched_model *m = &e->model->m;
    switch (a->stop) {
    case SCHED_STOP_REPLACED:
        CHECK(e->outdated, "replaced, though its arguments are the same");
        break;
    case SCHED_STOP_UNLOADED:
    case SCHED_STOP_REMOVED:
    case SCHED_STOP_SHUTDOWN:
        CHECK(e->draining && e->drain_reason == a->stop, "stopped without an order");
        break;
    case SCHED_STOP_EVICTED:
        if (!e->stop_given)
            check_need(w, e, (const struct catalog_model *)a->cause);
        if (!e->stop_given && w->plain)
            check_eviction(w, e);
        break;
    case SCHED_STOP_MEMORY:
        CHECK(w->shortages && (!m->pinned || !w->strict),
              "stopped for want of memory without need");
        break;
    case SCHED_STOP_BROKEN:
        CHECK(e->broken, "stopped for being broken, but was not");
        break;
    case SCHED_STOP_IDLE:
        CHECK(!m->pinned && m->ttl_ms && sum(e->last_used, m->ttl_ms) <= w->now &&
                  !count_leases(w, e),
              "stopped for being idle, but was not");
        break;
    }
}

/* Somebody who may be loaded waits: of a higher priority than the engine's, or for too long. */
static bool is_pressed(const struct world *w, const struct engine *e)
{
    for (unsigned i = 0; i < w->n_models; i++) {
        const struct catalog_model *m = &w->models[i];
        if (may_be_placed(w, m) && (is_late(w, m) || m->m.priority > e->model->m.priority))
            return true;
    }
    return false;
}

static bool is_loss(const struct engine *e)
{
    return !e->i.save_gain_ms || e->i.save_gain_ms < e->i.save_cost_ms;
}

static void check_save(struct world *w, const struct engine *e, const struct sched_action *a)
{
    CHECK(e->state == ENGINE_UP, "saved while it does not serve, or twice for one stop");
    CHECK(w->config.save_ms && a->stop != SCHED_STOP_BROKEN, "saved though nothing may be");
    CHECK(!w->strict || e->i.save_gain_ms, "saved though there is nothing to save");
    CHECK(!w->strict || !is_pressed(w, e) || !is_loss(e), "saved at the cost of others");
    CHECK(!e->killed, "saved what is to be stopped at once");
    CHECK(!count_readers(w, e), "saved with leases");
    check_reason(w, e, a);
}

/* Why a save ends. */
static void check_end_of_save(struct world *w, const struct engine *e, const struct sched_action *a)
{
    bool ordered = e->draining && e->drain_reason == a->stop;
    bool late = w->now >= e->i.save_until; /* check_saving() has judged that */
    /* In the others the press may have been there before the record saw it. */
    bool pressed = !w->strict || is_pressed(w, e);
    bool useless = e->outdated && !e->i.save_gain_ms;
    bool overruled = w->strict && e->draining; /* an order comes before what nobody ordered */
    CHECK(ordered || (a->stop == e->save_reason && !overruled), "the reason of the stop changed");
    CHECK(e->save_over || late || a->force || pressed || useless, "a save was cut off");
}

static void check_stop(struct world *w, const struct engine *e, const struct sched_action *a)
{
    CHECK(lives(e), "stop of what does not run");
    CHECK(!e->stop_given || (a->force && !e->force_given), "stop given twice");
    /* Who comes back to read an answer while the engine is saved may come too late. */
    CHECK(a->force || !count_readers(w, e) || e->state == ENGINE_SAVING, "stopped with leases");
    CHECK(!a->force || e->broken || (e->draining && e->drain_until <= w->now),
          "forced without an order");
    if (e->state == ENGINE_SAVING)
        check_end_of_save(w, e, a);
    else
        check_reason(w, e, a);
}

/* --- Performing actions ------------------------------------------------------------------ */

static void perform_grant(struct world *w, struct engine *e, struct client *c)
{
    trace(w, "    grant %u at %c%u", number_of(w, &c->r), 'A' + index_of(w, &e->model->m), e->id);
    check_grant(w, e, c);
    c->state = CLIENT_SERVED;
    c->engine = e;
    c->at = w->now + 1 + below(w, LEASE_MS);
    totals.grants++;
}

/* For want of room: at the very moment, as events may change it before the answer is pulled. */
static void check_no_room(struct world *w, const struct catalog_model *m,
                          enum sched_reject_reason reason)
{
    uint64_t most[DEVICES];
    if (!w->strict || (reason != SCHED_REJECT_NO_ROOM && reason != SCHED_REJECT_TOO_LARGE))
        return;
    for (unsigned d = 0; d < DEVICES; d++)
        most[d] = m->m.next.bytes[d] + (d == 0 && m->m.next.weights ? m->m.next.weights->bytes : 0);
    bool large = false;
    for (unsigned d = 0; d < w->config.devices; d++)
        large |= most[d] > w->config.ceiling[d];
    CHECK(reason != SCHED_REJECT_TOO_LARGE || large, "it is not too large");
    CHECK(reason != SCHED_REJECT_NO_ROOM || !fits_without(w, m, who_is_not_pinned),
          "there is room");
}

static void perform_reject(struct world *w, struct client *c, enum sched_reject_reason reason)
{
    trace(w, "    reject %u: %s", number_of(w, &c->r), sched_reject_name(reason));
    check_reject(w, c, reason);
    check_no_room(w, (const struct catalog_model *)c->r.model, reason);
    c->state = CLIENT_OUT;
    c->rejected = true;
    c->reason = reason;
    totals.rejects++;
}

/* The record that the next SPAWN fills in. */
static void provide_spare(struct world *w)
{
    struct engine *e = calloc(1, sizeof *e);
    CHECK(e, "out of memory");
    w->s.spare = &e->i;
}

static void perform_spawn(struct world *w, struct catalog_model *m, struct engine *e,
                          const struct sched_request *r)
{
    trace(w, "    spawn %c%u (%s %d)", 'A' + index_of(w, &m->m), w->spawned + 1,
          r ? "for" : "operator", r ? (int)number_of(w, r) : 0);
    check_spawn(w, m, (const struct client *)r);
    struct engine *old = predecessor(w, m);
    if (old)
        old->has_place = false;
    e->has_place = true;
    e->model = m;
    e->wanted_since = m->wanted ? m->wanted_since : SCHED_NEVER;
    e->state = ENGINE_LOADING;
    e->id = ++w->spawned;
    e->at = w->now + 1 + below(w, LOAD_MS);
    m->wanted = false;
    TAILQ_INSERT_TAIL(&w->engines, e, link);
    provide_spare(w);
    totals.spawns++;
    totals.replaced += old != NULL;
}

static void perform_save(struct world *w, struct engine *e, const struct sched_action *a)
{
    trace(w, "    save %c%u: %s", 'A' + index_of(w, &e->model->m), e->id, sched_stop_name(a->stop));
    check_save(w, e, a);
    e->state = ENGINE_SAVING;
    e->save_reason = a->stop;
    e->save_over = false;
    e->press_until = SCHED_NEVER;
    e->least_gain = w->strict ? e->i.save_gain_ms : 0; /* in the others it may have been less */
    e->at = e->deaf ? SCHED_NEVER : w->now + 1 + below(w, SAVED_MS);
    totals.saves++;
    totals.evictions += a->stop == SCHED_STOP_EVICTED;
}

static void perform_stop(struct world *w, struct engine *e, const struct sched_action *a)
{
    trace(w, "    stop %c%u: %s%s", 'A' + index_of(w, &e->model->m), e->id,
          sched_stop_name(a->stop), a->force ? ", by force" : "");
    check_stop(w, e, a);
    totals.evictions += a->stop == SCHED_STOP_EVICTED && e->state == ENGINE_UP;
    totals.saved += e->state == ENGINE_SAVING && e->save_over;
    totals.cut += e->state == ENGINE_SAVING && !e->save_over;
    e->state = ENGINE_STOPPING;
    e->stop_given = true;
    e->force_given |= a->force;
    e->at = w->now + 1 + below(w, STOP_MS);
    totals.stops++;
    totals.shortages += a->stop == SCHED_STOP_MEMORY;
}

static void perform_drop(struct world *w, struct catalog_model *m, enum sched_reject_reason why)
{
    trace(w, "    drop %c: %s", 'A' + index_of(w, &m->m), sched_reject_name(why));
    /* In the others its tries may have been forgiven since that was decided. */
    CHECK(why != SCHED_REJECT_WAIT_TIMEOUT || m->m.retries || !w->strict,
          "only what is tried again has a limit");
    m->wanted = false;
}

static void perform(struct world *w, const struct sched_action *a)
{
    struct catalog_model *m = (struct catalog_model *)a->model;
    struct engine *e = (struct engine *)a->instance;
    struct client *c = (struct client *)a->request;
    switch (a->type) {
    case SCHED_ACT_GRANT:
        perform_grant(w, e, c);
        break;
    case SCHED_ACT_REJECT:
        perform_reject(w, c, a->reject);
        break;
    case SCHED_ACT_SPAWN:
        perform_spawn(w, m, e, a->request);
        break;
    case SCHED_ACT_DROP:
        perform_drop(w, m, a->reject);
        break;
    case SCHED_ACT_SAVE:
        perform_save(w, e, a);
        break;
    case SCHED_ACT_STOP:
        perform_stop(w, e, a);
        break;
    }
}

/* --- Checks when nothing is left to do --------------------------------------------------- */

static void check_counters(struct world *w)
{
    unsigned saving = 0;
    const struct engine *e;
    EACH_ENGINE (e, w, NULL)
        saving += e->state == ENGINE_SAVING;
    CHECK(w->s.saving == saving, "sched.saving");
    CHECK(w->s.running == count_engines(w), "sched.running");
    CHECK(w->s.waiting == count_asked(w), "sched.waiting");
    CHECK(w->s.queued == count_places(w).wishes, "sched.queued");
    CHECK(w->s.yielding == count_places(w).yielding, "sched.yielding");
}

/* Of one that drains, yields or serves, which the record tells apart in its own way: READY. */
static enum sched_state expected_state(const struct engine *e)
{
    switch (e->state) {
    case ENGINE_NONE:
        return SCHED_UNLOADED;
    case ENGINE_LOADING:
        return SCHED_LOADING;
    case ENGINE_UP:
        if (e->draining)
            return SCHED_DRAINING;
        return e->i.state == SCHED_YIELDING ? SCHED_YIELDING : SCHED_READY;
    case ENGINE_SAVING:
        return SCHED_SAVING;
    case ENGINE_STOPPING:
        break;
    }
    return SCHED_STOPPING;
}

/* Its place is still its own, so that it can be in service again. */
static bool has_kept_place(const struct world *w, const struct engine *e)
{
    return !e->has_place || !w->config.models_max || count_taken(w) <= w->config.models_max;
}

/* It is saved before a stop that nobody ordered, and its model is wanted again. */
static bool is_to_resume(const struct world *w, const struct engine *e)
{
    bool own = e->save_reason == SCHED_STOP_IDLE || e->save_reason == SCHED_STOP_EVICTED;
    return own && !e->draining && !e->outdated && !count_places(w).wishes &&
           (oldest_wish(w, e->model) != SCHED_NEVER || count_readers(w, e)) && has_kept_place(w, e);
}

/* No save outlasts its deadline, nor keeps those who go first waiting for longer than it gains. */
static void check_saving(struct world *w, struct engine *e)
{
    uint64_t until = sum(e->i.stop_at, w->config.save_ms);
    if (e->state != ENGINE_SAVING)
        return;
    CHECK(e->i.save_until >= smaller(until, sum(e->i.stop_at, e->least_gain)),
          "it may be saved for too short a time");
    if (is_pressed(w, e) && sched_deadline(&w->s) > w->now) {
        CHECK(!is_loss(e), "it is saved at the cost of others");
        e->press_until = smaller(e->press_until, sum(w->now, e->i.save_gain_ms));
    }
    until = smaller(until, e->press_until);
    CHECK(e->i.save_until <= until, "it may be saved for too long");
    CHECK(until > w->ticked_at, "a save outlasts its deadline");
    CHECK(!e->draining || e->drain_until > w->ticked_at, "a save outlasts a drain");
    CHECK(!e->save_over, "its save is over, and it is not stopped");
    CHECK(!is_to_resume(w, e), "it is wanted, and not in service again");
}

static void check_engine(struct world *w, const struct engine *e)
{
    bool busy = count_readers(w, e) > 0;
    bool serves = e->i.state == SCHED_READY || e->i.state == SCHED_YIELDING;
    CHECK(e->i.state == expected_state(e), "instance.state");
    CHECK(e->i.leases == count_leases(w, e), "instance.leases");
    CHECK(e->i.active == count_active(w, e), "instance.active");
    CHECK(e->i.users == count_users(w, e), "instance.users");
    CHECK(e->i.leases - e->i.lapsed == count_readers(w, e), "instance.lapsed");
    CHECK(e->i.outdated == e->outdated, "instance.outdated");
    CHECK(!lives(e) || e->i.unload_due == e->unload_due, "instance.unload_due");
    CHECK(!e->unload_due || busy || e->i.state != SCHED_READY, "idle, and not unloaded");
    CHECK(!e->i.stop_due, "a stop is due that was not given");
    CHECK(!e->i.replacement_due || (e->outdated && serves),
          "a replacement for what does not serve");
    CHECK(!lives(e) || e->i.surplus == !e->has_place, "instance.surplus");
    CHECK(!lives(e) || !e->model->m.max_leases || count_active(w, e) <= e->model->m.max_leases ||
              !w->fixed,
          "more leases than it may have");
    CHECK(e->i.state != SCHED_YIELDING || (busy && !e->model->m.pinned) || w->s.capacity_pending,
          "yields in vain");
    CHECK(!e->draining || e->state != ENGINE_UP || busy, "drained, yet not stopped");
    CHECK(!e->killed || e->force_given || !lives(e), "was to be stopped at once");
}

static void check_model_counters(struct world *w, const struct catalog_model *m)
{
    unsigned loading = 0, ready = 0;
    const struct engine *e;
    EACH_ENGINE (e, w, m) {
        loading += e->i.state == SCHED_LOADING;
        ready += e->i.state == SCHED_READY;
    }
    CHECK(loading <= 1 && ready <= 1, "two engines that load or serve");
    CHECK(count_without_place(w, m) <= 1, "more than one engine without a place");
    CHECK(m->m.leases == count_clients(w, m, CLIENT_SERVED), "model.leases");
    CHECK(m->m.waiting == count_clients(w, m, CLIENT_ASKED), "model.waiting");
    CHECK(m->m.wanted == m->wanted, "model.wanted");
    CHECK(!m->listed || m->m.waiting_since == oldest_wish(w, m), "model.waiting_since");
    CHECK(m->m.waits == expected_waits(w, m), "model.waits");
    CHECK(sched_model_serving(&m->m) == (is_open(w, m) ? &open_engine(w, m)->i : NULL),
          "sched_model_serving()");
}

static void check_model(struct world *w, const struct catalog_model *m)
{
    const struct engine *open = open_engine(w, m);
    bool waited = oldest_wish(w, m) != SCHED_NEVER;
    CHECK(!open || !waited || is_full(w, open), "waits for a model that is ready");
    CHECK(!waited || (m->listed && !w->shutdown), "waits for what will never be");
    CHECK(!waited || !is_held(w, m) || is_loading(w, m) || open, "waits, though held");
}

static void check_order(struct world *w, const struct catalog_model *m)
{
    const struct sched_request *r;
    const struct client *before = NULL;
    unsigned position = 0;
    TAILQ_FOREACH (r, &m->m.queue, link) {
        const struct client *c = (const struct client *)r;
        CHECK(!before || before->n < c->n, "the queue is out of order");
        CHECK(sched_position(&w->s, r) == position || before == NULL, "sched_position");
        position = sched_position(&w->s, r) + 1;
        CHECK(position <= w->s.waiting, "sched_position beyond the number of those who wait");
        before = c;
    }
}

/* A replacement that is due, and for which there is memory, is being loaded. */
static void check_replacements(struct world *w)
{
    const struct engine *e;
    if (first_in_turn(w) || sched_deadline(&w->s) <= w->now || w->s.capacity_pending)
        return;
    EACH_ENGINE (e, w, NULL) {
        const struct catalog_model *m = e->model;
        bool alone = expected_waits(w, m) == SCHED_WAITS_BESIDE && e->i.replacement_due &&
                     predecessor(w, m) == e && TAILQ_NEXT(&m->m, queue_link) == NULL &&
                     TAILQ_FIRST(&w->s.replacements) == &m->m;
        CHECK(!alone || m->m.unsure || m->m.retry_at > w->now || is_held(w, m) ||
                  !may_load_more(w, m) || !fits_beside(w, e),
              "a replacement is not loaded, though there is memory");
    }
}

/* Nobody waits who could be served, and nobody gives way without need. */
static void check_turn(struct world *w)
{
    const struct catalog_model *first = first_in_turn(w);
    if (!first || !is_first(w, first) || sched_deadline(&w->s) <= w->now || w->s.capacity_pending)
        return;
    bool soon = fits_without(w, first, who_leaves);
    /* Weights that are there only until another is gone are not there. */
    CHECK(!fits_without(w, first, nobody) || !soon || !may_load_more(w, first),
          "waits, though it fits");
    CHECK(soon || !fits_without(w, first, who_leaves_or_is_idle), "waits, though others are idle");
    w->first = first;
    CHECK(soon || (!w->config.turn && !is_late(w, first)) ||
              !fits_without(w, first, who_could_yield) ||
              fits_without(w, first, who_leaves_or_yields) ||
              fits_without(w, first, who_leaves_or_is_chosen),
          "waits too long, and too few yield");
}

static void check_places(struct world *w)
{
    struct places p = count_places(w);
    unsigned max = w->config.models_max;
    unsigned needed = p.overdue > p.stopping ? p.overdue - p.stopping : 0;
    CHECK(!max || count_engines(w) <= max, "too many engines");
    CHECK(!p.wishes || (max && count_engines(w) == max), "waits, though there is a place");
    for (unsigned i = 0; i < w->n_models; i++) {
        const struct engine *e = open_engine(w, &w->models[i]);
        bool able = e && !e->model->m.pinned;
        CHECK(!able || p.wishes <= p.stopping || count_readers(w, e),
              "waits, though an engine is idle");
        /* Whoever became overdue since the last tick is looked after at the next. */
        CHECK(!able || needed <= p.yielding + p.draining || sched_deadline(&w->s) <= w->now,
              "waits too long, and nobody yields");
    }
    CHECK(p.yielding <= needed, "more engines yield than models wait too long");
}

static bool goes_on(const struct client *c)
{
    return c->state != CLIENT_OUT;
}

/* Who is unread lapses at the first tick behind its time, and not before. */
static void check_unread(struct world *w)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        const struct client *c = &w->clients[i];
        if (!goes_on(c) || c->r.state == SCHED_REQUEST_REJECTED)
            continue;
        CHECK(c->r.unread == c->unread, "request.unread");
        CHECK(!c->r.lapsed || (c->unread && c->lapses_at <= w->now), "lapsed before its time");
        CHECK(!c->unread || c->r.lapsed || c->lapses_at >= w->ticked_at, "has not lapsed");
    }
}

static void check_rest(struct world *w)
{
    check_unread(w);
    check_counters(w);
    check_turn(w);
    check_replacements(w);
    if (w->plain)
        check_places(w);
    struct engine *e;
    TAILQ_FOREACH (e, &w->engines, link) {
        check_engine(w, e);
        check_saving(w, e);
    }
    for (unsigned i = 0; i < w->n_models; i++) {
        check_model_counters(w, &w->models[i]);
        check_model(w, &w->models[i]);
        if (w->models[i].listed)
            check_order(w, &w->models[i]);
    }
}

static uint64_t expected_deadline_of_engine(const struct world *w, const struct engine *e)
{
    const struct sched_model *m = &e->model->m;
    bool open = e == open_engine(w, e->model);
    if (open && !m->pinned && m->ttl_ms && !count_leases(w, e))
        return sum(e->last_used, m->ttl_ms);
    uint64_t at = e->draining && e->state != ENGINE_STOPPING ? e->drain_until : SCHED_NEVER;
    return e->state == ENGINE_SAVING ? smaller(at, e->i.save_until) : at;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The deadline, from the record. Of those overdue already nothing more is to be expected. */
static uint64_t expected_deadline(const struct world *w)
{
    uint64_t at = SCHED_NEVER;
    const struct engine *e;
    EACH_ENGINE (e, w, NULL)
        at = earlier(at, expected_deadline_of_engine(w, e));
    for (unsigned i = 0; i < CLIENTS; i++) {
        const struct client *c = &w->clients[i];
        if (goes_on(c) && c->unread && !c->r.lapsed)
            at = earlier(at, c->lapses_at);
    }
    for (unsigned i = 0; i < w->n_models; i++) {
        const struct catalog_model *m = &w->models[i];
        uint64_t overdue = sum(oldest_wish(w, m), w->config.max_wait_ms);
        if (w->config.wait_timeout_ms)
            at = earlier(at, sum(oldest_client(w, m), w->config.wait_timeout_ms));
        if (wishes_place(w, m) && overdue > w->now)
            at = earlier(at, overdue);
    }
    return at;
}

/* --- Feeding events ---------------------------------------------------------------------- */

static void random_event(struct world *w);
static void order_engine_end(struct world *w, struct engine *e, enum sched_stop_reason reason,
                             uint64_t until);

static void check_yield(struct world *w, const struct engine *e)
{
    totals.yields++;
    for (unsigned i = 0; i < w->n_models; i++) {
        const struct engine *o = open_engine(w, &w->models[i]);
        CHECK(!o || o->model->m.pinned || o->i.last_granted >= e->i.last_granted,
              "one yields that was granted more recently than another");
    }
}

/* It was to be unloaded when it is idle, and so it is. */
static void note_unload(struct world *w, struct engine *e)
{
    bool leaving = e->i.state == SCHED_DRAINING || sched_instance_is_stopping(&e->i);
    if (leaving && e->unload_due && !e->draining && e->i.stop_reason == SCHED_STOP_UNLOADED)
        order_engine_end(w, e, SCHED_STOP_UNLOADED, SCHED_NEVER);
    e->unload_due &= !leaving;
}

/* It was SAVING, and is in service again. */
static void note_resume(struct world *w, struct engine *e)
{
    trace(w, "    %c%u is in service again", 'A' + index_of(w, &e->model->m), e->id);
    CHECK(e->save_reason == SCHED_STOP_IDLE || e->save_reason == SCHED_STOP_EVICTED,
          "a stop that was ordered is called off");
    CHECK(!e->draining && !e->outdated, "one that is to end is in service again");
    CHECK(has_kept_place(w, e), "in service again without a place");
    CHECK(!w->strict || !count_places(w).wishes, "in service again while others wait for room");
    e->state = ENGINE_UP;
    e->last_used = w->now;
    e->at = SCHED_NEVER;
    totals.resumed++;
}

/* What the record learns from the scheduler, as these are its own decisions: who yields; that one
 * whose arguments changed drains, since its replacement does not fit beside it; that an operator's
 * load request ends when a yielding engine is in service again. */
static void notice(struct world *w)
{
    struct engine *e;
    EACH_ENGINE (e, w, NULL) {
        bool yields = e->i.state == SCHED_YIELDING;
        if (yields && !e->yielded && w->plain)
            check_yield(w, e);
        if (e->state == ENGINE_SAVING && e->i.state == SCHED_READY)
            note_resume(w, e);
        if (!sched_instance_is_stopping(&e->i))
            e->yielded = yields;
        bool leaving = e->i.state == SCHED_DRAINING || sched_instance_is_stopping(&e->i);
        note_unload(w, e);
        if (leaving && e->outdated && !e->draining && e->i.stop_reason == SCHED_STOP_REPLACED) {
            e->draining = true;
            e->drain_until = SCHED_NEVER;
            e->drain_reason = SCHED_STOP_REPLACED;
        }
    }
    for (unsigned i = 0; i < w->n_models; i++)
        if (is_open(w, &w->models[i]))
            w->models[i].wanted = false;
}

static bool next(struct world *w, struct sched_action *action)
{
    /* A clock that goes backwards must not be believed. */
    uint64_t back = w->s.now == w->now && one_in(w, 20) ? below(w, 50) : 0;
    bool more = sched_next(&w->s, w->now > back ? w->now - back : 0, action);
    CHECK(w->s.now == w->now, "time");
    notice(w);
    return more;
}

/* The caller may free what is gone and has no leases: the scheduler must not touch it any more. */
static void free_gone(struct world *w)
{
    struct engine *e, *after;
    for (e = TAILQ_FIRST(&w->engines); e; e = after) {
        after = TAILQ_NEXT(e, link);
        if (lives(e) || count_leases(w, e))
            continue;
        TAILQ_REMOVE(&w->engines, e, link);
        free(e);
    }
}

static void pull(struct world *w)
{
    struct sched_action action;
    unsigned n = 0;
    while (next(w, &action)) {
        CHECK(n++ < 4 * (MODELS + CLIENTS), "sched_next() does not come to an end");
        perform(w, &action);
        if (!w->strict && !w->ending && w->depth < 3 && one_in(w, 4)) {
            w->depth++;
            random_event(w);
            w->depth--;
            w->interrupted = true;
        }
    }
    w->interrupted &= w->depth > 0;
    check_rest(w);
    free_gone(w);
}

static void feed(struct world *w, const struct sched_event *event)
{
    static const char *const names[] = {
        [SCHED_EV_ADD] = "add",
        [SCHED_EV_REMOVE] = "remove",
        [SCHED_EV_REQUEST] = "request",
        [SCHED_EV_CANCEL] = "cancel",
        [SCHED_EV_DONE] = "done",
        [SCHED_EV_LOAD] = "load",
        [SCHED_EV_UNLOAD] = "unload",
        [SCHED_EV_KEEP] = "keep",
        [SCHED_EV_REPLACE] = "replace",
        [SCHED_EV_READY] = "ready",
        [SCHED_EV_GONE] = "gone",
        [SCHED_EV_BROKEN] = "broken",
        [SCHED_EV_SAVED] = "saved",
        [SCHED_EV_HOLD] = "hold",
        [SCHED_EV_RELEASE] = "release",
        [SCHED_EV_SHUTDOWN] = "shutdown",
        [SCHED_EV_TICK] = "tick",
        [SCHED_EV_SHORT] = "short of memory",
        [SCHED_EV_UNREAD] = "unread",
        [SCHED_EV_READ] = "read",
        [SCHED_EV_UNLOAD_IDLE] = "unload when idle",
    };
    uint64_t until = event->drain_until | event->hold_until;
    const struct engine *e = (const struct engine *)event->instance;
    if (event->request)
        trace(w, "%s %u at %c", names[event->type], number_of(w, event->request),
              'A' + index_of(w, event->request->model));
    else if (e)
        trace(w, "%s %c%u%s%s", names[event->type], 'A' + index_of(w, &e->model->m), e->id,
              event->oom ? ", out of memory" : "", event->ours ? ", not started" : "");
    else
        trace(w, "%s %c until %lld", names[event->type],
              event->model ? 'A' + index_of(w, event->model) : '*', (long long)until);
    for (unsigned i = 0; i < CLIENTS; i++)
        w->clients[i].rejected = false;
    totals.events++;
    w->event++;
    sched_event(&w->s, event, w->now);
    if (!w->depth && (w->strict || !one_in(w, 3)))
        pull(w);
}

static void feed_model(struct world *w, enum sched_event_type type, struct catalog_model *m)
{
    feed(w, &(struct sched_event){.type = type, .model = &m->m});
}

static void feed_engine(struct world *w, enum sched_event_type type, struct engine *e)
{
    feed(w, &(struct sched_event){.type = type, .instance = &e->i});
}

/* In a strict world: who was rejected by the event, and that nobody waits any more if `all`. */
static void check_answers(struct world *w, const struct catalog_model *m,
                          enum sched_reject_reason why, bool all)
{
    for (unsigned i = 0; i < CLIENTS && w->strict; i++) {
        const struct client *c = &w->clients[i];
        CHECK(!c->rejected || !w->plain || (c->reason == why && (!m || c->r.model == &m->m)),
              "wrong rejection");
        CHECK(!all || c->state != CLIENT_ASKED || (m && c->r.model != &m->m), "was not rejected");
    }
}

/* Where the capacity was being read, one may yield though it is idle. Once it is in service again its ttl
 * may have passed: it is stopped at the next tick. */
static bool is_any_idle_that_yields(const struct world *w)
{
    const struct engine *e;
    EACH_ENGINE (e, w, NULL)
        if (e->i.state == SCHED_YIELDING && !count_leases(w, e))
            return true;
    return false;
}

static void tick(struct world *w)
{
    bool may_resume = is_any_idle_that_yields(w);
    w->ticked_at = w->now;
    feed(w, &(struct sched_event){.type = SCHED_EV_TICK});
    if (!w->strict || may_resume)
        return;
    if (w->plain) {
        check_answers(w, NULL, SCHED_REJECT_WAIT_TIMEOUT, false);
        CHECK(sched_deadline(&w->s) == expected_deadline(w), "sched_deadline");
    }
    CHECK(expected_deadline(w) > w->now, "what was due at this tick was not done");
    CHECK(sched_deadline(&w->s) > w->now, "a tick is wanted again at once");
}

/* --- Requests ---------------------------------------------------------------------------- */

enum answer { ANSWER_WAIT = -1, ANSWER_GRANT = -2 }; /* others: the reason of a rejection */

static int expected_answer(const struct world *w, const struct catalog_model *m, bool may_load,
                           bool passive)
{
    const struct engine *open = open_engine(w, m);
    if (open && (passive || !is_full(w, open)))
        return ANSWER_GRANT;
    if (!is_loading(w, m) && !open) {
        if (w->shutdown)
            return SCHED_REJECT_SHUTDOWN;
        if (!m->listed)
            return SCHED_REJECT_REMOVED;
        if (is_held(w, m))
            return SCHED_REJECT_HELD;
        if (m->m.failed)
            return SCHED_REJECT_FAILED;
        if (!may_load)
            return SCHED_REJECT_NOT_LOADED;
    }
    if (w->config.max_queue && count_asked(w) >= w->config.max_queue)
        return SCHED_REJECT_QUEUE_FULL;
    return ANSWER_WAIT;
}

static int answer_of(const struct client *c)
{
    switch (c->state) {
    case CLIENT_ASKED:
        return ANSWER_WAIT;
    case CLIENT_SERVED:
        return ANSWER_GRANT;
    case CLIENT_OUT:
        break;
    }
    return (int)c->reason;
}

static void ask(struct world *w, struct client *c, struct catalog_model *m)
{
    int expected;
    memset(c, 0, sizeof *c);
    c->r.model = &m->m;
    c->r.may_load = !one_in(w, 10);
    c->r.passive = one_in(w, 6);
    c->since = w->now;
    c->n = w->arrivals++;
    expected = expected_answer(w, m, c->r.may_load, c->r.passive);
    bool yielded = is_in_state(w, m, SCHED_YIELDING) || is_in_state(w, m, SCHED_SAVING);
    c->state = CLIENT_ASKED;
    feed(w, &(struct sched_event){.type = SCHED_EV_REQUEST, .request = &c->r});
    /* Who may wait can still learn at once that there is no room, or that the engine just yields.
     */
    bool late = is_in_state(w, m, SCHED_YIELDING) &&
                (c->reason == SCHED_REJECT_HELD || c->reason == SCHED_REJECT_NOT_LOADED);
    bool no_room =
        !w->plain && expected == ANSWER_WAIT && c->state == CLIENT_OUT &&
        (late || c->reason == SCHED_REJECT_NO_ROOM || c->reason == SCHED_REJECT_TOO_LARGE);
    /* And who waits for one that yields or is saved, that it is in service again. */
    bool resumed = yielded && is_open(w, m) && c->state == CLIENT_SERVED;
    CHECK(!w->strict || no_room || resumed || answer_of(c) == expected,
          "not the answer that was to be expected");
}

static void leave(struct world *w, struct client *c, enum sched_event_type type)
{
    bool granted = c->state == CLIENT_ASKED && c->r.state == SCHED_REQUEST_GRANTED;
    struct engine *e = granted                     ? (struct engine *)c->r.instance
                       : c->state == CLIENT_SERVED ? c->engine
                                                   : NULL;
    if (e && lives(e) && !c->r.passive)
        e->last_used = w->now;
    c->state = CLIENT_OUT;
    feed(w, &(struct sched_event){.type = type, .request = &c->r});
}

/* A client leaves, and what it asked for goes on; or somebody reads it again. */
static void turn(struct world *w, struct client *c)
{
    const struct engine *e = (const struct engine *)c->r.instance;
    if (e && sched_instance_is_stopping(&e->i) && e->state != ENGINE_SAVING)
        return; /* that it is read again comes too late */
    c->unread = !c->unread;
    c->lapses_at = sum(w->now, w->config.unread_ms);
    feed(w, &(struct sched_event){.type = c->unread ? SCHED_EV_UNREAD : SCHED_EV_READ,
                                  .request = &c->r});
}

/* Anybody may ask, and be answered or leave at any time; what comes too late must do no harm. */
static void client_event(struct world *w)
{
    struct client *c = &w->clients[below(w, CLIENTS)];
    struct catalog_model *m = &w->models[below(w, w->n_models)];
    switch (c->state) {
    case CLIENT_OUT:
        if (c->r.model && one_in(w, 10))
            leave(w, c, one_in(w, 2) ? SCHED_EV_DONE : SCHED_EV_CANCEL);
        else
            ask(w, c, m);
        break;
    case CLIENT_ASKED:
        if (one_in(w, 4))
            leave(w, c, SCHED_EV_CANCEL);
        else if (one_in(w, 4) && c->r.state != SCHED_REQUEST_REJECTED)
            turn(w, c);
        break;
    case CLIENT_SERVED:
        if (one_in(w, 4))
            turn(w, c);
        else
            leave(w, c, one_in(w, 6) ? SCHED_EV_CANCEL : SCHED_EV_DONE);
        break;
    }
}

/* --- Orders to end engines --------------------------------------------------------------- */

/* What the record knows of an order to end an engine. */
static void order_engine_end(struct world *w, struct engine *e, enum sched_stop_reason reason,
                             uint64_t until)
{
    if (!e->draining)
        e->drain_until = SCHED_NEVER;
    /* Once the stop is decided its reason stays. */
    if (!e->draining || (reason > e->drain_reason && e->i.state != SCHED_STOPPING))
        e->drain_reason = reason;
    e->draining = true;
    if (until < e->drain_until)
        e->drain_until = until;
    e->killed |= until <= w->now;
}

static void order_end(struct world *w, struct catalog_model *m, enum sched_stop_reason reason,
                      uint64_t until)
{
    struct engine *e;
    m->wanted = false;
    EACH_ENGINE (e, w, m)
        order_engine_end(w, e, reason, until);
}

/* --- Engines ----------------------------------------------------------------------------- */

/* Older ones that serve drain now. */
static void drain_older(struct world *w, struct engine *e)
{
    struct engine *o;
    EACH_ENGINE (o, w, e->model)
        if (o->i.state == SCHED_READY || o->i.state == SCHED_YIELDING)
            order_engine_end(w, o, SCHED_STOP_REPLACED, SCHED_NEVER);
}

/* What there is to save, and what that takes. */
static void set_prompts(struct world *w, struct engine *e)
{
    e->i.save_gain_ms = one_in(w, 3) ? 0 : below(w, 4000);
    e->i.save_cost_ms = one_in(w, 3) ? 0 : below(w, 2000);
}

static void become_saved(struct world *w, struct engine *e)
{
    e->save_over |= e->i.state == SCHED_SAVING;
    e->at = SCHED_NEVER;
    feed_engine(w, SCHED_EV_SAVED, e);
}

static void become_ready(struct world *w, struct engine *e)
{
    if (e->state == ENGINE_LOADING) {
        e->state = ENGINE_UP;
        e->last_used = e->loaded = w->now;
        if (e->i.state == SCHED_LOADING)
            drain_older(w, e);
    }
    e->at = SCHED_NEVER;
    set_prompts(w, e);
    e->deaf = one_in(w, 6);
    const struct catalog_model *m = e->model;
    feed_engine(w, SCHED_EV_READY, e);
    if (w->plain)
        check_answers(w, m, SCHED_REJECT_LOAD_FAILED, false);
}

static bool has_patient_client(const struct world *w, const struct catalog_model *m)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        if (w->clients[i].r.model == &m->m && w->clients[i].r.may_load &&
            w->clients[i].r.state == SCHED_REQUEST_WAITING) /* its answer may be due */
            return true;
    return false;
}

static void want(struct catalog_model *m, uint64_t since)
{
    m->wanted = true;
    m->wanted_since = since;
}

/* A load that ends for want of memory shows what it needs; it is tried once more. One for which
 * there was no process is tried again. In both cases an operator's load request outlives it. */
static void note_failed_load(struct world *w, const struct engine *e, bool oom, bool ours)
{
    struct catalog_model *m = e->model;
    bool again =
        e->i.state == SCHED_LOADING && m->listed && !is_held(w, m) && !w->shutdown && !m->wanted;
    if (oom)
        m->m.next.bytes[below(w, DEVICES)] += below(w, 20);
    if (ours && again && e->wanted_since != SCHED_NEVER && !is_open(w, m))
        want(m, e->wanted_since);
    if (oom && again && !m->m.oom_retried && !has_patient_client(w, m))
        want(m, w->now);
}

/* An older engine that serves on has its place again. */
static void return_place(const struct world *w, const struct engine *e)
{
    struct engine *o;
    EACH_ENGINE (o, w, e->model) {
        bool leaves = o->i.state == SCHED_DRAINING || o->i.state == SCHED_SAVING;
        bool kept = leaves && o->i.stop_reason == SCHED_STOP_UNLOADED;
        if (e->has_place && (o->i.state == SCHED_READY || o->i.state == SCHED_YIELDING || kept))
            o->has_place = true;
    }
}

static void become_gone(struct world *w, struct engine *e)
{
    struct catalog_model *m = e->model;
    bool loading = e->state == ENGINE_LOADING;
    bool oom = loading && !w->plain && one_in(w, 3);
    bool ours = loading && !w->plain && !w->ending && !oom && one_in(w, 3);
    note_failed_load(w, e, oom, ours);
    totals.own_failures += ours;
    return_place(w, e);
    e->state = ENGINE_NONE;
    feed(w,
         &(struct sched_event){.type = SCHED_EV_GONE, .instance = &e->i, .oom = oom, .ours = ours});
    if (w->plain)
        check_answers(w, m, SCHED_REJECT_LOAD_FAILED, loading);
}

static void become_broken(struct world *w, struct engine *e)
{
    if (e->i.state == SCHED_READY || e->i.state == SCHED_YIELDING || e->i.state == SCHED_DRAINING ||
        e->i.state == SCHED_SAVING)
        e->broken = e->killed = true;
    feed_engine(w, SCHED_EV_BROKEN, e);
}

/* Some are used, some are forgotten, some are written. */
static void change_prompts(struct world *w, struct engine *e)
{
    set_prompts(w, e);
    e->least_gain = smaller(e->least_gain, e->i.save_gain_ms);
    if (e->i.state == SCHED_SAVING)
        tick(w);
}

static void save_event(struct world *w, struct engine *e)
{
    struct client *c = &w->clients[below(w, CLIENTS)];
    if (one_in(w, 12))
        become_gone(w, e);
    else if (one_in(w, 24))
        become_broken(w, e);
    else if (one_in(w, 8))
        change_prompts(w, e);
    else if (one_in(w, 12))
        feed_engine(w, SCHED_EV_READY, e);
    else if (!e->deaf && one_in(w, 2))
        become_saved(w, e);
    else if (one_in(w, 2) && c->state == CLIENT_OUT)
        ask(w, c, e->model);
}

/* Any engine; NULL: there is none. */
static struct engine *any_engine(struct world *w)
{
    struct engine *e;
    unsigned n = 0, at;
    TAILQ_FOREACH (e, &w->engines, link)
        n++;
    at = n ? below(w, n) : 0;
    for (e = TAILQ_FIRST(&w->engines); at; at--)
        e = TAILQ_NEXT(e, link);
    return e;
}

static void engine_event(struct world *w)
{
    struct engine *e = any_engine(w);
    if (!e)
        return;
    switch (e->state) {
    case ENGINE_NONE: /* a second report, or one from somebody mistaken */
        feed_engine(w,
                    one_in(w, 4)   ? SCHED_EV_BROKEN
                    : one_in(w, 3) ? SCHED_EV_GONE
                    : one_in(w, 2) ? SCHED_EV_SAVED
                                   : SCHED_EV_READY,
                    e);
        break;
    case ENGINE_LOADING:
        if (one_in(w, 6))
            become_gone(w, e);
        else
            become_ready(w, e);
        break;
    case ENGINE_UP:
        if (one_in(w, 12))
            become_gone(w, e);
        else if (one_in(w, 24))
            become_broken(w, e);
        else if (one_in(w, 24))
            become_saved(w, e); /* a save that is needed no more */
        else if (one_in(w, 3))
            change_prompts(w, e);
        break;
    case ENGINE_SAVING:
        save_event(w, e);
        break;
    case ENGINE_STOPPING:
        if (one_in(w, 8))
            feed_engine(w, SCHED_EV_READY, e);
        else
            become_gone(w, e);
        break;
    }
}

/* --- Operators --------------------------------------------------------------------------- */

static uint64_t random_deadline(struct world *w)
{
    switch (below(w, 4)) {
    case 0:
        return 0;
    case 1:
        return SCHED_NEVER;
    default:
        return w->now + below(w, 2000);
    }
}

static void load(struct world *w, struct catalog_model *m)
{
    bool wanted = m->wanted && !m->m.drop_due; /* what is given up can be wished for again */
    bool may = !w->shutdown && m->listed && !is_held(w, m);
    struct engine *e;
    EACH_ENGINE (e, w, m) {
        note_unload(w, e);
        e->unload_due &= !may;
    }
    if (may && !wanted && !is_open(w, m) && !is_loading(w, m))
        want(m, w->now);
    feed_model(w, SCHED_EV_LOAD, m);
}

static void unload(struct world *w, struct catalog_model *m)
{
    uint64_t until = random_deadline(w);
    order_end(w, m, SCHED_STOP_UNLOADED, until);
    feed(w, &(struct sched_event){.type = SCHED_EV_UNLOAD, .model = &m->m, .drain_until = until});
    check_answers(w, m, SCHED_REJECT_UNLOADED, true);
}

static void unload_when_idle(struct world *w, struct catalog_model *m)
{
    struct engine *e;
    bool serves = is_in_state(w, m, SCHED_READY);
    m->wanted = false;
    EACH_ENGINE (e, w, m) {
        if (e->i.state == SCHED_READY)
            e->unload_due = true;
        else
            order_engine_end(w, e, SCHED_STOP_UNLOADED, SCHED_NEVER);
    }
    feed_model(w, SCHED_EV_UNLOAD_IDLE, m);
    check_answers(w, m, SCHED_REJECT_UNLOADED, !serves);
}

/* Whether the engine serves on while its replacement loads; of one that serves. */
static bool may_serve_on(const struct world *w, const struct engine *e, bool loading)
{
    const struct sched_model *m = &e->model->m;
    bool recent = m->load_ms >= SCHED_RECENT_MS && w->now - e->i.last_used < m->load_ms / 4;
    return is_memory_known(w, e) && !is_held(w, e->model) &&
           (e->i.users || m->waiting || recent || loading);
}

/* What the order to replace makes of the model's engines; whether one serves on. */
static bool outdate_engines(struct world *w, struct catalog_model *m, bool loading)
{
    bool serves = false;
    struct engine *e;
    EACH_ENGINE (e, w, m) {
        e->outdated = true;
        if (e->i.state == SCHED_READY && may_serve_on(w, e, loading))
            serves = true;
        else if (!sched_instance_is_stopping(&e->i))
            order_engine_end(w, e, SCHED_STOP_REPLACED, SCHED_NEVER);
    }
    return serves;
}

/* Memory for the replacement is there, and nothing else is in its way. */
static bool must_be_replaced_at_once(const struct world *w, const struct catalog_model *m,
                                     const struct engine *open)
{
    for (unsigned i = 0; i < w->n_models; i++)
        if (expected_waits(w, &w->models[i]) != SCHED_WAITS_NOT)
            return false;
    bool loading = is_loading(w, m);
    for (unsigned d = 0; d < w->config.devices; d++)
        if (m->m.next.bytes[d] + (d == 0 && m->m.next.weights ? m->m.next.weights->bytes : 0) >
            w->config.ceiling[d])
            return false;
    return w->strict && open && !open->unload_due && may_serve_on(w, open, loading) &&
           fits_beside(w, open) && may_load_more(w, m) && !loading && !m->m.unsure &&
           !w->s.capacity_pending && !count_without_place(w, m);
}

/* Its arguments changed: nobody is rejected who could wait for the next engine. */
static void replace(struct world *w, struct catalog_model *m)
{
    bool loading = is_in_state(w, m, SCHED_LOADING);
    const struct engine *open = open_engine(w, m);
    bool at_once = m->listed && must_be_replaced_at_once(w, m, open);
    if (m->listed && !outdate_engines(w, m, loading) && loading && !m->wanted && !w->shutdown &&
        !is_held(w, m) && !has_patient_client(w, m))
        want(m, w->now);
    feed_model(w, SCHED_EV_REPLACE, m);
    for (unsigned i = 0; i < CLIENTS && w->strict; i++)
        CHECK(!w->clients[i].rejected || w->clients[i].reason != SCHED_REJECT_UNLOADED,
              "replaced is not unloaded");
    CHECK(!at_once || (open->i.state == SCHED_READY && is_loading(w, m)),
          "a replacement makes requests wait, though there is memory");
}

static void keep(struct world *w, struct catalog_model *m)
{
    struct engine *e;
    EACH_ENGINE (e, w, m) {
        note_unload(w, e);
        e->unload_due = false;
        bool may = !e->outdated || (is_memory_known(w, e) && !is_held(w, m) && !open_engine(w, m));
        bool leaves =
            e->i.state == SCHED_DRAINING || (e->i.state == SCHED_SAVING && has_kept_place(w, e));
        if (!leaves || !e->draining || e->drain_reason != SCHED_STOP_UNLOADED || !may)
            continue;
        if (e->state == ENGINE_SAVING) {
            e->state = ENGINE_UP;
            e->at = SCHED_NEVER;
        }
        e->draining = false;
        m->wanted = false;
    }
    feed_model(w, SCHED_EV_KEEP, m);
    check_answers(w, m, SCHED_REJECT_UNLOADED, false);
}

static void hold(struct world *w, struct catalog_model *m)
{
    m->held_until = one_in(w, 3) ? SCHED_NEVER : w->now + below(w, 3000);
    bool serves = is_in_state(w, m, SCHED_LOADING) || is_in_state(w, m, SCHED_READY);
    if (is_held(w, m) && !serves)
        m->wanted = false;
    feed(w,
         &(struct sched_event){.type = SCHED_EV_HOLD, .model = &m->m, .hold_until = m->held_until});
    check_answers(w, m, SCHED_REJECT_HELD, is_held(w, m) && !is_loading(w, m) && !is_open(w, m));
    for (unsigned i = 0; i < CLIENTS && w->strict && is_loading(w, m); i++)
        CHECK(!w->clients[i].rejected || !w->plain, "a hold does not end a load");
}

static void release(struct world *w, struct catalog_model *m)
{
    m->held_until = 0;
    feed_model(w, SCHED_EV_RELEASE, m);
}

static void remove_model(struct world *w, struct catalog_model *m)
{
    m->listed = false;
    order_end(w, m, SCHED_STOP_REMOVED, SCHED_NEVER);
    feed_model(w, SCHED_EV_REMOVE, m);
    check_answers(w, m, SCHED_REJECT_REMOVED, true);
}

/* Engines turn out to take more or less than was thought. A file stays what they have mapped. */
static void measure(struct world *w, struct catalog_model *m)
{
    struct engine *e;
    EACH_ENGINE (e, w, m) {
        if (one_in(w, 2))
            memcpy(e->i.footprint.bytes, m->m.next.bytes, sizeof m->m.next.bytes);
        e->i.footprint.apart = m->m.next.apart;
    }
}

static void set_attributes(struct world *w, struct catalog_model *m)
{
    m->m.pinned = one_in(w, 5);
    m->m.ttl_ms = one_in(w, 2) ? 0 : 50 + below(w, 3000);
    if (w->plain)
        return;
    m->m.priority = (int)below(w, 3) - 1;
    m->m.cold = one_in(w, 2);
    m->m.load_ms = one_in(w, 4) ? 0 : below(w, one_in(w, 2) ? 2 * LOAD_MS : 6 * SCHED_QUICK_MS);
    m->m.unsure = one_in(w, 12);
    m->m.next.apart = one_in(w, 8);
    if (!w->fixed || LIST_EMPTY(&m->m.instances))
        m->m.max_leases = one_in(w, 2) ? 0 : 1 + below(w, 4);
    for (unsigned d = 0; d < DEVICES; d++)
        m->m.next.bytes[d] = one_in(w, 4) ? 0 : below(w, 50);
    m->m.next.weights = one_in(w, 2) ? NULL : &w->files[below(w, FILES)];
    measure(w, m);
}

/* As new, if it may be freed; then nothing in the scheduler may remember it. */
static void add_model(struct world *w, struct catalog_model *m)
{
    if (!m->listed && LIST_EMPTY(&m->m.instances) && !m->m.leases && w->strict) {
        memset(m, 0, sizeof *m);
        set_attributes(w, m);
        for (unsigned i = 0; i < CLIENTS; i++)
            if (w->clients[i].r.model == &m->m)
                memset(&w->clients[i], 0, sizeof w->clients[i]);
    }
    m->listed = true;
    feed_model(w, SCHED_EV_ADD, m);
}

static void shut_down(struct world *w, uint64_t until)
{
    w->shutdown = true;
    for (unsigned i = 0; i < w->n_models; i++)
        order_end(w, &w->models[i], SCHED_STOP_SHUTDOWN, until);
    feed(w, &(struct sched_event){.type = SCHED_EV_SHUTDOWN, .drain_until = until});
    check_answers(w, NULL, SCHED_REJECT_SHUTDOWN, true);
}

/* A preset was changed; felt at the tick. Only where a stop cannot be due for what was before. */
static void change_model(struct world *w, struct catalog_model *m)
{
    if (!w->strict)
        return;
    set_attributes(w, m);
    tick(w);
}

/* An idle engine goes, the one of the lowest priority, unless one is on its way out. */
static void run_short(struct world *w)
{
    struct engine *e, *worst = NULL;
    bool stopping = false;
    EACH_ENGINE (e, w, NULL) {
        bool serves = e->i.state == SCHED_READY || e->i.state == SCHED_YIELDING;
        stopping |= sched_instance_is_stopping(&e->i);
        /* Grants that were not pulled yet count, too. */
        if (serves && !e->model->m.pinned && e->i.leases == e->i.lapsed &&
            (!worst || e->model->m.priority < worst->model->m.priority))
            worst = e;
    }
    unsigned before = w->s.running, going = 0;
    w->shortages++;
    sched_event(&w->s, &(struct sched_event){.type = SCHED_EV_SHORT}, w->now);
    EACH_ENGINE (e, w, NULL)
        if (sched_instance_is_stopping(&e->i) && e->i.stop_reason == SCHED_STOP_MEMORY &&
            e->state == ENGINE_UP) {
            CHECK(!e->model->m.pinned && !count_readers(w, e), "one in use makes way");
            CHECK(stopping || (worst && e->model->m.priority == worst->model->m.priority),
                  "a higher priority makes way");
            going++;
        }
    CHECK(w->s.running == before, "gone before its process is");
    CHECK(stopping || going == (worst ? 1 : 0), "one makes way, if one may");
    if (!w->depth)
        pull(w);
}

/* Other programs take memory, or give it back. */
static void change_capacity(struct world *w)
{
    w->s.capacity_pending = !w->plain && one_in(w, 4);
    for (unsigned d = 0; d < DEVICES && !w->plain; d++)
        w->s.capacity[d] =
            one_in(w, 2) ? w->config.ceiling[d] : below(w, 1 + (unsigned)w->config.ceiling[d]);
    tick(w);
}

static void operator_event(struct world *w)
{
    struct catalog_model *m = &w->models[below(w, w->n_models)];
    switch (below(w, 34)) {
    case 32 ... 33:
        change_capacity(w);
        break;
    case 24 ... 31:
        replace(w, m);
        break;
    case 0 ... 5:
        load(w, m);
        break;
    case 6 ... 9:
        if (one_in(w, 3))
            unload_when_idle(w, m);
        else
            unload(w, m);
        break;
    case 10:
        keep(w, m);
        break;
    case 11 ... 13:
        hold(w, m);
        break;
    case 14 ... 17:
        release(w, m);
        break;
    case 18:
        remove_model(w, m);
        break;
    case 19 ... 21:
        add_model(w, m);
        break;
    case 22:
        change_model(w, m);
        break;
    default:
        if (one_in(w, 40))
            shut_down(w, random_deadline(w));
        break;
    }
}

/* Whether this op is carried out. What it draws does not depend on those before it. */
static bool begin_op(struct world *w)
{
    unsigned op = w->op++;
    w->random = w->seed * 1000003 + op;
    for (unsigned i = 0; i < n_only; i++)
        if (only[i] == op)
            return true;
    return !n_only;
}

static void random_event(struct world *w)
{
    if (!begin_op(w))
        return;
    w->now += one_in(w, 300) ? below(w, 1000000) : below(w, 40);
    unsigned n = below(w, 100);
    if (n < 58)
        client_event(w);
    else if (n < 86)
        engine_event(w);
    else if (n < 93)
        operator_event(w);
    else if (n < 95)
        replace(w, &w->models[below(w, w->n_models)]);
    else if (n < 96 && !w->plain)
        run_short(w);
    else
        tick(w);
    if (!w->depth && sched_deadline(&w->s) <= w->now && !one_in(w, 4))
        tick(w);
}

/* --- The end: time runs, everything finishes --------------------------------------------- */

/* Not all places can be taken for ever by engines that nobody may evict. */
static bool is_place_shared(const struct world *w)
{
    unsigned pinned = 0;
    for (unsigned i = 0; i < w->n_models; i++)
        pinned += w->models[i].m.pinned;
    return !w->config.models_max || pinned < w->config.models_max;
}

/* Then clients wait for each other, too, which is another bound. */
static bool has_lease_limits(const struct world *w)
{
    for (unsigned i = 0; i < w->n_models; i++)
        if (w->models[i].m.max_leases)
            return true;
    return false;
}

/* While others wait. Where clients do not come again, only a pause is waited for. */
static uint64_t longest_turn(const struct world *w)
{
    return w->resident ? w->config.max_wait_ms
                       : smaller(w->config.max_wait_ms, 6 * SCHED_QUICK_MS / 4);
}

static uint64_t bound(const struct world *w)
{
    uint64_t turn = LOAD_MS + LEASE_MS + STOP_MS + w->config.save_ms;
    turn += w->config.turn ? longest_turn(w) : 0;
    uint64_t ms = is_place_shared(w) ? w->n_models * turn + turn : SCHED_NEVER;
    if (w->resident)
        ms = sum(ms, w->config.max_wait_ms);
    if (!w->plain)
        ms = sum(ms, sum(w->config.hopeless_ms, BACK_OFF_MAX_MS));
    if (has_lease_limits(w))
        ms = SCHED_NEVER;
    if (w->config.wait_timeout_ms && w->config.wait_timeout_ms < ms)
        return w->config.wait_timeout_ms;
    return ms;
}

static uint64_t next_time(const struct world *w)
{
    uint64_t at = sched_deadline(&w->s);
    const struct engine *e;
    EACH_ENGINE (e, w, NULL)
        at = earlier(at, e->at);
    for (unsigned i = 0; i < CLIENTS; i++)
        if (w->clients[i].state == CLIENT_SERVED && w->clients[i].at < at)
            at = w->clients[i].at;
    return at;
}

static struct engine *next_due(const struct world *w)
{
    struct engine *e;
    EACH_ENGINE (e, w, NULL)
        if (e->at <= w->now)
            return e;
    return NULL;
}

static void step_engines(struct world *w)
{
    struct engine *e;
    while ((e = next_due(w))) {
        if (e->state == ENGINE_STOPPING || (e->state == ENGINE_LOADING && one_in(w, 9)))
            become_gone(w, e);
        else if (e->state == ENGINE_SAVING)
            become_saved(w, e);
        else
            become_ready(w, e);
    }
}

static void step_clients(struct world *w)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client *c = &w->clients[i];
        struct catalog_model *m = (struct catalog_model *)c->r.model;
        if (c->state != CLIENT_SERVED || c->at > w->now)
            continue;
        leave(w, c, SCHED_EV_DONE);
        if (w->resident)
            ask(w, c, m);
    }
}

static bool is_any_judged(const struct world *w)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        if (w->clients[i].state == CLIENT_ASKED && w->clients[i].judged)
            return true;
    return false;
}

/* Until those who wait now are answered. */
static void run_until_answered(struct world *w)
{
    uint64_t end = sum(w->now, bound(w));
    for (unsigned i = 0; i < CLIENTS; i++)
        w->clients[i].judged = w->clients[i].state == CLIENT_ASKED;
    while (is_any_judged(w)) {
        uint64_t at = next_time(w);
        CHECK(at != SCHED_NEVER, "waits, and nothing will ever happen");
        w->now = at > w->now ? at : w->now;
        CHECK(w->now <= end, "not answered within the bound");
        step_engines(w);
        step_clients(w);
        if (sched_deadline(&w->s) <= w->now)
            tick(w);
        CHECK(sched_deadline(&w->s) > w->now, "a tick is wanted again at once");
    }
}

/* Everything that was begun before the end phase ends within its times, too. */
static void set_times(struct world *w)
{
    struct engine *e;
    EACH_ENGINE (e, w, NULL) {
        if (e->state == ENGINE_LOADING)
            e->at = w->now + 1 + below(w, LOAD_MS);
        else if (e->state == ENGINE_SAVING)
            e->at = e->deaf ? SCHED_NEVER : w->now + 1 + below(w, SAVED_MS);
        else
            e->at = e->state == ENGINE_STOPPING ? w->now + 1 + below(w, STOP_MS) : SCHED_NEVER;
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        w->clients[i].at = w->now + 1 + below(w, LEASE_MS);
}

static void run_until_stopped(struct world *w)
{
    shut_down(w, SCHED_NEVER);
    for (uint64_t at; (at = next_time(w)) != SCHED_NEVER;) {
        w->now = at > w->now ? at : w->now;
        step_engines(w);
        step_clients(w);
        if (sched_deadline(&w->s) <= w->now)
            tick(w);
    }
    CHECK(w->s.running == 0 && w->s.waiting == 0, "the shutdown does not come to an end");
    for (unsigned i = 0; i < w->n_models; i++)
        CHECK(w->models[i].m.leases == 0, "a lease remains");
}

static void finish(struct world *w)
{
    w->ending = true;
    pull(w);
    w->strict = true;
    for (unsigned i = 0; i < w->n_models; i++)
        w->models[i].m.unsure = false;
    w->s.capacity_pending = false;
    tick(w);
    set_times(w);
    w->resident = w->config.max_wait_ms != SCHED_NEVER && one_in(w, 2);
    if (bound(w) != SCHED_NEVER)
        run_until_answered(w);
    w->resident = false;
    run_until_stopped(w);
    free_gone(w);
    free(w->s.spare);
}

/* --- Worlds ------------------------------------------------------------------------------ */

/* Memory by device, limits, failures that count. */
static void enrich(struct world *w)
{
    w->config.devices = below(w, DEVICES + 1);
    w->config.loads_max = below(w, 4);
    w->config.turn = below(w, 4);
    w->config.hopeless_ms = one_in(w, 4) ? 0 : below(w, 2000);
    w->config.max_failures = below(w, 5);
    w->config.back_off_ms = one_in(w, 2) ? 0 : below(w, 900);
    for (unsigned d = 0; d < DEVICES; d++)
        w->config.ceiling[d] = 20 + below(w, one_in(w, 2) ? 120 : 400);
    for (unsigned i = 0; i < FILES; i++)
        w->files[i].bytes = below(w, 40);
    w->config.overlap = !one_in(w, 3);
    w->config.spare = below(w, 30);
}

static void create_world(struct world *w, uint64_t seed)
{
    *w = (struct world){.seed = seed, .random = seed};
    w->now = below(w, 100000);
    w->n_models = 1 + below(w, MODELS);
    w->strict = one_in(w, 2);
    w->config.models_max = below(w, 6);
    w->config.max_queue = one_in(w, 2) ? 0 : 1 + below(w, 20);
    w->config.max_wait_ms = one_in(w, 6) ? SCHED_NEVER : below(w, 4) * below(w, 1000);
    w->config.wait_timeout_ms = one_in(w, 2) ? 0 : 1 + below(w, 4000);
    w->config.hopeless_ms = SCHED_NEVER;
    w->config.unread_ms = one_in(w, 3) ? 0 : below(w, 1000);
    w->plain = one_in(w, 2);
    w->fixed = one_in(w, 2);
    w->config.save_ms = one_in(w, 3) ? 0 : 1 + below(w, 3000);
    if (!w->plain)
        enrich(w);
    sched_init(&w->s, &w->config);
    TAILQ_INIT(&w->engines);
    provide_spare(w);
    for (unsigned i = 0; i < w->n_models; i++) {
        struct catalog_model *m = &w->models[i];
        set_attributes(w, m);
        m->listed = !one_in(w, 10);
        if (m->listed)
            feed_model(w, SCHED_EV_ADD, m);
    }
}

static void run_world(uint64_t seed)
{
    static struct world w;
    create_world(&w, seed);
    while (w.event < events_a_world && w.op < MAX_OPS)
        random_event(&w);
    begin_op(&w);
    finish(&w);
}

/* --- Shrinking --------------------------------------------------------------------------- */

/* Whether the world still fails with these ops alone. In a process of its own, as it ends there. */
static bool fails_with(uint64_t seed, const unsigned *ops, unsigned n)
{
    int status = 0;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        quiet = true;
        memcpy(only, ops, n * sizeof *ops);
        n_only = n;
        alarm(10);
        run_world(seed);
        _exit(0);
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

/* Leaves out ever smaller pieces as long as it fails without them (Zeller, Hildebrandt 2002). */
static void shrink(const struct world *w)
{
    static unsigned ops[MAX_OPS], fewer[MAX_OPS];
    unsigned n = w->op < MAX_OPS ? w->op : MAX_OPS;
    for (unsigned i = 0; i < n; i++)
        ops[i] = i;
    for (unsigned piece = n / 2; piece; piece = piece > 1 ? piece / 2 : 0) {
        for (unsigned at = 0; at + piece <= n;) {
            memcpy(fewer, ops, at * sizeof *ops);
            memcpy(fewer + at, ops + at + piece, (n - at - piece) * sizeof *ops);
            if (n > piece && fails_with(w->seed, fewer, n - piece)) {
                n -= piece;
                memcpy(ops, fewer, n * sizeof *ops);
            } else {
                at += piece;
            }
        }
    }
    printf("shrunk to %u ops; replay:\n  sim_sched --seed %llu --worlds 1 --events %llu -v --only ",
           n, (unsigned long long)w->seed, events_a_world);
    for (unsigned i = 0; i < n; i++)
        printf("%s%u", i ? "," : "", ops[i]);
    puts("");
}

static void read_only(char *list)
{
    for (char *op = strtok(list, ","); op && n_only < MAX_OPS; op = strtok(NULL, ","))
        only[n_only++] = (unsigned)strtoul(op, NULL, 10);
}

static unsigned long long number(const char *text)
{
    char *end;
    unsigned long long n = strtoull(text, &end, 10);
    if (end == text || *end) {
        fprintf(stderr, "sim_sched: not a number: %s\n", text);
        exit(2);
    }
    return n;
}

static void print_totals(unsigned long long worlds, double seconds)
{
    printf(
        "sim_sched: %llu worlds, %llu events, %llu grants, %llu rejects, %llu spawns, %llu stops, "
        "%llu evictions, %llu for want of memory, %llu yields, %llu replacements beside, %llu own "
        "failures, %llu saves (%llu to the end, %llu cut off, %llu called off), %.0f events/s\n",
        worlds, (unsigned long long)totals.events, (unsigned long long)totals.grants,
        (unsigned long long)totals.rejects, (unsigned long long)totals.spawns,
        (unsigned long long)totals.stops, (unsigned long long)totals.evictions,
        (unsigned long long)totals.shortages, (unsigned long long)totals.yields,
        (unsigned long long)totals.replaced, (unsigned long long)totals.own_failures,
        (unsigned long long)totals.saves, (unsigned long long)totals.saved,
        (unsigned long long)totals.cut, (unsigned long long)totals.resumed,
        (double)totals.events / seconds);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"seed", required_argument, NULL, 's'},
                                            {"events", required_argument, NULL, 'e'},
                                            {"worlds", required_argument, NULL, 'w'},
                                            {"only", required_argument, NULL, 'o'},
                                            {NULL, 0, NULL, 0}};
    unsigned long long seed = 1, events = 0, worlds = 0;
    struct timespec a, b;
    for (int c; (c = getopt_long(argc, argv, "v", options, NULL)) != -1;) {
        if (c == 's')
            seed = number(optarg);
        else if (c == 'e')
            events = number(optarg);
        else if (c == 'w')
            worlds = number(optarg);
        else if (c == 'o')
            read_only(optarg);
        else if (c == 'v')
            verbose = true;
        else
            return 2;
    }
    events = events ? events : (worlds ? worlds : 1000) * EVENTS_A_WORLD;
    worlds = worlds ? worlds : 1 + (events - 1) / EVENTS_A_WORLD;
    events_a_world = events / worlds;
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (unsigned long long i = 0; i < worlds; i++)
        run_world(seed + i);
    clock_gettime(CLOCK_MONOTONIC, &b);
    print_totals(worlds, (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9);
    return 0;
}
