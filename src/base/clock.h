/* SPDX-License-Identifier: MIT */
/* The time of day. What only measures uses the loop's clock. */
#ifndef HOSTLER_BASE_CLOCK_H
#define HOSTLER_BASE_CLOCK_H

/* Seconds since 1970. */
double clock_unix(void);

#endif
