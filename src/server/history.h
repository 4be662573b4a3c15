/* SPDX-License-Identifier: MIT */
/* A ring of the last changes: what happened to which model, and why. */
#ifndef HOSTLER_SERVER_HISTORY_H
#define HOSTLER_SERVER_HISTORY_H

#include <stddef.h>

#define HISTORY_MAX 256

struct history_entry {
    double at; /* Unix time, seconds */
    char *model;
    const char *
        event; /* static: `load`, `ready`, `saved`, `stop`, `end`, `failed`, `hold`, `release`, `pin`,
                          `unpin` */
    char *why; /* one line; NULL */
};

/* Zeroed: empty. */
struct history {
    struct history_entry entry[HISTORY_MAX];
    size_t count; /* entries that were ever added */
};

/* Copies its texts; of `why` only the first line. */
void history_add(struct history *h, const char *model, const char *event, const char *why);
/* Index 0 is the newest; NULL: after the oldest. */
const struct history_entry *history_at(const struct history *h, size_t index);
void history_finish(struct history *h);

#endif
