/* SPDX-License-Identifier: MIT */
/*
 * How much memory engines may have, by device, and how much of it a model asks for: what the
 * scheduler decides with.
 *
 * A device's budget is what is available there and what our engines have, less a margin; with
 * --memory at most what that says. A limit that was given is kept to the byte: what does not fit
 * is refused. A budget that was found decides who must go, and hardly refuses: a model that asks for
 * more than others left gets what there is once nobody else is loaded, since an engine fits its
 * context to the memory it finds, and a file that is mapped needs not be there as a whole. Only what
 * the host could never hold is refused.
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
    uint64_t limit[MEMORY_DEVICES_MAX]; /* --memory; 0: none was given */
    const struct snapshot *snapshot;    /* the last one; never NULL */
    struct budget_file *files;          /* a table */
};

/* -ENODEV: --memory names a device that `snapshot` does not have. */
int budget_init(struct budget *b, const struct config *c, const struct snapshot *snapshot,
                struct error *err) __attribute__((warn_unused_result));
void budget_finish(struct budget *b);
/* What engines could ever have there. */
uint64_t budget_ceiling(const struct budget *b, size_t device);
/* What they may have there as of the snapshot. */
uint64_t budget_capacity(const struct budget *b, size_t device);
/* What a ready engine has corrects the footprint that its model was expected to have. */
void budget_learn(const struct budget *b, struct instance *i, const struct memory_use *use);
/* What the presets say that the model takes, if they say it. */
void budget_take_given(const struct budget *b, struct model *h);
/* Sets what the scheduler is told of the model's footprint, which is found out before if it is not
 * known. */
void budget_ask(struct budget *b, struct model *h);
/* The same into `out`, for a footprint that the model might have. */
void budget_ask_for(struct budget *b, const struct model *h, const struct footprint *f,
                    struct sched_footprint *out);
/* `model 'x' needs 20.1 GiB on host (estimated), 16.0 GiB may be used…`; the caller frees. */
char *budget_explain(const struct budget *b, const struct model *h);

#endif
