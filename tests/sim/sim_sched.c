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
 * It holds whatever new requests come to the resident models, and without max_wait if none come.
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
enum { LOAD_MS = 400, LEASE_MS = 300, STOP_MS = 100 }; /* T, L and K of the bound */
enum { DEVICES = 2, FILES = 3, BACK_OFF_MAX_MS = 30000 };

enum engine_state { ENGINE_NONE, ENGINE_LOADING, ENGINE_UP, ENGINE_STOPPING };
enum client_state { CLIENT_OUT, CLIENT_ASKED, CLIENT_SERVED };

struct engine {
    enum engine_state state;
    unsigned id;
    bool draining; /* somebody asked it to end: until when, why, and whether at once */
    bool killed, broken;
    uint64_t drain_until;
    enum sched_stop_reason drain_reason;
    bool stop_given, force_given;
    uint64_t last_used, loaded;
    uint64_t at; /* in the end phase: when it does its next step */
};

struct catalog_model {
    struct sched_model m;
    struct engine engine;
    bool listed, wanted;
    uint64_t wanted_since, held_until;
};

struct client {
    struct sched_request r;
    enum client_state state;
    unsigned engine; /* id of the one that serves it */
    bool rejected;   /* by the event that is being handled */
    enum sched_reject_reason reason;
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
    unsigned n_models;
    bool strict, shutdown;
    bool fixed;    /* max_leases does not change */
    bool plain;    /* only places are short: then much more can be said of what must happen */
    bool resident; /* in the end phase: whoever is served asks again */
    const struct catalog_model *victim; /* that is being judged */
    uint64_t seed, random, now, event, arrivals;
    unsigned op; /* of random_event(): what is drawn in it depends on this and the seed alone */
    unsigned engines; /* how many there were */
    unsigned depth;
    char trace[TRACE_LINES][TRACE_WIDTH];
    uint64_t traced;
};

static struct totals {
    uint64_t events, grants, rejects, spawns, stops, evictions, yields;
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
        exit(line == failed_line ? 1 : 2);
    for (uint64_t i = first; i < w->traced && !verbose; i++)
        puts(w->trace[i % TRACE_LINES]);
    printf("config: models=%u models_max=%u loads_max=%u max_queue=%u devices=%u max_wait=%llu "
           "wait_timeout=%llu residence=%llu hopeless=%llu max_failures=%u strict=%d plain=%d\n",
           w->n_models, w->config.models_max, w->config.loads_max, w->config.max_queue,
           w->config.devices, (unsigned long long)w->config.max_wait_ms,
           (unsigned long long)w->config.wait_timeout_ms,
           (unsigned long long)w->config.residence_ms, (unsigned long long)w->config.hopeless_ms,
           w->config.max_failures, w->strict, w->plain);
    printf("FAILED (line %d): %s\nseed %llu, event %llu, op %u\n", line, what,
           (unsigned long long)w->seed, (unsigned long long)w->event, w->op);
    failed_line = line;
    if (!n_only)
        shrink(w);
    exit(1);
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

static unsigned count_engines(const struct world *w)
{
    unsigned n = 0;
    for (unsigned i = 0; i < w->n_models; i++)
        n += w->models[i].engine.state != ENGINE_NONE;
    return n;
}

/* Clients of `m` in `state`; of those served, only at its present engine if `present`. */
static unsigned count_clients(const struct world *w, const struct catalog_model *m,
                              enum client_state state, bool present)
{
    unsigned n = 0;
    for (unsigned i = 0; i < CLIENTS; i++) {
        const struct client *c = &w->clients[i];
        if (c->r.model == &m->m && c->state == state)
            n += !present || (m->engine.state != ENGINE_NONE && c->engine == m->engine.id);
    }
    return n;
}

static unsigned count_asked(const struct world *w)
{
    unsigned n = 0;
    for (unsigned i = 0; i < w->n_models; i++)
        n += count_clients(w, &w->models[i], CLIENT_ASKED, false);
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

static bool wishes_place(const struct world *w, const struct catalog_model *m)
{
    return m->engine.state == ENGINE_NONE && oldest_wish(w, m) != SCHED_NEVER;
}

static bool is_held(const struct world *w, const struct catalog_model *m)
{
    return m->held_until > w->now;
}

static bool is_open(const struct catalog_model *m)
{
    return m->engine.state == ENGINE_UP && m->m.state == SCHED_READY && !m->engine.draining &&
           !m->m.yielding;
}

/* Leases at its engine that count for max_leases. */
static unsigned count_active(const struct world *w, const struct catalog_model *m)
{
    unsigned n = 0;
    for (unsigned i = 0; i < CLIENTS; i++) {
        const struct client *c = &w->clients[i];
        n += c->r.model == &m->m && c->state == CLIENT_SERVED && !c->r.passive &&
             m->engine.state != ENGINE_NONE && c->engine == m->engine.id;
    }
    return n;
}

static bool is_full(const struct world *w, const struct catalog_model *m)
{
    return m->m.max_leases && count_active(w, m) >= m->m.max_leases;
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
        p.stopping += m->engine.state == ENGINE_STOPPING;
        p.draining += m->engine.state == ENGINE_UP && m->engine.draining;
        p.yielding += m->m.yielding;
    }
    return p;
}

/* --- Room, from the record --------------------------------------------------------------- */

typedef bool filter(const struct world *w, const struct catalog_model *m);

static bool leaves(const struct catalog_model *m)
{
    return m->engine.state == ENGINE_STOPPING;
}

static bool is_idle(const struct world *w, const struct catalog_model *m)
{
    return m->engine.state == ENGINE_UP && !m->engine.draining && !m->m.pinned &&
           !count_clients(w, m, CLIENT_SERVED, true);
}

static bool stayed(const struct world *w, const struct catalog_model *m)
{
    uint64_t twice = 2 * m->m.load_ms, pause = m->m.load_ms / 4;
    uint64_t resident = twice < w->config.residence_ms ? twice : w->config.residence_ms;
    return m->m.load_ms < SCHED_QUICK_MS || sum(m->engine.loaded, resident) <= w->now ||
           sum(m->engine.last_used, pause) <= w->now ||
           (m->m.pauses[0] > pause && m->m.pauses[1] > pause);
}

/* A residence holds nobody of a higher priority out. */
static bool has_stayed(const struct world *w, const struct catalog_model *m)
{
    bool better = false;
    for (unsigned i = 0; i < w->n_models; i++) {
        const struct catalog_model *o = &w->models[i];
        better |= o->m.priority > m->m.priority && is_idle(w, o) && stayed(w, o);
    }
    return better || stayed(w, m);
}

static bool is_late(const struct world *w, const struct catalog_model *m)
{
    return sum(oldest_wish(w, m), w->config.max_wait_ms) <= w->now;
}

static bool nobody(const struct world *w, const struct catalog_model *m)
{
    (void)w;
    (void)m;
    return false;
}

static bool who_leaves(const struct world *w, const struct catalog_model *m)
{
    (void)w;
    return leaves(m);
}

static bool who_leaves_or_yields(const struct world *w, const struct catalog_model *m)
{
    (void)w;
    return leaves(m) || m->m.yielding || m->engine.draining;
}

static bool who_leaves_or_is_idle(const struct world *w, const struct catalog_model *m)
{
    return leaves(m) || (is_idle(w, m) && has_stayed(w, m));
}

static bool who_leaves_or_is_idle_anyhow(const struct world *w, const struct catalog_model *m)
{
    return leaves(m) || is_idle(w, m);
}

static bool who_could_yield(const struct world *w, const struct catalog_model *m)
{
    (void)w;
    return leaves(m) || m->engine.draining || (m->engine.state == ENGINE_UP && !m->m.pinned);
}

static bool who_is_not_pinned(const struct world *w, const struct catalog_model *m)
{
    (void)w;
    return leaves(m) || !m->m.pinned || m->engine.draining;
}

/* Its place is for another though it is still there. */
static bool leaves_for_good(const struct world *w, const struct catalog_model *m)
{
    return w->config.overlap && leaves(m) && !m->m.apart && oldest_wish(w, m) == SCHED_NEVER;
}

/* Whether `m` would fit if those engines were gone. Where it needs nothing more it always does. */
static bool fits_without(const struct world *w, const struct catalog_model *m, filter *gone)
{
    unsigned places = 1, leaving = 0;
    uint64_t used[DEVICES] = {0}, needs[DEVICES];
    bool mapped[FILES] = {false};
    for (unsigned i = 0; i < w->n_models; i++) {
        const struct catalog_model *o = &w->models[i];
        if (o == m || o->engine.state == ENGINE_NONE || gone(w, o))
            continue;
        places++;
        leaving += leaves_for_good(w, o);
        for (unsigned d = 0; d < DEVICES; d++)
            used[d] += o->m.bytes[d];
        if (o->m.weights)
            mapped[o->m.weights - w->files] = true;
    }
    for (unsigned i = 0; i < FILES; i++)
        used[0] += mapped[i] ? w->files[i].bytes : 0;
    memcpy(needs, m->m.bytes, sizeof needs);
    if (m->m.weights && !mapped[m->m.weights - w->files])
        needs[0] += m->m.weights->bytes;
    bool beside = w->config.models_max && places > w->config.models_max;
    uint64_t spare = beside ? w->config.spare : 0;
    for (unsigned d = 0; d < w->config.devices; d++)
        if (needs[d] + spare && used[d] + needs[d] + spare > w->s.capacity[d])
            return false;
    return !beside || (places - leaving <= w->config.models_max && !m->m.apart);
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
    for (unsigned i = 0; i < w->n_models; i++) {
        bool loads = w->models[i].engine.state == ENGINE_LOADING;
        loading += loads;
        cold += loads && w->models[i].m.cold;
    }
    return (!w->config.loads_max || loading < w->config.loads_max) && !(m->m.cold && cold);
}

/* --- Checks at an action ----------------------------------------------------------------- */

static void check_grant(struct world *w, const struct catalog_model *m, const struct client *c)
{
    CHECK(c->state == CLIENT_ASKED, "grant for one who did not ask, or has been answered");
    CHECK(m->engine.state == ENGINE_UP && !m->engine.stop_given,
          "grant at an engine not in service");
    CHECK(!m->engine.killed, "grant at an engine that is being killed");
    for (unsigned i = 0; i < CLIENTS; i++) {
        const struct client *o = &w->clients[i];
        /* Passive ones need not wait for a lease to end. */
        CHECK(o->r.model != &m->m || o->state != CLIENT_ASKED || o->n >= c->n ||
                  (m->m.max_leases && c->r.passive),
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
    CHECK(reason != SCHED_REJECT_NOT_LOADED || !c->r.may_load, "rejected though it may load");
    CHECK(reason != SCHED_REJECT_QUEUE_FULL || w->config.max_queue, "the queue has no limit");
    CHECK(!w->plain || reason < SCHED_REJECT_OOM || reason > SCHED_REJECT_NO_ROOM,
          "rejected for what does not happen here");
    CHECK(reason != SCHED_REJECT_FAILED || w->config.max_failures, "failures have no limit");
}

static void check_spawn(struct world *w, const struct catalog_model *m, const struct client *c)
{
    CHECK(m->engine.state == ENGINE_NONE, "spawn of what runs");
    CHECK(m->listed && !is_held(w, m) && !w->shutdown, "spawn of what must not be loaded");
    unsigned leaving = 0;
    for (unsigned i = 0; i < w->n_models; i++)
        leaving += leaves_for_good(w, &w->models[i]);
    CHECK(!w->config.models_max || count_engines(w) - leaving < w->config.models_max,
          "too many engines");
    CHECK(wishes_place(w, m), "spawn for nobody");
    /* In the others somebody's rejection may be due that the record has not seen. */
    bool exact = w->plain || w->strict;
    CHECK(!exact || !c == (m->wanted && m->wanted_since <= oldest_client(w, m)),
          "who caused the load?");
    CHECK(!exact || !c ||
              (c->state == CLIENT_ASKED && c->r.model == &m->m && c->r.may_load &&
               c->r.caused_load && c->since == oldest_client(w, m)),
          "spawn because of somebody else");
    CHECK(may_be_placed(w, m), "spawn of what must not be loaded yet");
    CHECK(fits_without(w, m, nobody), "spawn without room");
    CHECK(may_load_more(w, m), "too many loads");
    const struct catalog_model *first = first_in_turn(w);
    CHECK(first == m || !is_first(w, first) || !fits_without(w, first, nobody) ||
              !fits_without(w, first, who_leaves) || !may_load_more(w, first),
          "spawn before a model whose turn it is, and which fits");
    for (unsigned i = 0; i < w->n_models && w->plain; i++)
        CHECK(!wishes_place(w, &w->models[i]) || oldest_wish(w, &w->models[i]) >= oldest_wish(w, m),
              "spawn before a model that has waited longer");
}

static bool will_leave(const struct world *w, const struct catalog_model *m)
{
    return leaves(m) || (m != w->victim && m->m.stop_due);
}

/* Nobody is stopped who need not go: at least of the one whose turn it is this can be said. */
static void check_need(struct world *w, const struct catalog_model *m,
                       const struct catalog_model *cause)
{
    CHECK(cause && cause != m, "an eviction for nobody");
    CHECK(is_idle(w, m) && (has_stayed(w, m) || is_late(w, cause)), "not evictable");
    w->victim = m;
    CHECK(!is_first(w, cause) || !fits_without(w, cause, will_leave), "evicted without need");
}

/* An eviction is chosen when it is pulled, so that it can be checked in all worlds. */
static void check_eviction(struct world *w, const struct catalog_model *m)
{
    struct places p = count_places(w);
    CHECK(w->config.models_max && count_engines(w) == w->config.models_max,
          "eviction with a place");
    CHECK(p.stopping < p.wishes, "more engines stopped than models wait for");
    CHECK(!m->m.pinned && !m->engine.draining && m->engine.state == ENGINE_UP, "not evictable");
    for (unsigned i = 0; i < w->n_models; i++) {
        const struct catalog_model *o = &w->models[i];
        bool idle = is_open(o) && !o->m.pinned && o != m &&
                    !count_clients(w, o, CLIENT_SERVED, true) && oldest_wish(w, o) == SCHED_NEVER;
        CHECK(!idle || (o->engine.last_used >= m->engine.last_used &&
                        count_clients(w, m, CLIENT_ASKED, false) == 0),
              "there was a better victim");
    }
}

static void check_stop(struct world *w, const struct catalog_model *m, const struct sched_action *a)
{
    const struct engine *e = &m->engine;
    CHECK(e->state != ENGINE_NONE, "stop of what does not run");
    CHECK(!e->stop_given || (a->force && !e->force_given), "stop given twice");
    CHECK(a->force || !count_clients(w, m, CLIENT_SERVED, true), "stopped with leases");
    CHECK(!a->force || e->broken || (e->draining && e->drain_until <= w->now),
          "forced without an order");
    switch (a->stop) {
    case SCHED_STOP_UNLOADED:
    case SCHED_STOP_REPLACED:
    case SCHED_STOP_REMOVED:
    case SCHED_STOP_SHUTDOWN:
        CHECK(e->draining && e->drain_reason == a->stop, "stopped without an order");
        break;
    case SCHED_STOP_EVICTED:
        if (!e->stop_given)
            check_need(w, m, (const struct catalog_model *)a->cause);
        if (!e->stop_given && w->plain)
            check_eviction(w, m);
        break;
    case SCHED_STOP_BROKEN:
        CHECK(e->broken, "stopped for being broken, but was not");
        break;
    case SCHED_STOP_IDLE:
        CHECK(!m->m.pinned && m->m.ttl_ms && sum(e->last_used, m->m.ttl_ms) <= w->now,
              "stopped for being idle, but was not");
        break;
    }
}

/* --- Performing actions ------------------------------------------------------------------ */

static void perform_grant(struct world *w, struct catalog_model *m, struct client *c)
{
    trace(w, "    grant %u at %c", number_of(w, &c->r), 'A' + index_of(w, &m->m));
    check_grant(w, m, c);
    c->state = CLIENT_SERVED;
    c->engine = m->engine.id;
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
        most[d] = m->m.bytes[d] + (d == 0 && m->m.weights ? m->m.weights->bytes : 0);
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

static void perform_spawn(struct world *w, struct catalog_model *m, const struct sched_request *r)
{
    trace(w, "    spawn %c (%s %d)", 'A' + index_of(w, &m->m), r ? "for" : "operator",
          r ? (int)number_of(w, r) : 0);
    check_spawn(w, m, (const struct client *)r);
    m->wanted = false;
    m->engine = (struct engine){
        .state = ENGINE_LOADING, .id = ++w->engines, .at = w->now + 1 + below(w, LOAD_MS)};
    totals.spawns++;
}

static void perform_stop(struct world *w, struct catalog_model *m, const struct sched_action *a)
{
    trace(w, "    stop %c: %s%s", 'A' + index_of(w, &m->m), sched_stop_name(a->stop),
          a->force ? ", by force" : "");
    check_stop(w, m, a);
    m->engine.state = ENGINE_STOPPING;
    m->engine.stop_given = true;
    m->engine.force_given |= a->force;
    m->engine.at = w->now + 1 + below(w, STOP_MS);
    totals.stops++;
    totals.evictions += a->stop == SCHED_STOP_EVICTED;
}

static void perform(struct world *w, const struct sched_action *a)
{
    struct catalog_model *m = (struct catalog_model *)a->model;
    struct client *c = (struct client *)a->request;
    switch (a->type) {
    case SCHED_ACT_GRANT:
        perform_grant(w, m, c);
        break;
    case SCHED_ACT_REJECT:
        perform_reject(w, c, a->reject);
        break;
    case SCHED_ACT_SPAWN:
        perform_spawn(w, m, a->request);
        break;
    case SCHED_ACT_DROP:
        m->wanted = false;
        break;
    case SCHED_ACT_STOP:
        perform_stop(w, m, a);
        break;
    }
}

/* --- Checks when nothing is left to do --------------------------------------------------- */

static void check_counters(struct world *w)
{
    CHECK(w->s.running == count_engines(w), "sched.running");
    CHECK(w->s.waiting == count_asked(w), "sched.waiting");
    CHECK(w->s.queued == count_places(w).wishes, "sched.queued");
    CHECK(w->s.yielding == count_places(w).yielding, "sched.yielding");
}

static enum sched_state expected_state(const struct engine *e)
{
    switch (e->state) {
    case ENGINE_NONE:
        return SCHED_UNLOADED;
    case ENGINE_LOADING:
        return SCHED_LOADING;
    case ENGINE_UP:
        return SCHED_READY;
    case ENGINE_STOPPING:
        break;
    }
    return SCHED_STOPPING;
}

static void check_model_counters(struct world *w, const struct catalog_model *m)
{
    unsigned leases = count_clients(w, m, CLIENT_SERVED, false);
    CHECK(m->m.state == expected_state(&m->engine), "model.state");
    CHECK(m->m.leases == leases, "model.leases");
    CHECK(m->m.leases - m->m.stale == count_clients(w, m, CLIENT_SERVED, true), "model.stale");
    CHECK(m->m.waiting == count_clients(w, m, CLIENT_ASKED, false), "model.waiting");
    CHECK(m->m.wanted == m->wanted, "model.wanted");
    CHECK(!m->listed || m->m.waiting_since == oldest_wish(w, m), "model.waiting_since");
    CHECK(m->m.queued == wishes_place(w, m), "model.queued");
    CHECK(m->engine.state != ENGINE_UP || m->m.draining == m->engine.draining, "model.draining");
    CHECK(!m->m.stop_due, "a stop is due that was not given");
}

static void check_model(struct world *w, const struct catalog_model *m)
{
    bool busy = count_clients(w, m, CLIENT_SERVED, true) > 0;
    bool waited = oldest_wish(w, m) != SCHED_NEVER;
    CHECK(!is_open(m) || !waited || is_full(w, m), "waits for a model that is ready");
    CHECK(m->engine.state == ENGINE_NONE || !m->m.max_leases ||
              count_active(w, m) <= m->m.max_leases || !w->fixed,
          "more leases than it may have");
    CHECK(!waited || (m->listed && !w->shutdown), "waits for what will never be");
    CHECK(!waited || !is_held(w, m) || m->engine.state == ENGINE_LOADING || is_open(m),
          "waits, though held");
    CHECK(!m->m.yielding || (busy && !m->m.pinned && m->engine.state == ENGINE_UP),
          "yields in vain");
    CHECK(!m->engine.draining || m->engine.state != ENGINE_UP || busy, "drained, yet not stopped");
    CHECK(!m->engine.killed || m->engine.force_given, "was to be stopped at once");
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

/* Nobody waits who could be served, and nobody gives way without need. */
static void check_turn(struct world *w)
{
    const struct catalog_model *first = first_in_turn(w);
    if (!first || !is_first(w, first) || sched_deadline(&w->s) <= w->now)
        return;
    bool overdue = is_late(w, first);
    bool soon = fits_without(w, first, who_leaves);
    /* Weights that are there only until another is gone are not there. */
    CHECK(!fits_without(w, first, nobody) || !soon || !may_load_more(w, first),
          "waits, though it fits");
    CHECK(soon || !fits_without(w, first,
                                overdue ? who_leaves_or_is_idle_anyhow : who_leaves_or_is_idle),
          "waits, though others are idle");
    CHECK(soon || !overdue || !fits_without(w, first, who_could_yield) ||
              fits_without(w, first, who_leaves_or_yields),
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
        const struct catalog_model *m = &w->models[i];
        bool able = is_open(m) && !m->m.pinned;
        CHECK(!able || p.wishes <= p.stopping || count_clients(w, m, CLIENT_SERVED, true),
              "waits, though an engine is idle");
        /* Whoever became overdue since the last tick is looked after at the next. */
        CHECK(!able || needed <= p.yielding + p.draining || sched_deadline(&w->s) <= w->now,
              "waits too long, and nobody yields");
    }
    CHECK(p.yielding <= needed, "more engines yield than models wait too long");
}

static void check_rest(struct world *w)
{
    check_counters(w);
    check_turn(w);
    if (w->plain)
        check_places(w);
    for (unsigned i = 0; i < w->n_models; i++) {
        check_model_counters(w, &w->models[i]);
        check_model(w, &w->models[i]);
        if (w->models[i].listed)
            check_order(w, &w->models[i]);
    }
}

/* The deadline, from the record. Of those overdue already nothing more is to be expected. */
static uint64_t expected_deadline(const struct world *w)
{
    uint64_t at = SCHED_NEVER;
    for (unsigned i = 0; i < w->n_models; i++) {
        const struct catalog_model *m = &w->models[i];
        const struct engine *e = &m->engine;
        uint64_t t[4] = {SCHED_NEVER, SCHED_NEVER, SCHED_NEVER, SCHED_NEVER};
        if (w->config.wait_timeout_ms)
            t[0] = sum(oldest_client(w, m), w->config.wait_timeout_ms);
        if (wishes_place(w, m))
            t[1] = sum(oldest_wish(w, m), w->config.max_wait_ms);
        if (is_open(m) && !m->m.pinned && m->m.ttl_ms && !count_clients(w, m, CLIENT_SERVED, true))
            t[2] = sum(e->last_used, m->m.ttl_ms);
        if (e->state == ENGINE_UP && e->draining)
            t[3] = e->drain_until;
        for (unsigned k = 0; k < 4; k++)
            if (t[k] < at && (k != 1 || t[k] > w->now))
                at = t[k];
    }
    return at;
}

/* --- Feeding events ---------------------------------------------------------------------- */

static void random_event(struct world *w);

static void check_yield(struct world *w, const struct catalog_model *m)
{
    totals.yields++;
    for (unsigned i = 0; i < w->n_models; i++) {
        const struct catalog_model *o = &w->models[i];
        CHECK(!is_open(o) || o->m.pinned || o->m.last_granted >= m->m.last_granted,
              "one yields that was granted more recently than another");
    }
}

/* Operators' wishes end when a yielding engine takes up its work again; the record learns it so. */
static void notice(struct world *w, const bool *yielded)
{
    for (unsigned i = 0; i < w->n_models; i++) {
        struct catalog_model *m = &w->models[i];
        if (!yielded[i] && m->m.yielding && w->plain)
            check_yield(w, m);
        if (is_open(m))
            m->wanted = false;
    }
}

static bool next(struct world *w, struct sched_action *action)
{
    bool yielded[MODELS];
    for (unsigned i = 0; i < w->n_models; i++)
        yielded[i] = w->models[i].m.yielding;
    /* A clock that goes backwards must not be believed. */
    uint64_t back = w->s.now == w->now && one_in(w, 20) ? below(w, 50) : 0;
    bool more = sched_next(&w->s, w->now > back ? w->now - back : 0, action);
    CHECK(w->s.now == w->now, "time");
    notice(w, yielded);
    return more;
}

static void pull(struct world *w)
{
    struct sched_action action;
    unsigned n = 0;
    while (next(w, &action)) {
        CHECK(n++ < 4 * (MODELS + CLIENTS), "sched_next() does not come to an end");
        perform(w, &action);
        if (!w->strict && w->depth < 3 && one_in(w, 4)) {
            w->depth++;
            random_event(w);
            w->depth--;
        }
    }
    check_rest(w);
}

static void feed(struct world *w, const struct sched_event *event)
{
    static const char *const names[] = {
        [SCHED_EV_ADD] = "add",           [SCHED_EV_REMOVE] = "remove",
        [SCHED_EV_REQUEST] = "request",   [SCHED_EV_CANCEL] = "cancel",
        [SCHED_EV_DONE] = "done",         [SCHED_EV_LOAD] = "load",
        [SCHED_EV_UNLOAD] = "unload",     [SCHED_EV_KEEP] = "keep",
        [SCHED_EV_REPLACE] = "replace",   [SCHED_EV_READY] = "ready",
        [SCHED_EV_GONE] = "gone",         [SCHED_EV_BROKEN] = "broken",
        [SCHED_EV_HOLD] = "hold",         [SCHED_EV_RELEASE] = "release",
        [SCHED_EV_SHUTDOWN] = "shutdown", [SCHED_EV_TICK] = "tick",
    };
    uint64_t until = event->drain_until | event->hold_until;
    if (event->request)
        trace(w, "%s %u at %c", names[event->type], number_of(w, event->request),
              'A' + index_of(w, event->request->model));
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

static void tick(struct world *w)
{
    feed(w, &(struct sched_event){.type = SCHED_EV_TICK});
    if (!w->strict)
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
    if (is_open(m) && (passive || !is_full(w, m)))
        return ANSWER_GRANT;
    if (m->engine.state != ENGINE_LOADING && !is_open(m)) {
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
    bool yielded = m->m.yielding;
    c->state = CLIENT_ASKED;
    feed(w, &(struct sched_event){.type = SCHED_EV_REQUEST, .request = &c->r});
    /* Who may wait can still learn at once that there is no room, or that the engine just yields. */
    bool late =
        m->m.yielding && (c->reason == SCHED_REJECT_HELD || c->reason == SCHED_REJECT_NOT_LOADED);
    bool no_room =
        !w->plain && expected == ANSWER_WAIT && c->state == CLIENT_OUT &&
        (late || c->reason == SCHED_REJECT_NO_ROOM || c->reason == SCHED_REJECT_TOO_LARGE);
    /* And who waits for one that yields, that it does so no more. */
    bool resumed = yielded && is_open(m) && c->state == CLIENT_SERVED;
    CHECK(!w->strict || no_room || resumed || answer_of(c) == expected,
          "not the answer that was to be expected");
}

static void leave(struct world *w, struct client *c, enum sched_event_type type)
{
    struct catalog_model *m = (struct catalog_model *)c->r.model;
    bool granted = c->state == CLIENT_ASKED && c->r.state == SCHED_REQUEST_GRANTED;
    bool leased = c->state == CLIENT_SERVED && c->engine == m->engine.id;
    if ((granted || leased) && !c->r.passive)
        m->engine.last_used = w->now;
    c->state = CLIENT_OUT;
    feed(w, &(struct sched_event){.type = type, .request = &c->r});
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
        break;
    case CLIENT_SERVED:
        leave(w, c, one_in(w, 6) ? SCHED_EV_CANCEL : SCHED_EV_DONE);
        break;
    }
}

/* --- Engines ----------------------------------------------------------------------------- */

static void become_ready(struct world *w, struct catalog_model *m)
{
    if (m->engine.state == ENGINE_LOADING) {
        m->engine.state = ENGINE_UP;
        m->engine.last_used = m->engine.loaded = w->now;
    }
    m->engine.at = SCHED_NEVER;
    feed_model(w, SCHED_EV_READY, m);
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

/* A load that ends for want of memory shows what it needs; it is tried once more. */
static void become_gone(struct world *w, struct catalog_model *m)
{
    bool loading = m->engine.state == ENGINE_LOADING;
    bool oom = loading && !w->plain && one_in(w, 3);
    bool again = oom && m->m.state == SCHED_LOADING && !m->m.oom_retried && m->listed &&
                 !is_held(w, m) && !w->shutdown;
    if (oom)
        m->m.bytes[below(w, DEVICES)] += below(w, 20);
    if (again && !has_patient_client(w, m) && !m->wanted) {
        m->wanted = true;
        m->wanted_since = w->now;
    }
    m->engine = (struct engine){0};
    feed(w, &(struct sched_event){.type = SCHED_EV_GONE, .model = &m->m, .oom = oom});
    if (w->plain)
        check_answers(w, m, SCHED_REJECT_LOAD_FAILED, loading);
}

static void become_broken(struct world *w, struct catalog_model *m)
{
    if (m->m.state == SCHED_READY)
        m->engine.broken = m->engine.killed = true;
    feed_model(w, SCHED_EV_BROKEN, m);
}

static void engine_event(struct world *w)
{
    struct catalog_model *m = &w->models[below(w, w->n_models)];
    switch (m->engine.state) {
    case ENGINE_NONE: /* a second report, or one from somebody mistaken */
        feed_model(w,
                   one_in(w, 3)   ? SCHED_EV_BROKEN
                   : one_in(w, 2) ? SCHED_EV_GONE
                                  : SCHED_EV_READY,
                   m);
        break;
    case ENGINE_LOADING:
        if (one_in(w, 6))
            become_gone(w, m);
        else
            become_ready(w, m);
        break;
    case ENGINE_UP:
        if (one_in(w, 12))
            become_gone(w, m);
        else if (one_in(w, 24))
            become_broken(w, m);
        break;
    case ENGINE_STOPPING:
        if (one_in(w, 8))
            feed_model(w, SCHED_EV_READY, m);
        else
            become_gone(w, m);
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

/* What the record knows of an order to end an engine. */
static void order_end(struct world *w, struct catalog_model *m, enum sched_stop_reason reason,
                      uint64_t until)
{
    struct engine *e = &m->engine;
    m->wanted = false;
    if (e->state == ENGINE_NONE)
        return;
    if (!e->draining)
        e->drain_until = SCHED_NEVER;
    /* Once the stop is decided its reason stays. */
    if (!e->draining || (reason > e->drain_reason && m->m.state != SCHED_STOPPING))
        e->drain_reason = reason;
    e->draining = true;
    if (until < e->drain_until)
        e->drain_until = until;
    e->killed |= until <= w->now;
}

static void load(struct world *w, struct catalog_model *m)
{
    bool wanted = m->wanted && !m->m.drop_due; /* what is given up can be wished for again */
    if (!w->shutdown && m->listed && !is_held(w, m) && !wanted && !is_open(m) &&
        m->m.state != SCHED_LOADING) {
        m->wanted = true;
        m->wanted_since = w->now;
    }
    feed_model(w, SCHED_EV_LOAD, m);
}

static void unload(struct world *w, struct catalog_model *m)
{
    uint64_t until = random_deadline(w);
    order_end(w, m, SCHED_STOP_UNLOADED, until);
    feed(w, &(struct sched_event){.type = SCHED_EV_UNLOAD, .model = &m->m, .drain_until = until});
    check_answers(w, m, SCHED_REJECT_UNLOADED, true);
}

/* Its arguments changed: nobody is told off but who could not wait for the next engine anyway. */
static void replace(struct world *w, struct catalog_model *m)
{
    bool wanted = m->wanted;
    bool again =
        m->m.state == SCHED_LOADING && !w->shutdown && !is_held(w, m) && !has_patient_client(w, m);
    if (m->listed) {
        order_end(w, m, SCHED_STOP_REPLACED, SCHED_NEVER);
        m->wanted = wanted || again;
        m->wanted_since = again && !wanted ? w->now : m->wanted_since;
    }
    feed_model(w, SCHED_EV_REPLACE, m);
    for (unsigned i = 0; i < CLIENTS && w->strict; i++)
        CHECK(!w->clients[i].rejected || w->clients[i].reason != SCHED_REJECT_UNLOADED,
              "replaced is not unloaded");
}

static void keep(struct world *w, struct catalog_model *m)
{
    struct engine *e = &m->engine;
    if (m->m.state == SCHED_READY && e->draining && e->drain_reason == SCHED_STOP_UNLOADED) {
        e->draining = false;
        m->wanted = false;
    }
    feed_model(w, SCHED_EV_KEEP, m);
    check_answers(w, m, SCHED_REJECT_UNLOADED, false);
}

static void hold(struct world *w, struct catalog_model *m)
{
    m->held_until = one_in(w, 3) ? SCHED_NEVER : w->now + below(w, 3000);
    if (is_held(w, m) && m->m.state != SCHED_LOADING && !is_open(m))
        m->wanted = false;
    feed(w,
         &(struct sched_event){.type = SCHED_EV_HOLD, .model = &m->m, .hold_until = m->held_until});
    check_answers(w, m, SCHED_REJECT_HELD,
                  is_held(w, m) && m->engine.state != ENGINE_LOADING && !is_open(m));
    for (unsigned i = 0; i < CLIENTS && w->strict && m->engine.state == ENGINE_LOADING; i++)
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

static void set_attributes(struct world *w, struct catalog_model *m)
{
    m->m.pinned = one_in(w, 5);
    m->m.ttl_ms = one_in(w, 2) ? 0 : 50 + below(w, 3000);
    if (w->plain)
        return;
    m->m.priority = (int)below(w, 3) - 1;
    if (m->engine.state != ENGINE_LOADING)
        m->m.cold = one_in(w, 2);
    m->m.load_ms = one_in(w, 4) ? 0 : below(w, one_in(w, 2) ? 2 * LOAD_MS : 4 * SCHED_QUICK_MS);
    m->m.unsure = one_in(w, 12);
    m->m.apart = one_in(w, 4);
    if (!w->fixed || m->engine.state == ENGINE_NONE)
        m->m.max_leases = one_in(w, 2) ? 0 : 1 + below(w, 4);
    for (unsigned d = 0; d < DEVICES; d++)
        m->m.bytes[d] = one_in(w, 4) ? 0 : below(w, 50);
    /* A file stays what an engine has mapped. */
    if (m->engine.state == ENGINE_NONE)
        m->m.weights = one_in(w, 2) ? NULL : &w->files[below(w, FILES)];
}

/* As new, if it may be freed; then nothing in the scheduler may remember it. */
static void add_model(struct world *w, struct catalog_model *m)
{
    if (!m->listed && m->m.state == SCHED_UNLOADED && !m->m.leases && w->strict) {
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

/* Other programs take memory, or give it back. */
static void change_capacity(struct world *w)
{
    for (unsigned d = 0; d < DEVICES && !w->plain; d++)
        w->s.capacity[d] =
            one_in(w, 2) ? w->config.ceiling[d] : below(w, 1 + (unsigned)w->config.ceiling[d]);
    tick(w);
}

static void operator_event(struct world *w)
{
    struct catalog_model *m = &w->models[below(w, w->n_models)];
    switch (below(w, 28)) {
    case 26 ... 27:
        change_capacity(w);
        break;
    case 24 ... 25:
        replace(w, m);
        break;
    case 0 ... 5:
        load(w, m);
        break;
    case 6 ... 9:
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

static uint64_t bound(const struct world *w)
{
    uint64_t turn = LOAD_MS + LEASE_MS + STOP_MS;
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
    for (unsigned i = 0; i < w->n_models; i++)
        if (w->models[i].engine.state != ENGINE_NONE && w->models[i].engine.at < at)
            at = w->models[i].engine.at;
    for (unsigned i = 0; i < CLIENTS; i++)
        if (w->clients[i].state == CLIENT_SERVED && w->clients[i].at < at)
            at = w->clients[i].at;
    return at;
}

static void step_engines(struct world *w)
{
    for (unsigned i = 0; i < w->n_models; i++) {
        struct catalog_model *m = &w->models[i];
        if (m->engine.at > w->now)
            continue;
        if (m->engine.state == ENGINE_STOPPING ||
            (m->engine.state == ENGINE_LOADING && one_in(w, 9)))
            become_gone(w, m);
        else if (m->engine.state == ENGINE_LOADING)
            become_ready(w, m);
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
    for (unsigned i = 0; i < w->n_models; i++) {
        struct engine *e = &w->models[i].engine;
        if (e->state == ENGINE_LOADING)
            e->at = w->now + 1 + below(w, LOAD_MS);
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
    w->strict = true;
    pull(w);
    for (unsigned i = 0; i < w->n_models; i++)
        w->models[i].m.unsure = false;
    tick(w);
    set_times(w);
    w->resident = w->config.max_wait_ms != SCHED_NEVER && one_in(w, 2);
    if (bound(w) != SCHED_NEVER)
        run_until_answered(w);
    w->resident = false;
    run_until_stopped(w);
}

/* --- Worlds ------------------------------------------------------------------------------ */

/* Memory by device, limits, failures that count. */
static void enrich(struct world *w)
{
    w->config.devices = below(w, DEVICES + 1);
    w->config.loads_max = below(w, 4);
    w->config.residence_ms = below(w, 3) * below(w, 300);
    w->config.hopeless_ms = one_in(w, 4) ? 0 : below(w, 2000);
    w->config.max_failures = below(w, 5);
    w->config.back_off_ms = one_in(w, 2) ? 0 : below(w, 900);
    for (unsigned d = 0; d < DEVICES; d++)
        w->config.ceiling[d] = 20 + below(w, 120);
    for (unsigned i = 0; i < FILES; i++)
        w->files[i].bytes = below(w, 40);
    w->config.overlap = one_in(w, 2);
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
    w->plain = one_in(w, 2);
    w->fixed = one_in(w, 2);
    if (!w->plain)
        enrich(w);
    sched_init(&w->s, &w->config);
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
        "%llu evictions, %llu yields, %.0f events/s\n",
        worlds, (unsigned long long)totals.events, (unsigned long long)totals.grants,
        (unsigned long long)totals.rejects, (unsigned long long)totals.spawns,
        (unsigned long long)totals.stops, (unsigned long long)totals.evictions,
        (unsigned long long)totals.yields, (double)totals.events / seconds);
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
