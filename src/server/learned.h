/* SPDX-License-Identifier: MIT */
/*
 * What is known of a model from its loads, by this daemon and earlier ones: what an engine with the
 * same arguments on the same file takes. How long a load takes stands in sched_model.load_ms.
 */
#ifndef HOSTLER_SERVER_LEARNED_H
#define HOSTLER_SERVER_LEARNED_H

#include <stdbool.h>
#include <stdint.h>

#include "server/cache_probe.h"
#include "server/footprint.h"

struct budget;
struct model;
struct state;

struct learned {
    struct footprint footprint; /* what its engine takes */
    struct footprint fitted;    /* as llama-fit-params says; UNKNOWN: not asked, or no answer */
    bool fit_asked;             /* with the arguments that it has now */
    bool fit_pending;           /* and there is no answer yet */
    uint64_t fit_checked_at;    /* ms: when its footprint was last seen to decide nothing */
    struct cache_probe cache;   /* of its file */
};

/* Takes over what an earlier load left in the state folder, if any. */
void learned_recall(const struct state *s, const struct budget *b, struct model *m);
/* Keeps the load time, and the memory if it was measured. */
void learned_keep(struct state *s, const struct budget *b, const struct model *m);

#endif
