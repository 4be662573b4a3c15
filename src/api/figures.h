/* SPDX-License-Identifier: MIT */
/*
 * The families of figures that GET /metrics writes, and what each one's rows are read from: the meter, the scheduler, the last
 * snapshot of the machine, the stores. docs/metrics.md lists them; a test compares.
 */
#ifndef HOSTLER_API_FIGURES_H
#define HOSTLER_API_FIGURES_H

#include <stdbool.h>

#include "api/api.h"
#include "api/exposition.h"

/* What one answer is made from. */
struct figures {
    struct api *api;
    struct http_load load; /* of the server, when it was asked */
    unsigned family;       /* the next one, */
    unsigned model;        /* and of it the next model's rows */
};

/* Writes some rows, of one model at most. False: there are no more. */
bool figures_write(struct figures *f, struct exposition *e);

#endif
