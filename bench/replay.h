/* SPDX-License-Identifier: MIT */
/* Replays a trace in virtual time under a policy (traces.c says which there are). */
#ifndef HOSTLER_BENCH_REPLAY_H
#define HOSTLER_BENCH_REPLAY_H

#include "trace.h"

struct result {
    double waited, waited_first; /* s; the second of requests for models with a priority */
    double worst;
    double visitor;   /* s: the median wait of requests for any model but the first */
    double switching; /* share of the time without an engine that could serve */
    double
        balance; /* answers of the model that has the fewest, to those of the one that has the most */
    unsigned loads, answers;
};

/* hostler's. */
struct setting {
    uint64_t max_wait_ms;
    unsigned turn;
    unsigned loads_max;
    unsigned patience; /* 0; offline: pauses as if loads took so many times as long */
};

/* `parallel`: loads do not disturb each other. */
struct result replay_sched(struct trace *t, const struct setting *set, bool parallel);
struct result replay_offline(struct trace *t, bool parallel);
struct result replay_lru(struct trace *t, bool parallel);

#endif
