/* SPDX-License-Identifier: MIT */
/*
 * Traces: who asks which model when, drawn from a seed. bench/traces.c replays them.
 *
 * A trace is a set of sessions: a closed one asks when its last request has been answered (a person,
 * an agent), an open one whatever happens (many people). So all policies see the same work.
 */
#ifndef HOSTLER_BENCH_TRACE_H
#define HOSTLER_BENCH_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/sched.h"

enum { MODELS_MAX = 8, SESSIONS_MAX = 16, TASKS_MAX = 60000 };

/* A request of a trace, and of one replay of it. */
struct task {
    struct sched_request r; /* first: it is found by its address */
    unsigned model, session;
    uint64_t gap_ms; /* after the session's last one was answered (closed) or asked (open) */
    uint64_t run_ms;
    uint64_t since, end; /* of this replay: when asked; when answered, SCHED_NEVER: waits */
    double waited;       /* s; of this replay */
};

struct session {
    bool open;
    unsigned first, n; /* its tasks */
    unsigned asked;    /* of this replay: how many of them are */
    unsigned over;     /* all before this one are answered */
    uint64_t next_at; /* when the next one is; SCHED_NEVER: its predecessor runs, or none is left */
};

struct trace {
    uint64_t random;
    uint64_t horizon_ms; /* when it ends, whoever waits; 0: when all are answered */
    unsigned budget_gb;
    unsigned n_models, n_sessions, n_tasks;
    unsigned gb[MODELS_MAX];
    uint64_t load_ms[MODELS_MAX], stop_ms[MODELS_MAX];
    int priority[MODELS_MAX];
    struct session sessions[SESSIONS_MAX];
    struct task tasks[TASKS_MAX];
};

struct trace_kind {
    const char *name;
    void (*make)(struct trace *t);
};

enum {
    TRACE_KINDS = 14,     /* whose waiting is compared */
    TRACE_PRIORITIES = 6, /* that of them which has priorities */
    TRACE_FIRST_LOOP = 7, /* from here on clients leave no pauses */
    TRACE_VISITORS = 11,  /* that one and the next have visitors to a model that never rests */
    TRACE_FULL_LOADS = 6  /* all models have work all the time */
};
extern const struct trace_kind trace_kinds[TRACE_KINDS], trace_full_loads[TRACE_FULL_LOADS];

void trace_make(struct trace *t, const struct trace_kind *kind, uint64_t seed);

__attribute__((noreturn, format(printf, 1, 2))) void die(const char *fmt, ...);

#endif
