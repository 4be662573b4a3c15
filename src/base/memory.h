/* SPDX-License-Identifier: MIT */
/*
 * Allocation for bookkeeping: small things whose number the operator decides (models, options,
 * connections). They never fail, because a daemon that cannot get 100 bytes cannot answer either:
 * it says so and aborts. What a client decides the size of goes through struct buf, which fails
 * softly.
 */
#ifndef HOSTLER_BASE_MEMORY_H
#define HOSTLER_BASE_MEMORY_H

#include <stdarg.h>
#include <stddef.h>

/* Says that memory is out, and aborts. */
void mem_out(void) __attribute__((noreturn));
/* For a process that runs long: free memory of up to 2 MiB is kept for the next request, and what is
 * larger goes back to the system at once. */
void mem_tune(void);

void *mem_zalloc(size_t size) __attribute__((malloc, returns_nonnull, alloc_size(1)));
void *mem_realloc(void *old, size_t size) __attribute__((returns_nonnull, alloc_size(2)));
char *mem_strdup(const char *text) __attribute__((malloc, returns_nonnull));
char *mem_strndup(const char *text, size_t len) __attribute__((malloc, returns_nonnull));
char *mem_vprintf(const char *fmt, va_list ap)
    __attribute__((malloc, returns_nonnull, format(printf, 1, 0)));
char *mem_printf(const char *fmt, ...)
    __attribute__((malloc, returns_nonnull, format(printf, 1, 2)));
/* Puts a copy of `value`, or NULL, in place of what `*text` holds. */
void mem_replace(char **text, const char *value);

#endif
