/* SPDX-License-Identifier: MIT */
/*
 * Allocation. What hostler needs for its bookkeeping is small, and the operator decides how much there is of it
 * (models, options): mem_zalloc() and its like never fail. They take from a reserve when malloc() fails
 * (base/memory_reserve.h) and abort when that is used up.
 *
 * What a client can repeat or choose the size of (connections, bodies, answers that wait) may fail: it uses
 * mem_try_…, or struct buf, which does so.
 */
#ifndef HOSTLER_BASE_MEMORY_H
#define HOSTLER_BASE_MEMORY_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* Says that memory is out, and aborts. */
void mem_out(void) __attribute__((noreturn));
/* Frees a part of the reserve, so that a failed allocation may be tried again; or mem_out(). */
void mem_use_reserve(void);
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

/* NULL when there is no memory for it; mem_try_realloc() leaves `old` as it is then. */
void *mem_try_zalloc(size_t size) __attribute__((malloc, alloc_size(1)));
void *mem_try_realloc(void *old, size_t size) __attribute__((alloc_size(2)));
/* Whether `size` bytes could be had now, beside the reserve: asked before work that then must not fail. */
bool mem_has(size_t size);

#endif
