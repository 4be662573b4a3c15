/* SPDX-License-Identifier: MIT */
/*
 * What engines say of themselves at their own /metrics, put together: each family once, its samples under a `model` label.
 * A line that is none is left out, so that a broken engine cannot make the text of all unreadable; and what an engine says is
 * bounded.
 *
 * Names: a colon, which Prometheus keeps for rules, becomes an underscore. What would meet hostler's own names gets `engine_` before.
 * A counter whose name does not end with `_total` has no type. A label `model` of an engine's own becomes `exported_model`.
 */
#ifndef HOSTLER_API_ENGINE_FIGURES_H
#define HOSTLER_API_ENGINE_FIGURES_H

#include <stddef.h>

#include "api/exposition.h"

#define ENGINE_FIGURES_MAX ((size_t)256 * 1024) /* bytes of one engine's text */
#define ENGINE_FIGURES_FAMILIES 1024            /* of all engines */

struct engine_figures_list;

struct engine_figures_list *engine_figures_create(void);
/* NULL-safe. */
void engine_figures_destroy(struct engine_figures_list *l);
/* `text` in Prometheus' format or in OpenMetrics'; it is changed. */
void engine_figures_add(struct engine_figures_list *l, const char *model, char *text);
/* Writes the next family. False: there are no more. */
bool engine_figures_write(struct engine_figures_list *l, struct exposition *e);

#endif
