/* SPDX-License-Identifier: MIT */
/* How facts about a model look in a table: the same in every command. */
#ifndef HOSTLER_CLI_TERMINAL_FORMAT_MODEL_H
#define HOSTLER_CLI_TERMINAL_FORMAT_MODEL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "cli/terminal/table.h"

/* {"host":n,"gpu0":n} as `host 1.2 GiB, gpu0 3.4 GiB`; "" for nothing. The caller frees it. */
char *cells_memory(json_t *memory);
/* The same of a footprint: `host ~1.2 GiB` unless its `source` is that it was measured, or NULL. */
char *cells_footprint(json_t *memory, const char *source);
/* Whether figures from there are marked with `~`. */
bool cells_is_estimate(const char *source);
/* `state`, or `failed`, and `,held`, `,pinned`. The caller frees it. */
char *cells_state(const char *state, bool failed, bool held, bool pinned);
/* Of such a text. That it is pinned says nothing about how it is. */
enum table_style cells_state_style(const char *state);
/* `now`, `5m ago`; "" for 0. FORMAT_SIZE at least; returns `out`. */
char *cells_ago(double at, char *out, size_t size);
/* Of an engine, each FORMAT_SIZE at least, "" for unknown; return `out`. */
char *cells_requests(json_t *engine, char *out, size_t size); /* `2`, `2+1 waiting` */
char *cells_idle(json_t *engine, char *out, size_t size);
char *cells_ends_in(json_t *engine, char *out, size_t size); /* `never`, `5m` */
char *cells_loaded(json_t *engine, char *out, size_t size);  /* as cells_ago() */

#endif
