/* SPDX-License-Identifier: MIT */
#include "http/held_body.h"

#include <errno.h>

void held_body_init(struct held_body *b, spool_progress *progress, void *ctx)
{
    *b = (struct held_body){.max = BUF_UNBOUNDED, .progress = progress, .ctx = ctx};
    buf_init(&b->memory, BUF_UNBOUNDED);
}

void held_body_finish(struct held_body *b)
{
    buf_finish(&b->memory);
    spool_destroy(b->spool);
    b->spool = NULL;
    b->len = b->in_file = 0;
    body_share_release(&b->share);
}

static int append_to_file(struct held_body *b, const char *data, size_t len)
{
    int rc = spool_append(b->spool, data, len);
    if (!rc)
        b->in_file += len;
    return !rc || rc == -ENOMEM ? rc : -EIO;
}

/* Nothing of it is in a file yet. */
static int append(struct held_body *b, const char *data, size_t len)
{
    size_t in_memory = len;
    if (b->memory.len + len > HELD_IN_MEMORY && body_share_take_file(&b->share)) {
        struct body_budget *budget = b->share.budget;
        b->spool = spool_create(budget->loop, budget->folder, b->progress, b->ctx);
        if (!b->spool)
            return -ENOMEM;
        in_memory = b->memory.len < HELD_IN_MEMORY ? HELD_IN_MEMORY - b->memory.len : 0;
    }
    int rc = buf_append(&b->memory, data, in_memory);
    if (rc || in_memory == len)
        return rc;
    return append_to_file(b, data + in_memory, len - in_memory);
}

int held_body_append(struct held_body *b, const char *data, size_t len)
{
    if (len > b->max - b->len)
        return -ENOBUFS;
    int rc = body_share_grow(&b->share, b->len + len);
    if (!rc)
        rc = b->spool ? append_to_file(b, data, len) : append(b, data, len);
    if (!rc)
        b->len += len;
    return rc;
}
