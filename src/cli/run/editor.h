/* SPDX-License-Identifier: MIT */
/*
 * Editing of a line with its history, by libedit. It is loaded with dlopen() when a conversation
 * begins, as libcurl and ncurses are, and needs no header when hostler is built. What is pasted is
 * put in as it is, newlines included.
 */
#ifndef HOSTLER_CLI_RUN_EDITOR_H
#define HOSTLER_CLI_RUN_EDITOR_H

#include <stdbool.h>
#include <stddef.h>

enum run_editor_end {
    RUN_EDITOR_LINE,
    RUN_EDITOR_INTERRUPTED, /* Ctrl-C; its note (signals.h) stays */
    RUN_EDITOR_END,         /* Ctrl-D, or the terminal is gone */
};

/* False when there is no libedit or no terminal that can be edited on. There is one editor. */
bool run_editor_open(void);
void run_editor_close(void);
/* `*line` is NULL, or a line without its last newline, which the caller frees. */
enum run_editor_end run_editor_read(const char *prompt, char **line);
/* The newest entry of what the arrow keys show. */
void run_editor_remember(const char *entry);

/* --- pure ---------------------------------------------------------------------------------------
 */

/* What a terminal sent as pasted, in place: CR and CRLF as newlines, other control characters but
 * tabs left out, and no newline at the end. */
char *run_editor_pasted(char *text);

#endif
