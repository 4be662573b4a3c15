/* SPDX-License-Identifier: MIT */
/*
 * What earlier loads of a model showed, in this daemon and in earlier ones: the memory of an engine of the same
 * build with the same arguments, the same file and the same devices. The load time is in sched_model.load_ms.
 */
#ifndef HOSTLER_SERVER_LEARNED_H
#define HOSTLER_SERVER_LEARNED_H

#include <stdbool.h>
#include <stdint.h>

#include "server/cache_probe.h"
#include "server/footprint.h"
#include "server/prompt_costs.h"
#include "server/loads.h"

struct budget;
struct model;
struct state;

struct learned {
    struct footprint footprint; /* of its engine */
    uint64_t cards;             /* budget.version that it is of */
    uint64_t estimated_by; /* version of the snapshot that budget_set_next() last estimated it by */
    struct loads
        *loads; /* with the arguments, the file, the build and the devices of now; NULL: none */
    struct footprint *fitted;    /* as llama-fit-params says; NULL: not asked, or no answer */
    uint64_t *fit_available;     /* of each device when that was asked; NULL: not asked */
    unsigned fit_repeated;       /* how often since it had to be asked anew */
    bool fit_asked;              /* with the arguments that it has now */
    bool fit_pending;            /* and there is no answer yet */
    uint64_t fit_checked_at;     /* ms: when depends_on_memory() was last false (placement.c) */
    struct cache_probe cache;    /* of its file */
    struct prompt_costs prompts; /* what saving and restoring takes; of this daemon's engines */
};

/* Reads what the state folder has of an earlier load, if any. */
void learned_recall(const struct state *s, const struct budget *b, struct model *m);
/* The answer of the dry run replaces the estimate, not what was measured. */
void learned_take_fitted(struct learned *l, const struct engine_estimate *fitted);
/* A reading of the instance `number`, which is ready. */
void learned_measure(struct learned *l, uint64_t number, const struct memory_use *use);
/* That instance has ended. */
void learned_end(struct learned *l, uint64_t number, bool served);
/* Nothing is known any more. */
void learned_forget(struct learned *l);
/* Stores the load time, and the memory if it was measured. */
void learned_keep(struct state *s, const struct budget *b, const struct model *m);

#endif
