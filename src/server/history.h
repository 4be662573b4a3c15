/* SPDX-License-Identifier: MIT */
/* What happened to which model, and why: the last changes, for "why did it come back?". */
#ifndef HOSTLER_SERVER_HISTORY_H
#define HOSTLER_SERVER_HISTORY_H

#include <stddef.h>

#define HISTORY_MAX 256

struct history_entry {
    double at; /* Unix time, seconds */
    char *model;
    const char
        *event; /* static: `load`, `ready`, `stop`, `end`, `failed`, `hold`, `release`, `pin`,
                          `unpin` */
    char *why;  /* one line; NULL */
};

/* Zeroed: empty. */
struct history {
    struct history_entry entry[HISTORY_MAX];
    size_t count; /* that were ever added */
};

/* Copies; of `why` the first line. */
void history_add(struct history *h, const char *model, const char *event, const char *why);
/* The newest is 0; NULL behind the oldest. */
const struct history_entry *history_at(const struct history *h, size_t index);
void history_finish(struct history *h);

#endif
