/* SPDX-License-Identifier: MIT */
#include "engine/kernel.h"

#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static FILE *open_at(const char *fmt, va_list args)
{
    char path[PATH_MAX];
    int len = vsnprintf(path, sizeof path, fmt, args);
    return len > 0 && (size_t)len < sizeof path ? fopen(path, "re") : NULL;
}

FILE *kernel_open(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    FILE *f = open_at(fmt, args);
    va_end(args);
    return f;
}

bool kernel_next(FILE *f, struct kernel_line *line)
{
    if (!fgets(line->space, sizeof line->space, f))
        return false;
    line->space[strcspn(line->space, "\n")] = '\0';
    line->key = line->space;
    line->value = line->space + strcspn(line->space, ": \t");
    if (*line->value)
        *line->value++ = '\0';
    line->value += strspn(line->value, " \t");
    return true;
}

uint64_t kernel_bytes(const char *value)
{
    char *end;
    uint64_t n = strtoull(value, &end, 10);
    end += strspn(end, " \t");
    if (strcmp(end, "kB") == 0 || strcmp(end, "KiB") == 0)
        return n << 10;
    if (strcmp(end, "MiB") == 0)
        return n << 20;
    return strcmp(end, "GiB") == 0 ? n << 30 : n;
}

bool kernel_number(uint64_t *out, const char *fmt, ...)
{
    struct kernel_line line;
    va_list args;
    va_start(args, fmt);
    FILE *f = open_at(fmt, args);
    va_end(args);
    if (!f)
        return false;
    bool number = kernel_next(f, &line) && line.key[0] >= '0' && line.key[0] <= '9';
    if (number)
        *out = strtoull(line.key, NULL, 10);
    fclose(f);
    return number;
}

void kernel_fields(const struct kernel_field *fields, size_t n, const char *fmt, ...)
{
    struct kernel_line line;
    va_list args;
    va_start(args, fmt);
    FILE *f = open_at(fmt, args);
    va_end(args);
    if (!f)
        return;
    while (kernel_next(f, &line))
        for (size_t i = 0; i < n; i++)
            if (strcmp(fields[i].key, line.key) == 0)
                *fields[i].bytes = kernel_bytes(line.value);
    fclose(f);
}
