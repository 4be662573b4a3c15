/* SPDX-License-Identifier: MIT */
/*
 * What the scheduler must know before it places a model: the footprint of its engine, whether its file is
 * in the page cache, and how much memory engines may use on each device.
 */
#ifndef HOSTLER_SERVER_PLACEMENT_H
#define HOSTLER_SERVER_PLACEMENT_H

#include <stdbool.h>

#include "server/footprint.h"
#include "server/sampler.h"

struct host;
struct model;

#define PLACEMENT_VICTIMS_MAX 64

/* A new snapshot sets the scheduler's capacities and the measured footprints. */
extern const struct sampler_events placement_sampler_events;
/* Makes the scheduler wait while the last snapshot is too old for a decision, and asks for a newer one if
 * a model waits. */
void placement_want_figures(struct host *host);
/* The figures that were asked for and have not come may be older than what happened just now: they are no answer. */
void placement_ask_anew(struct host *host);
/* Finds out what is missing, for one model that waits and for all. */
void placement_prepare(struct model *m);
void placement_prepare_waiting(struct host *host);
/* Reads the files of the model that is served next into the page cache. */
void placement_read_ahead(struct host *host);
/*
 * Whether an engine of the model with that footprint, in place of its running one, would be placed now.
 * `evicted`: the models whose engines would be stopped for it (at most `max`; `*n`). `*never`: it does not
 * fit even without any other engine.
 */
bool placement_would_fit(struct model *m, const struct footprint *f, struct model **evicted,
                         unsigned max, unsigned *n, bool *never);
/* Whether pinned engines of other models have all places of --models-max: no load of it can begin. */
bool placement_lacks_place(const struct model *m);
/* A sentence with figures, or the pinned models: why it does not fit. The caller frees. */
char *placement_explain(const struct model *m);
/* What to do where an engine of that footprint does not fit. The caller frees. */
char *placement_advice(const struct model *m, const struct footprint *f);

/* The scheduler does not place the model while its header has not been read, while its footprint is being computed, or
 * while it is not known whether its file is in the page cache. */
void placement_update_unsure(struct model *m);

#endif
