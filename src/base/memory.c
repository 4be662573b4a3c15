/* SPDX-License-Identifier: MIT */
#include "base/memory.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* Up to this size glibc's malloc has a quick list for each thread, which its calloc does not look at. */
#define SMALL 1032

void mem_out(void)
{
    log_last_words("hostler: out of memory\n");
    abort();
}

/* By itself glibc raises the first figure to the largest block that was ever freed, and what a few
 * large bodies took stays; and lowers the heap's end for each 100 KiB, to fault it in again. */
void mem_tune(void)
{
#ifdef M_MMAP_THRESHOLD
    mallopt(M_MMAP_THRESHOLD, 4 * 1024 * 1024);
    mallopt(M_TRIM_THRESHOLD, 2 * 1024 * 1024);
#endif
}

static void *must(void *p)
{
    if (!p)
        mem_out();
    return p;
}

void *mem_zalloc(size_t size)
{
    if (size > SMALL)
        return must(calloc(1, size));
    return memset(must(malloc(size ? size : 1)), 0, size);
}

void *mem_realloc(void *old, size_t size)
{
    return must(realloc(old, size ? size : 1));
}

char *mem_strdup(const char *text)
{
    return must(strdup(text));
}

char *mem_strndup(const char *text, size_t len)
{
    return must(strndup(text, len));
}

char *mem_vprintf(const char *fmt, va_list ap)
{
    char *text = NULL;
    int n = vasprintf(&text, fmt, ap);
    return must(n < 0 ? NULL : text);
}

char *mem_printf(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = mem_vprintf(fmt, ap);
    va_end(ap);
    return text;
}

void mem_replace(char **text, const char *value)
{
    char *copy = value ? mem_strdup(value) : NULL;
    free(*text);
    *text = copy;
}
