/* SPDX-License-Identifier: MIT */
/* Numbers and texts formatted for people. Pure: no terminal, no locale, no clock. */
#ifndef HOSTLER_CLI_TERMINAL_FORMAT_H
#define HOSTLER_CLI_TERMINAL_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Enough for every format_…() below that takes a buffer. */
#define FORMAT_SIZE 32

/* `512 B`, `1.5 KiB`, `484 MiB`, `12.3 GiB`: three digits at most. Returns `out`. */
char *format_bytes(uint64_t bytes, char *out, size_t size);
/* An elapsed time: `80 ms`, `1.2 s`, `42 s`, `3m5s`. Returns `out`. */
char *format_elapsed(uint64_t ms, char *out, size_t size);

enum format_sanitize { FORMAT_ONE_LINE, FORMAT_KEEP_NEWLINES };
/*
 * Replaces, in place, control characters (C0, DEL, and C1 in their UTF-8 form) by `?`, so that a server's text cannot contain terminal escape sequences. Newlines and tabs stay with FORMAT_KEEP_NEWLINES.
 */
char *format_sanitize(char *text, enum format_sanitize how);

/* A server's message about `model` as the end of a sentence that names it already: `the engine of
 * model 'm' …` becomes `its engine …`; of the log lines below the first, at most five, errors
 * (` E `) rather than others, indented. The caller frees it. */
char *format_failure(const char *model, const char *message);

/* Whether such a message is a complete sentence, because it begins with the model. */
bool format_is_sentence(const char *message);

/* Terminal columns that UTF-8 `text` takes. A byte that is no UTF-8 counts as one. */
size_t format_width(const char *text);
/* The bytes of the longest prefix of `text`, in whole characters, that takes at most `columns`. */
size_t format_fit(const char *text, size_t columns);

/* `text` as one word of a shell, in quotes only when it must, and as `$'\012'` where control characters
 * are in it, which bash, zsh and POSIX.1-2024 know, dash not: it stays one line, and whole in a terminal. The caller frees it. */
char *format_shell(const char *text);

#endif
