/* SPDX-License-Identifier: MIT */
/*
 * What the scheduler must know of a model before it places it: what its engine takes, whether its
 * file is in the page cache; and what engines may have on each device.
 */
#ifndef HOSTLER_SERVER_PLACEMENT_H
#define HOSTLER_SERVER_PLACEMENT_H

#include <stdbool.h>

#include "server/footprint.h"
#include "server/sampler.h"

struct host;
struct model;

#define PLACEMENT_VICTIMS_MAX 64

/* Takes each new snapshot over: what engines may have, and what they were seen to take. */
extern const struct sampler_events placement_sampler_events;
/* While the last snapshot is too old to decide with, lets the scheduler wait, and asks for a newer one
 * if a model waits. */
void placement_want_figures(struct host *host);
/* Of one model that waits, and of all. */
void placement_prepare(struct model *m);
void placement_prepare_waiting(struct host *host);
/* Reads the files of the model whose turn is next into the page cache. */
void placement_read_ahead(struct host *host);
/*
 * Whether an engine of the model with that footprint, in place of one that runs, would be placed
 * now; `evicted` are the models that would be stopped for it (at most `max`; `*n`). `*never`: it could
 * not be placed if all were stopped.
 */
bool placement_would_fit(struct model *m, const struct footprint *f, struct model **evicted,
                         unsigned max, unsigned *n, bool *never);
/* Why there is no room for it, with figures, for a person; the caller frees. */
char *placement_explain(const struct model *m);

/* Whether the scheduler must wait with the model: its footprint is being asked for, or nothing is known yet of
 * its file in the page cache. */
void placement_update_unsure(struct model *m);

#endif
