/* SPDX-License-Identifier: MIT */
/* The time of day. What only measures uses the loop's clock. */
#ifndef HOSTLER_BASE_CLOCK_H
#define HOSTLER_BASE_CLOCK_H

#include <stddef.h>

/* Seconds since 1970. */
double clock_unix(void);
/* Now as RFC 3339 has it, in UTC with milliseconds. Returns `out` (CLOCK_SIZE). */
#define CLOCK_SIZE 32
char *clock_stamp(char *out, size_t size);

#endif
