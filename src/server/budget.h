/* SPDX-License-Identifier: MIT */
/*
 * How much memory engines may use on each device, and how much of it a model's engine needs. The
 * scheduler decides with both.
 *
 * A device's budget is its available memory and what running engines hold: at most the limit of --memory,
 * or, without one, less a margin. A limit is exact: a model that needs more is refused. Without a limit the
 * budget decides which engines are evicted, and a model that needs more than the budget is loaded when
 * no other engine is left: an engine fits its context to the memory that it finds, and a mapped file
 * needs not be resident as a whole. Only a model that needs more than the host has is refused.
 *
 * What requests may add to an engine (footprint.growth) counts where it is to stand beside others, so that all of them
 * may grow; it, too, is cut to what there is.
 *
 * No measurement makes a model refused that loads: what an engine grew to while it served requests is room
 * that its next load gets if it is there; what counts against a limit is what loads were seen to take.
 */
#ifndef HOSTLER_SERVER_BUDGET_H
#define HOSTLER_SERVER_BUDGET_H

#include "engine/memory.h"
#include "sched/sched.h"
#include "server/config.h"
#include "server/footprint.h"
#include "server/snapshot.h"

struct instance;
struct model;
struct budget_file;

struct budget {
    size_t devices;                     /* 0: memory is not taken into account */
    uint64_t version;                   /* of the cards: memory_figures.version */
    uint64_t limit[MEMORY_DEVICES_MAX]; /* --memory; 0: none was given */
    uint64_t growth;                    /* see budget_growth() */
    const struct snapshot *snapshot;    /* the last one; never NULL */
    struct budget_file *files;          /* a table */
};

/* -ENODEV: --memory names a device that `snapshot` does not have. `c` outlives it. */
int budget_init(struct budget *b, const struct config *c, const struct snapshot *snapshot,
                struct error *err) __attribute__((warn_unused_result));
void budget_finish(struct budget *b);
/* A newer snapshot. True: cards came or went, so that what was found out of models is of other ones. */
bool budget_take_snapshot(struct budget *b, const struct config *c,
                          const struct snapshot *snapshot);
/* The devices that count; NULL: memory is not taken into account. */
const struct memory_figures *budget_machine(const struct budget *b);
/* What engines may use on a device when no other program uses memory; 0 where there is no such card now. */
uint64_t budget_ceiling(const struct budget *b, size_t device);
/* What they may use there now, as of the snapshot. */
uint64_t budget_capacity(const struct budget *b, size_t device);
/*
 * Host bytes that requests may add to each engine where users set no limit, so that the sum fits beside the models:
 * an equal share of a quarter of the host's budget, at most 8 GiB. It stays the same while the daemon runs: the engine
 * of a model whose share changed would have to be replaced. NULL: engines are left alone, as memory does not count.
 */
const uint64_t *budget_growth(const struct budget *b);
/* The memory that a ready engine uses replaces the estimate of its model's footprint, unless cards came or went since its start: it counts
 * for what it holds then, and the next one may be spread otherwise. */
void budget_learn(const struct budget *b, struct instance *i, const struct memory_use *use);
/* An engine that loads holds more of a device than was counted for it: that counts. Where it exceeds what is expected
 * on a card by more than a driver's context, all that is still to come counts there, too, as the estimate is wrong.
 * Each reading counts anew: the figure falls as the rest arrives elsewhere. */
void budget_correct(const struct budget *b, struct instance *i, const struct memory_use *use);
/* Uses the footprint that the presets give for the model, if they give one. */
void budget_apply_preset(const struct budget *b, struct model *m);
/* Sets sched.next, the footprint of the model's next engine; estimates it first if it is not known. */
void budget_set_next(struct budget *b, struct model *m);
/* The same into `out`, for the footprint `f` in place of the model's own. */
void budget_footprint(struct budget *b, const struct model *m, const struct footprint *f,
                      struct sched_footprint *out);
/* What to do where it does not fit: `raise --memory to host=480M`, … The caller frees. */
char *budget_advice(struct budget *b, const struct model *m, const struct footprint *f);
/* `model 'x' needs 20.1 GiB on host (estimated), …`: why it does not fit, and that advice. `pinned`: the
 * names of models that are in its way; NULL: none. The caller frees. */
char *budget_explain(struct budget *b, const struct model *m, const char *pinned);

#endif
