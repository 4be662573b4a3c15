/* SPDX-License-Identifier: MIT */
/* A ring of the last lines that an engine wrote, for `logs` and for the error of a failed load. */
#ifndef HOSTLER_ENGINE_LOGRING_H
#define HOSTLER_ENGINE_LOGRING_H

#include <stddef.h>

struct logring {
    char **line;  /* ring of `lines` entries */
    size_t lines; /* memory is bounded by lines × line_max */
    size_t line_max;
    size_t next; /* index of the entry that is written next */
    size_t used;
};

void logring_init(struct logring *r, size_t lines, size_t line_max);
void logring_finish(struct logring *r);
/* Adds a copy, cut to `line_max` bytes at a character's boundary, in place of the oldest line. */
void logring_add(struct logring *r, const char *text, size_t len);
/* The last `lines` lines, or all if there are fewer, joined by newlines; the caller frees. */
char *logring_tail(const struct logring *r, size_t lines);

#endif
