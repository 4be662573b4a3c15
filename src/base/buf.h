/* SPDX-License-Identifier: MIT */
/*
 * A growable byte buffer with a ceiling. Every buffer whose size somebody else decides has one, so
 * that memory per connection stays bounded (docs/design.md, invariant 9).
 *
 * Not a string: there is no terminating zero unless buf_cstr() puts one there.
 */
#ifndef HOSTLER_BASE_BUF_H
#define HOSTLER_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct buf {
    char *data;
    size_t len;
    size_t cap;
    size_t max; /* bytes; an append that would pass it fails and changes nothing */
};

#define BUF_UNBOUNDED ((size_t)-1)
/* In place of a maximum: text of hostler's own, whose size no client decides. Appending to it never fails for
 * want of memory (base/memory.h). */
#define BUF_OWN ((size_t)-2)

void buf_init(struct buf *b, size_t max);
/* Frees the content; the buffer is empty afterwards and can be used again. */
void buf_finish(struct buf *b);
/* Empties the buffer but keeps its memory. */
void buf_clear(struct buf *b);

/* Of buf_append() alone: the way past the room there is. */
int buf_append_growing(struct buf *b, const void *data, size_t len);
/* 0, or -ENOBUFS when `max` would be passed, or -ENOMEM. */
static inline int buf_append(struct buf *b, const void *data, size_t len)
{
    if (!len)
        return 0;
    if (len > b->cap - b->len || len > b->max - b->len)
        return buf_append_growing(b, data, len);
    memcpy(b->data + b->len, data, len);
    b->len += len;
    return 0;
}
int buf_puts(struct buf *b, const char *text);
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* Makes room for `len` more bytes, so that the caller may write there and raise `len` itself. */
int buf_reserve(struct buf *b, size_t len);

/* Drops `len` bytes from the front. */
void buf_consume(struct buf *b, size_t len);

/* The content, followed by a zero byte (not counted in `len`); NULL when out of memory. Owned by `b`.
 */
const char *buf_cstr(struct buf *b);
/* The content as a zero-terminated string that the caller frees; `b` is empty afterwards. */
char *buf_take(struct buf *b);

#endif
