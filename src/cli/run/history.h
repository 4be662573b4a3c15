/* SPDX-License-Identifier: MIT */
/*
 * What was asked in conversations, over sessions: a file of the user's, one entry a line with
 * newlines as `\n`. Several programs may add to it at once.
 */
#ifndef HOSTLER_CLI_RUN_HISTORY_H
#define HOSTLER_CLI_RUN_HISTORY_H

#include "base/error.h"
#include "base/strv.h"

#define RUN_HISTORY_ENTRIES 1000
#define RUN_HISTORY_ENTRY_MAX ((size_t)16 << 10) /* bytes; what is longer is not kept */

/* $XDG_STATE_HOME/hostler/history. The caller frees it; NULL when there is no home. */
char *run_history_path(void);
/* The newest entries, the oldest first. A file that has grown too long is cut to them. A negative
 * errno with a text; no file is no error. */
int run_history_load(const char *path, struct strv *entries, struct error *err)
    __attribute__((warn_unused_result));
int run_history_add(const char *path, const char *entry);

/* --- pure ---------------------------------------------------------------------------------------
 */

/* An entry as a line of the file, and back in place. The caller frees the line. */
char *run_history_line(const char *entry);
char *run_history_entry(char *line);

#endif
