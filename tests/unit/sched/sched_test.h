/* SPDX-License-Identifier: MIT */
/*
 * A world of a few models for tests of the scheduler. A test feeds events by the functions of the
 * first part and says with did() which actions they led to, in a short language: `spawn A for 0`
 * (`for` only when a request caused it), `grant 0`, `reject 0 held`, `stop A evicted`, `stop A
 * unloaded by force`, `stop older A replaced` (not the newest instance), `save A idle`, `drop A too_large`,
 * separated by `; `, and `` for none.
 */
#ifndef HOSTLER_SCHED_TEST_H
#define HOSTLER_SCHED_TEST_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "sched/sched.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { A, B, C, D, E, MODELS, REQUESTS = 10, INSTANCES = 60 };

struct world {
    struct sched s;
    struct sched_model m[MODELS];
    struct sched_request r[REQUESTS];
    struct sched_instance i[INSTANCES]; /* each is used once */
    unsigned used;
    struct sched_instance *newest[MODELS]; /* the last one spawned; before that one that never is */
    struct sched_instance *older[MODELS];  /* the one before */
    uint64_t now;
};

static inline struct sched_instance *new_instance(struct world *w)
{
    assert_true(w->used < INSTANCES);
    return &w->i[w->used++];
}

static inline void note_spawn(struct world *w, struct sched_instance *i)
{
    int model = (int)(i->model - w->m);
    w->older[model] = w->newest[model];
    w->newest[model] = i;
    w->s.spare = new_instance(w);
}

/* Of the model's instances the one that counts. */
static inline enum sched_state state_of(const struct world *w, int model)
{
    return sched_model_state(&w->m[model]);
}

static inline bool is(const struct world *w, int model, enum sched_state state)
{
    return state_of(w, model) == state;
}

static inline struct world *begin_with(const struct sched_config *config)
{
    static struct world w;
    memset(&w, 0, sizeof w);
    w.now = 1000;
    struct sched_config hopeful = *config;
    if (!hopeful.hopeless_ms)
        hopeful.hopeless_ms = SCHED_NEVER;
    sched_init(&w.s, &hopeful);
    w.s.spare = new_instance(&w);
    for (int i = 0; i < MODELS; i++)
        w.newest[i] = w.older[i] = new_instance(&w);
    for (int i = 0; i < MODELS; i++)
        sched_event(&w.s, &(struct sched_event){.type = SCHED_EV_ADD, .model = &w.m[i]}, w.now);
    return &w;
}

/* One or more places, and no other limit. */
static inline struct world *begin(unsigned models_max)
{
    return begin_with(&(struct sched_config){.models_max = models_max, .max_wait_ms = SCHED_NEVER});
}

/* Of the model, or of its newest instance. */
static inline void tell(struct world *w, enum sched_event_type type, int model)
{
    sched_event(
        &w->s,
        &(struct sched_event){.type = type, .model = &w->m[model], .instance = w->newest[model]},
        w->now);
}

static inline void tell_older(struct world *w, enum sched_event_type type, int model)
{
    sched_event(&w->s, &(struct sched_event){.type = type, .instance = w->older[model]}, w->now);
}

static inline void tell_of(struct world *w, enum sched_event_type type, int request)
{
    sched_event(&w->s, &(struct sched_event){.type = type, .request = &w->r[request]}, w->now);
}

static inline void ask(struct world *w, int request, int model)
{
    w->r[request] = (struct sched_request){.model = &w->m[model], .may_load = true};
    tell_of(w, SCHED_EV_REQUEST, request);
}

/* As ask(), but only if the model is loaded. */
static inline void ask_loaded(struct world *w, int request, int model)
{
    w->r[request] = (struct sched_request){.model = &w->m[model]};
    tell_of(w, SCHED_EV_REQUEST, request);
}

/* As ask(), but it does not count as use. */
static inline void ask_passive(struct world *w, int request, int model)
{
    w->r[request] =
        (struct sched_request){.model = &w->m[model], .may_load = true, .passive = true};
    tell_of(w, SCHED_EV_REQUEST, request);
}

static inline void done(struct world *w, int request)
{
    tell_of(w, SCHED_EV_DONE, request);
}

static inline void cancel(struct world *w, int request)
{
    tell_of(w, SCHED_EV_CANCEL, request);
}

static inline void unload(struct world *w, int model, uint64_t until)
{
    sched_event(
        &w->s,
        &(struct sched_event){.type = SCHED_EV_UNLOAD, .model = &w->m[model], .drain_until = until},
        w->now);
}

static inline void hold(struct world *w, int model, uint64_t until)
{
    sched_event(
        &w->s,
        &(struct sched_event){.type = SCHED_EV_HOLD, .model = &w->m[model], .hold_until = until},
        w->now);
}

static inline void shut_down(struct world *w, uint64_t until)
{
    sched_event(&w->s, &(struct sched_event){.type = SCHED_EV_SHUTDOWN, .drain_until = until},
                w->now);
}

static inline void pass(struct world *w, uint64_t ms)
{
    w->now += ms;
}

/* To the time at which a tick is wanted, and there it is. */
static inline void tick(struct world *w)
{
    w->now = sched_deadline(&w->s);
    sched_event(&w->s, &(struct sched_event){.type = SCHED_EV_TICK}, w->now);
}

static inline int letter(const struct world *w, const struct sched_model *m)
{
    return 'A' + (int)(m - w->m);
}

static inline void describe(const struct world *w, const struct sched_action *a, char *out,
                            size_t size)
{
    int request = a->request ? (int)(a->request - w->r) : -1;
    switch (a->type) {
    case SCHED_ACT_GRANT:
        snprintf(out, size, "grant %d", request);
        break;
    case SCHED_ACT_REJECT:
        snprintf(out, size, "reject %d %s", request, sched_reject_name(a->reject));
        break;
    case SCHED_ACT_SPAWN:
        if (a->request)
            snprintf(out, size, "spawn %c for %d", letter(w, a->model), request);
        else
            snprintf(out, size, "spawn %c", letter(w, a->model));
        break;
    case SCHED_ACT_DROP:
        snprintf(out, size, "drop %c %s", letter(w, a->model), sched_reject_name(a->reject));
        break;
    case SCHED_ACT_SAVE:
        snprintf(out, size, "save %s%c %s",
                 a->instance == w->newest[a->model - w->m] ? "" : "older ", letter(w, a->model),
                 sched_stop_name(a->stop));
        break;
    case SCHED_ACT_STOP:
        snprintf(out, size, "stop %s%c %s%s",
                 a->instance == w->newest[a->model - w->m] ? "" : "older ", letter(w, a->model),
                 sched_stop_name(a->stop), a->force ? " by force" : "");
        break;
    }
}

/* Pulls one action, and leaves the others. */
static inline const char *next(struct world *w)
{
    static char text[64];
    struct sched_action a;
    text[0] = 0;
    if (sched_next(&w->s, w->now, &a)) {
        if (a.type == SCHED_ACT_SPAWN)
            note_spawn(w, a.instance);
        describe(w, &a, text, sizeof text);
    }
    return text;
}

static inline const char *actions(struct world *w)
{
    static char text[512];
    size_t n = 0;
    text[0] = 0;
    for (const char *one; *(one = next(w)) && n < sizeof text;)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n ? "; " : "", one);
    return text;
}

#define did(w, expected) assert_string_equal(actions(w), expected)

/* Brings a model into service for nobody, and forgets how. */
static inline void have_ready(struct world *w, int model)
{
    tell(w, SCHED_EV_LOAD, model);
    actions(w);
    tell(w, SCHED_EV_READY, model);
    did(w, "");
    assert_int_equal(state_of(w, model), SCHED_READY);
}

static inline void have_busy(struct world *w, int model, int request)
{
    have_ready(w, model);
    ask(w, request, model);
    actions(w);
    assert_int_equal(w->r[request].state, SCHED_REQUEST_GRANTED);
}

#define TEST(name) static void name(__attribute__((unused)) void **state)

#endif
