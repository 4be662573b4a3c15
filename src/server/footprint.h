/* SPDX-License-Identifier: MIT */
/*
 * How much memory a model's engine takes on each device, and how that is known. What was measured
 * replaces what was estimated (budget.c).
 */
#ifndef HOSTLER_SERVER_FOOTPRINT_H
#define HOSTLER_SERVER_FOOTPRINT_H

#include "catalog/catalog.h"
#include "engine/kind.h"
#include "engine/memory.h"
#include "server/loads.h"

enum footprint_source {
    FOOTPRINT_UNKNOWN,
    FOOTPRINT_ESTIMATED, /* by the kind's arithmetic */
    FOOTPRINT_FITTED,    /* by the kind's dry run */
    FOOTPRINT_MEASURED,  /* by the last few loads with these arguments (loads.h) */
    FOOTPRINT_GIVEN,     /* the preset's `memory` */
};

struct footprint {
    enum footprint_source source;
    uint64_t bytes[MEMORY_DEVICES_MAX]; /* index for index with memory_figures.device, without: */
    uint64_t mapped;                    /* of the model's file, held by the host's page cache */
    /* MEASURED: what an engine held when it had just become ready; requests add to that (batches, prompt
     * caches), and `bytes` is the most of both. */
    uint64_t loaded[MEMORY_DEVICES_MAX];
    uint64_t batches; /* of the host's bytes: see engine_estimate */
    uint64_t
        growth; /* host bytes that requests may add to a load at most; 0 where `memory` is GIVEN */
    const char
        *undecided; /* ESTIMATED, FITTED: see engine_estimate; a text that is never freed; NULL */
    bool guessed;   /* ESTIMATED: see engine_estimate */
    bool alone;     /* a load failed for want of memory: the next one gets all there is */
};

/* What the kind gets to know of a model; it points to the others. */
struct engine_question footprint_question(const struct catalog_model *m,
                                          const struct engine_args *args, const struct strv *env,
                                          const struct memory_figures *machine);
void footprint_estimate(struct footprint *out, const struct engine_kind *kind,
                        const struct engine_question *q);
/* From the answer of the kind's dry run. */
void footprint_from_dry_run(struct footprint *out, const struct engine_estimate *e);
/* What the last loads showed replaces what was estimated; on the host with `batches` that no load has filled yet. */
void footprint_measure(struct footprint *f, const struct loads *loads);
/* Whether the model's load and its end must not overlap with another's: the figures leave some of its
 * memory out (drivers and containers hide some, then they are less than its file), or its engine was
 * told how much memory to leave free (ENGINE_OPTION_MARGIN). */
bool footprint_is_apart(const struct footprint *f, const struct catalog_model *m,
                        const struct engine_args *args);
/* `estimated`, `fit-params`, … */
const char *footprint_source_name(enum footprint_source source);

#endif
