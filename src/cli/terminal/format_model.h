/* SPDX-License-Identifier: MIT */
/* What is known of a model or its engine, as text for a table: the same in every command. */
#ifndef HOSTLER_CLI_TERMINAL_FORMAT_MODEL_H
#define HOSTLER_CLI_TERMINAL_FORMAT_MODEL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "cli/terminal/table.h"

/* Bytes by device, {"host":n,"gpu0":n}, as `host 1.2 GiB, gpu0 3.4 GiB`; "" where there are none. The
 * caller frees it. */
char *format_model_memory(json_t *memory);
/* The same with `~` before each figure, as in `host ~1.2 GiB`, where format_model_is_estimate(). */
char *format_model_footprint(json_t *memory, const char *source);
/* Whether figures from `source` (the server's `memory_source`; NULL: not given) were not measured. */
bool format_model_is_estimate(const char *source);

/* `STATE`, or `failed`, then `,held` and `,pinned`. The caller frees it. */
char *format_model_state(const char *state, bool failed, bool held, bool pinned);
/* The style of such a text. `,pinned` does not change it, `,held` does. */
enum table_style format_model_state_style(const char *state);
/* `state`; for a model whose `status` says that it failed, `failed (crashed: signal 9)`. The caller
 * frees it. */
char *format_model_state_reason(const char *state, json_t *status);

/* Of an entry in the status' `engines`; "" where it does not say. `out` holds FORMAT_SIZE bytes; each
 * returns it. */
char *format_model_requests(json_t *engine, char *out, size_t size); /* `2`, `2+1 waiting` */
char *format_model_idle(json_t *engine, char *out, size_t size);     /* `5m` */
char *format_model_ends_in(json_t *engine, char *out, size_t size);  /* `never`, `5m` */
char *format_model_loaded(json_t *engine, char *out, size_t size);   /* as format_ago() */

#endif
