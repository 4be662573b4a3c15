/* SPDX-License-Identifier: MIT */
/*
 * What a model's engine takes, by device, before it was ever loaded: by the arithmetic of its
 * header and its arguments. What the engine turned out to take goes before that (host.c).
 */
#ifndef HOSTLER_SERVER_FOOTPRINT_H
#define HOSTLER_SERVER_FOOTPRINT_H

#include "catalog/catalog.h"
#include "engine/llama/fit.h"
#include "engine/memory.h"
#include "server/config.h"

enum footprint_source {
    FOOTPRINT_UNKNOWN,
    FOOTPRINT_ESTIMATED, /* the header's arithmetic */
    FOOTPRINT_FITTED,    /* what llama-fit-params said */
    FOOTPRINT_MEASURED,  /* the most that an engine with these arguments was seen to have */
    FOOTPRINT_GIVEN,     /* the preset's `memory` */
};

struct footprint {
    enum footprint_source source;
    uint64_t bytes[MEMORY_DEVICES_MAX]; /* index for index with memory_figures.device, without: */
    uint64_t mapped;                    /* of the model's file, held by the host's page cache */
    bool alone; /* it failed for want of memory: the next try gets all there is */
};

/*
 * `devices`: the host, and that many less one GPUs, over which an engine spreads what it offloads.
 *
 * Weights are the file's bytes. The cache of keys and values is context × layers × heads × (key and
 * value length) in its types; layers with a sliding window count in full. Computing takes a
 * micro-batch of logits and of a few states, and what attention keeps of it for each token of the
 * context. Errs to the high side, since the engine's first load corrects it.
 */
void footprint_estimate(struct footprint *out, const struct catalog_model *m,
                        const struct config *c, const struct engine_args *args, size_t devices);
/* The same from llama-fit-params' answer, with what it does not count: the process, and the model that
 * sees and hears. */
void footprint_from_fit(struct footprint *out, const struct fit *fit, const struct catalog_model *m,
                        const struct config *c, const struct engine_args *args, size_t devices);
/* Takes what an engine that is ready has now, if that is more than was measured before. */
void footprint_measure(struct footprint *f, const struct memory_use *use);
/* Tokens that one request of several at once may have with these arguments. */
uint64_t footprint_context(const struct catalog_model *m, const struct config *c,
                           const struct engine_args *args);
/* Whether its load and its end must not overlap with another's: what it takes is not all in its figures
 * (drivers and containers keep some from us: then they come to less than its file), or its engine was
 * told how much to leave free (--fit-target). */
bool footprint_is_apart(const struct footprint *f, const struct catalog_model *m,
                        const struct config *c, const struct engine_args *args);
/* `estimated`, `fit-params`, … */
const char *footprint_source_name(enum footprint_source source);

#endif
