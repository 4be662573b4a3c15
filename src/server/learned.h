/* SPDX-License-Identifier: MIT */
/* What loads of a model took, remembered in the state folder: memory by device, and time. It counts
 * for an engine with the same arguments on a file of the same size, on devices of the same names. */
#ifndef HOSTLER_SERVER_LEARNED_H
#define HOSTLER_SERVER_LEARNED_H

#include "server/budget.h"
#include "server/state.h"

struct model;

/* Sets the footprint and the load time, if they are known from before. */
void learned_recall(const struct state *s, const struct budget *b, struct model *h);
/* Keeps them, if they were measured. */
void learned_keep(struct state *s, const struct budget *b, const struct model *h);

#endif
