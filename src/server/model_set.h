/* SPDX-License-Identifier: MIT */
/* A set of models, each with a number. O(1) a model: a request may name as many as there are. */
#ifndef HOSTLER_SERVER_MODEL_SET_H
#define HOSTLER_SERVER_MODEL_SET_H

#include <stdbool.h>
#include <stddef.h>

struct model;

/* NULL is the empty set. */
struct model_set;

/* False when `model` is in the set already: then nothing changes. */
bool model_set_add(struct model_set **set, const struct model *model, size_t number);
/* `number` may be NULL. */
bool model_set_find(const struct model_set *set, const struct model *model, size_t *number);
/* Frees all; the set is empty then. */
void model_set_finish(struct model_set **set);

#endif
