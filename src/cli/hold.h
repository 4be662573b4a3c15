/* SPDX-License-Identifier: MIT */
/* How a hold looks to a person. */
#ifndef HOSTLER_CLI_HOLD_H
#define HOSTLER_CLI_HOLD_H

#include <jansson.h>

#include "cli/cli.h"

/* {"until","reason","by"}, each optional, as `until released, by …: reason`. The caller frees it. */
char *hold_text(json_t *hold);
/* The same behind its "model". The caller frees it. */
char *hold_line(json_t *hold);
/* The same on stdout behind `held:`, broken where the terminal ends. */
void hold_print(const struct cli *cli, json_t *hold);

#endif
