/* SPDX-License-Identifier: MIT */
/* A vector of owned strings, always ended by NULL, so that `v` can be given to execve(). */
#ifndef HOSTLER_BASE_STRV_H
#define HOSTLER_BASE_STRV_H

#include <stdbool.h>
#include <stddef.h>

struct strv {
    char **v; /* NULL while empty and never appended to */
    size_t n;
};

void strv_finish(struct strv *s);
/* Appends a copy. */
void strv_add(struct strv *s, const char *text);
void strv_addf(struct strv *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Appends `text` itself; the vector frees it. */
void strv_add_take(struct strv *s, char *text);
void strv_copy(struct strv *to, const struct strv *from);
/* In byte order, each text once. */
void strv_sort(struct strv *s);
bool strv_has(const struct strv *s, const char *text);
bool strv_equal(const struct strv *a, const struct strv *b);
/* Splits at `sep`, blanks around a piece and empty pieces dropped. */
void strv_split(struct strv *s, const char *text, char sep);

#endif
