/* SPDX-License-Identifier: MIT */
/* How letters are encoded on the terminal, for the libraries that draw on it. */
#ifndef HOSTLER_CLI_TERMINAL_LOCALE_H
#define HOSTLER_CLI_TERMINAL_LOCALE_H

#include <stdbool.h>

/* Sets LC_CTYPE and nothing else: figures stay as they are. Whether it is UTF-8. */
bool locale_set(void);

#endif
