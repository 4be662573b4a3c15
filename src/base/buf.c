/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/memory.h"

#define FIRST 256                      /* bytes: most heads of messages fit */
#define HUGE ((size_t)4 * 1024 * 1024) /* what fills large pages, and is a mapping of its own */

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_finish(struct buf *b)
{
    free(b->data);
    *b = (struct buf){.max = b->max};
}

void buf_clear(struct buf *b)
{
    b->len = 0;
}

/* Of a body of 20 MB a third of the time was 5,000 page faults. The whole mapping is asked for, since one
 * that is in parts cannot grow in its place. */
static void ask_for_huge_pages(const struct buf *b)
{
#ifdef MADV_HUGEPAGE
    size_t page = (size_t)sysconf(_SC_PAGESIZE), before = (uintptr_t)b->data % page;
    size_t len = (before + b->cap + page - 1) / page * page;
    (void)madvise(b->data - before, len, MADV_HUGEPAGE); /* refused: it stays as it is */
#endif
}

static void *grow(struct buf *b, size_t cap)
{
    return b->max == BUF_OWN ? mem_realloc(b->data, cap) : mem_try_realloc(b->data, cap);
}

/* For a terminating zero, which is no content and may stand beyond `max`. */
static int reserve_beyond(struct buf *b, size_t len)
{
    size_t max = b->max;
    b->max = max == BUF_OWN ? max : BUF_UNBOUNDED;
    int rc = buf_reserve(b, len);
    b->max = max;
    return rc;
}

int buf_reserve(struct buf *b, size_t len)
{
    if (len > b->max - b->len)
        return -ENOBUFS;
    size_t need = b->len + len;
    if (need <= b->cap)
        return 0;
    size_t cap = b->cap ? b->cap : FIRST;
    while (cap < need)
        cap *= 2;
    char *data = grow(b, cap);
    if (!data)
        return -ENOMEM;
    b->data = data;
    b->cap = cap;
    if (cap >= HUGE)
        ask_for_huge_pages(b);
    return 0;
}

int buf_append_growing(struct buf *b, const void *data, size_t len)
{
    int rc = buf_reserve(b, len);
    if (rc)
        return rc;
    memcpy(b->data + b->len, data, len);
    b->len += len;
    return 0;
}

int buf_puts(struct buf *b, const char *text)
{
    return buf_append(b, text, strlen(text));
}

int buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int need = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (need < 0)
        return -EINVAL;
    if ((size_t)need > b->max - b->len)
        return -ENOBUFS;
    int rc = reserve_beyond(b, (size_t)need + 1); /* vsnprintf writes a zero */
    if (rc)
        return rc;
    vsnprintf(b->data + b->len, (size_t)need + 1, fmt, ap);
    b->len += (size_t)need;
    return 0;
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = buf_vprintf(b, fmt, ap);
    va_end(ap);
    return rc;
}

void buf_consume(struct buf *b, size_t len)
{
    b->len -= len;
    if (b->len)
        memmove(b->data, b->data + len, b->len);
}

const char *buf_cstr(struct buf *b)
{
    if (reserve_beyond(b, 1))
        return NULL;
    b->data[b->len] = '\0';
    return b->data;
}

char *buf_take(struct buf *b)
{
    if (!buf_cstr(b))
        return NULL;
    char *text = b->data;
    *b = (struct buf){.max = b->max};
    return text;
}
