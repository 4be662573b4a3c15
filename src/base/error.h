/* SPDX-License-Identifier: MIT */
/*
 * A message for a person. Functions that can fail for reasons a person must read take one and
 * return a negative errno; the text says what happened, to what, and what to do next.
 */
#ifndef HOSTLER_BASE_ERROR_H
#define HOSTLER_BASE_ERROR_H

#include <stdbool.h>

struct error {
    char text[1024]; /* cut, never overrun; empty until set */
};

/* Writes the text and returns `code`, so that `return error_set(err, -EINVAL, …)` reads well. */
int error_set(struct error *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Whether a negative errno says that this process or machine has run out of something (descriptors,
 * processes, memory, buffers): then nobody else is to blame, and the same may work later. */
bool error_is_ours(int rc);

#endif
