/* SPDX-License-Identifier: MIT */
/* The last lines of the log, to be read by others than whoever has stderr. Any thread may write. */
#ifndef HOSTLER_BASE_LOGBOOK_H
#define HOSTLER_BASE_LOGBOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOGBOOK_LINES 4000
#define LOGBOOK_LINE_MAX 2048 /* bytes; what is longer is cut */

/* `model`: whose engine wrote it; NULL: the server itself. `head` and `line`, which ends with a
 * newline, are one line; `said` is what it says, in whatever form. */
void logbook_add(const char *model, const char *head, const char *line, size_t len,
                 const char *said);
/* The number of the newest line; 0: there was none. */
uint64_t logbook_newest(void);
/*
 * A line concerns `model` (NULL: all do) when its engine wrote it, or when it is the server's and soon names the model as
 * `model NAME` or `engine NAME`. Returns the number before the first of the last `most` of them. O(lines).
 */
uint64_t logbook_before_last(const char *model, size_t most);
/*
 * The lines after the `*from`th, up to the `to`th, that concern `model`; no further one once they have `enough` bytes.
 * `*from` becomes the number of the last one that was looked at. The caller frees; NULL: there is no memory for them.
 */
char *logbook_read(uint64_t *from, uint64_t to, const char *model, size_t enough);
/* Calls `wake` after each line, from the thread that wrote it; NULL: not any more. */
void logbook_watch(void (*wake)(void *ctx), void *ctx);

#endif
