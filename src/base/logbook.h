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
/*
 * The lines after the `*from`th that concern `model` (NULL: all): its engine's, and the server's
 * that soon name it as `model NAME` or `engine NAME`. Of more than `most` the last ones. `*from` becomes
 * the number of the newest line. The caller frees; NULL: there is no memory for them.
 */
char *logbook_read(uint64_t *from, const char *model, size_t most);
/* Calls `wake` after each line, from the thread that wrote it; NULL: not any more. */
void logbook_watch(void (*wake)(void *ctx), void *ctx);

#endif
