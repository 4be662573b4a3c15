/* SPDX-License-Identifier: MIT */
/*
 * A request's body as far as it is held: until its model is named and an engine takes it, and longer if it
 * may have to be sent again. Its first HELD_IN_MEMORY bytes are in memory. What follows goes to a file if the
 * budget has a folder and a file to spare (http/body_budget.h), and else is in memory, too.
 */
#ifndef HOSTLER_HTTP_HELD_BODY_H
#define HOSTLER_HTTP_HELD_BODY_H

#include "base/buf.h"
#include "http/body_budget.h"
#include "http/spool.h"

#define HELD_IN_MEMORY ((size_t)512 * 1024)

/* Embedded. Its address must not change while it holds something. */
struct held_body {
    struct buf memory;   /* its first bytes */
    struct spool *spool; /* what follows; NULL: nothing does */
    struct body_share share;
    size_t len;     /* of all that is held */
    size_t in_file; /* of it */
    size_t max;
    spool_progress *progress; /* of writing to the file, with `ctx` */
    void *ctx;
};

/* Without a ceiling and a budget, which the caller may set. */
void held_body_init(struct held_body *b, spool_progress *progress, void *ctx);
/* Nothing is held any more; it may be used again. Safe for a zeroed one. */
void held_body_finish(struct held_body *b);
/* 0; -ENOBUFS: it would be larger than `max`; -ENOSPC: the budget of all bodies is used up; -ENOMEM; or
 * -EIO: the file cannot be made or written. */
int held_body_append(struct held_body *b, const char *data, size_t len)
    __attribute__((warn_unused_result));
/* Whether the sender must pause until `progress`. */
static inline bool held_body_is_behind(const struct held_body *b)
{
    return b->spool && spool_is_behind(b->spool);
}

#endif
