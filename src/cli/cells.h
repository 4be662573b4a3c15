/* SPDX-License-Identifier: MIT */
/* How facts about a model look in a table: the same in every command. */
#ifndef HOSTLER_CLI_CELLS_H
#define HOSTLER_CLI_CELLS_H

#include <jansson.h>

#include "cli/table.h"

/* {"host":n,"gpu0":n} as `host 1.2 GiB, gpu0 3.4 GiB`; "" for nothing. The caller frees it. */
char *cells_memory(json_t *memory);
enum table_style cells_state_style(const char *state);

#endif
