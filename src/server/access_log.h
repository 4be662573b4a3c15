/* SPDX-License-Identifier: MIT */
/*
 * The file of --access-log: a line for each request that is over (api/access_line.h makes it). Like the log it is written by a
 * thread of its own (base/log_sink): a slow or full disk blocks nobody, and lines that find no room are counted. One a process.
 */
#ifndef HOSTLER_SERVER_ACCESS_LOG_H
#define HOSTLER_SERVER_ACCESS_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/log_sink.h"

/* Lines go to `fd` (log_open()), which it takes, in place of the one before. */
void access_log_to_fd(int fd);
bool access_log_is_on(void);
/* `line` ends with a newline. */
void access_log_write(const char *line, size_t len);
/* Nothing where it is off. */
struct log_sink_losses access_log_losses(void);
/* Writes what is queued, for 2 s at most, and closes it. */
void access_log_stop(void);

#endif
