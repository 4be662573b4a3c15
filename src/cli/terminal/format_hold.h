/* SPDX-License-Identifier: MIT */
/* A hold, as the server tells it, for a person. */
#ifndef HOSTLER_CLI_TERMINAL_FORMAT_HOLD_H
#define HOSTLER_CLI_TERMINAL_FORMAT_HOLD_H

#include <jansson.h>

#include "cli/cli.h"

/* {"until","reason","by"}, each optional, as `until released, by …: reason`. The caller frees it. */
char *format_hold(json_t *hold);
/* The same after the hold's "model". The caller frees it. */
char *format_hold_line(json_t *hold);
/* Prints `held: ` and format_hold_line() on stdout, wrapped at the terminal's width. */
void format_hold_print(const struct cli *cli, json_t *hold);

#endif
