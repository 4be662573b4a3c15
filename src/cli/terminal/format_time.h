/* SPDX-License-Identifier: MIT */
/* Times of day as people read them: local, from the seconds since 1970 that a server sends. */
#ifndef HOSTLER_CLI_TERMINAL_FORMAT_TIME_H
#define HOSTLER_CLI_TERMINAL_FORMAT_TIME_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

/* The local time. False where `at` is outside what a `struct tm` and strftime() can hold. */
bool format_local_time(double at, struct tm *out);
/* `12:01:33`, with the date when that is not today's; `?` where format_local_time() fails. Returns `out`
 * (FORMAT_SIZE). */
char *format_time(double at, char *out, size_t size);
/* `now`, `5m ago`; "" for 0. Returns `out` (FORMAT_SIZE). */
char *format_ago(double at, char *out, size_t size);
/* A line of the server's log, whose time is in UTC, with its time as format_time() writes it and with its
 * milliseconds; any other line unchanged. The caller frees it. */
char *format_log_line(const char *line);

#endif
