/* SPDX-License-Identifier: MIT */
/*
 * A descriptor that the log is written to by a thread of its own, so that a reader that stalls, or a
 * slow or full disk, never blocks whoever logs.
 *
 * Lines wait in a queue of bounded size. A line that finds no room, or that cannot be written, is
 * dropped; how many were dropped is written, in their place, as soon as something can be written.
 * Lines keep their order and never mix. The thread allocates nothing and never forks.
 */
#ifndef HOSTLER_BASE_LOG_SINK_H
#define HOSTLER_BASE_LOG_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define LOG_SINK_QUEUE_MAX ((size_t)1024 * 1024) /* bytes that wait at most */

struct log_sink;

/* Writes a line into `out`, newline included, that says how many were dropped; returns its length,
 * less than `size`. Called by the sink's thread. */
typedef size_t log_sink_notice(char *out, size_t size, uint64_t dropped);

/* Takes `fd`, which log_sink_replace() and log_sink_close() close unless it is stderr's. NULL when
 * there is no memory or no thread: then `fd` stays the caller's. */
struct log_sink *log_sink_create(int fd, log_sink_notice *notice);
/* Queues `parts`, together one line that ends with a newline. Any thread; never waits. */
void log_sink_write(struct log_sink *s, const struct iovec *parts, size_t n);
/* Lines that are not yet being written go to `fd`, which it takes, and the old one is closed. */
void log_sink_replace(struct log_sink *s, int fd);
/* What could not be written so far. Any thread; never waits. */
struct log_sink_losses {
    uint64_t lines; /* dropped since it was created */
    int error;      /* errno of the last write; 0: it succeeded */
};
struct log_sink_losses log_sink_losses(struct log_sink *s);
/* Waits until all is written that was queued before, at most `timeout_ms`; whether it is. */
bool log_sink_flush(struct log_sink *s, unsigned timeout_ms);
/* Flushes, then ends the thread and frees `s`. When it did not succeed in time, the thread may be
 * blocked in a write: both are left for the process's end. NULL-safe. */
void log_sink_close(struct log_sink *s, unsigned timeout_ms);

#endif
