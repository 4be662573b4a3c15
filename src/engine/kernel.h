/* SPDX-License-Identifier: MIT */
/*
 * Reads figures from the kernel's text files under /proc and /sys. A path's format begins with the root:
 * "", or in tests a folder with a recorded tree.
 */
#ifndef HOSTLER_ENGINE_KERNEL_H
#define HOSTLER_ENGINE_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* One line `KEY: VALUE` or `KEY VALUE`, split. */
struct kernel_line {
    char *key, *value; /* both point into `space` */
    char space[512];
};

struct kernel_field {
    const char *key;
    uint64_t *bytes;
};

/* NULL: it cannot be opened. The caller closes it by fclose(). */
FILE *kernel_open(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* False: end of file. A line longer than `space` is returned in parts. */
bool kernel_next(FILE *f, struct kernel_line *line);
/* In bytes: `123`, `123 kB` (the kernel means 1024), `123 KiB`, `MiB`, `GiB`; 0: no number. */
uint64_t kernel_bytes(const char *value);
/* A file that holds one number. False, with `out` unchanged: there is no file, or it holds a word such as
 * `max`. */
bool kernel_number(uint64_t *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Reads the fields that the file has; the others stay unchanged. */
void kernel_fields(const struct kernel_field *fields, size_t n, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
