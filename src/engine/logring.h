/* SPDX-License-Identifier: MIT */
/* The last lines that an engine wrote, for its log and for the error of a failed load. */
#ifndef HOSTLER_ENGINE_LOGRING_H
#define HOSTLER_ENGINE_LOGRING_H

#include <stddef.h>

struct logring {
    char **line;  /* `lines` places, used round and round */
    size_t lines; /* so memory is bounded by lines x line_max */
    size_t line_max;
    size_t next; /* the place that is written next */
    size_t used;
};

void logring_init(struct logring *r, size_t lines, size_t line_max);
void logring_finish(struct logring *r);
/* Adds a copy, cut to `line_max` bytes (at a character's border); the oldest line makes room. */
void logring_add(struct logring *r, const char *text, size_t len);
/* The last `lines` lines (all, if there are fewer) joined by newlines; the caller frees. */
char *logring_tail(const struct logring *r, size_t lines);

#endif
