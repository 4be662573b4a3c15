/* SPDX-License-Identifier: MIT */
/*
 * Figures out of the kernel's text files under /proc and /sys. Paths are built from a format whose
 * first part is a root: "" in earnest, a folder with a recorded tree in tests.
 */
#ifndef HOSTLER_ENGINE_KERNEL_H
#define HOSTLER_ENGINE_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* One line `KEY: VALUE` or `KEY VALUE`, cut in two. */
struct kernel_line {
    char *key, *value; /* into `space` */
    char space[512];
};

struct kernel_field {
    const char *key;
    uint64_t *bytes;
};

/* NULL when it cannot be opened. fclose() it. */
FILE *kernel_open(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* False at the end. A line longer than `space` comes in pieces. */
bool kernel_next(FILE *f, struct kernel_line *line);
/* `123`, `123 kB` (1024, as everywhere in the kernel), `123 KiB`, `MiB`, `GiB` in bytes; 0 for what
 * is no number. */
uint64_t kernel_bytes(const char *value);
/* A file that is one number. False, and `out` as it was, when it is not there or says a word, such
 * as `max`. */
bool kernel_number(uint64_t *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Reads the fields that are there; the others stay as they were. */
void kernel_fields(const struct kernel_field *fields, size_t n, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
