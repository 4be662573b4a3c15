/* SPDX-License-Identifier: MIT */
/* Manual pages: what the program knows of itself, from the tables that --help prints, as roff's man
 * macros. scripts/man puts it together with the prose of packaging/man. */
#ifndef HOSTLER_CLI_MAN_H
#define HOSTLER_CLI_MAN_H

#include "cli/options.h"

/* On stdout; `c` NULL: the page of the program as a whole. */
void man_print(const struct cli_command *c);

#endif
