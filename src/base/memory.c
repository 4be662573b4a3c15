/* SPDX-License-Identifier: MIT */
#include "base/memory.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory_reserve.h"

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

/* --- what must not fail: each try has another block of the reserve ------------------------------- */

void mem_use_reserve(void)
{
    if (!memory_reserve_use())
        mem_out();
}

static void *zalloc(size_t size)
{
    if (size > SMALL)
        return calloc(1, size);
    void *p = malloc(size ? size : 1);
    return p ? memset(p, 0, size) : NULL;
}

void *mem_zalloc(size_t size)
{
    void *p;
    while (!(p = zalloc(size)))
        mem_use_reserve();
    return p;
}

void *mem_realloc(void *old, size_t size)
{
    void *p;
    while (!(p = realloc(old, size ? size : 1)))
        mem_use_reserve();
    return p;
}

char *mem_strdup(const char *text)
{
    return mem_strndup(text, strlen(text));
}

char *mem_strndup(const char *text, size_t len)
{
    len = strnlen(text, len);
    char *copy = mem_realloc(NULL, len + 1);
    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

/* Not by vasprintf(): that of glibc 2.36 writes past its buffer when realloc() fails. */
char *mem_vprintf(const char *fmt, va_list ap)
{
    char few[256];
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(few, sizeof few, fmt, again);
    va_end(again);
    size_t size = n < 0 ? 1 : (size_t)n + 1;
    char *text = mem_realloc(NULL, size);
    if (size <= sizeof few)
        memcpy(text, few, size);
    else
        vsnprintf(text, size, fmt, ap);
    text[size - 1] = '\0';
    return text;
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

/* --- what may fail ------------------------------------------------------------------------------ */

/* Whether to try once more: a large one fails alone, and says nothing of memory as a whole. */
static bool try_again(size_t size)
{
    return size <= MEM_SMALL && memory_reserve_permits(size) && memory_reserve_use();
}

void *mem_try_zalloc(size_t size)
{
    void *p = NULL;
    while (memory_reserve_permits(size) && !(p = zalloc(size)) && try_again(size))
        ;
    return p;
}

void *mem_try_realloc(void *old, size_t size)
{
    void *p = NULL;
    size_t wanted = size ? size : 1;
    while (memory_reserve_permits(size) && !(p = realloc(old, wanted)) && try_again(size))
        ;
    return p;
}

bool mem_has(size_t size)
{
    void *p = mem_try_realloc(NULL, size);
    free(p);
    return p != NULL;
}
