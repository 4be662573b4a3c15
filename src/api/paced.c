/* SPDX-License-Identifier: MIT */
#include "api/paced.h"

#include <stdlib.h>

#include "api/reply.h"
#include "base/memory.h"

#define PIECE ((size_t)16 * 1024) /* bytes that are written at once */

struct answer {
    struct http_exchange *x;
    const char *data; /* what is left */
    size_t len;
    void *owned;
};

static void answer_free(struct answer *a)
{
    free(a->owned);
    free(a);
}

static void go_on(struct answer *a)
{
    struct http_exchange *x = a->x;
    while (a->len && http_exchange_pending(x) < HTTP_HIGH_WATER) {
        size_t n = a->len < PIECE ? a->len : PIECE;
        http_exchange_write(x, a->data, n);
        a->data += n;
        a->len -= n;
    }
    if (a->len) {
        http_exchange_flush(x);
        return;
    }
    answer_free(a);
    http_exchange_end(x);
}

static void on_drain(struct http_exchange *x, void *ctx)
{
    (void)x;
    go_on(ctx);
}

static void on_gone(struct http_exchange *x, void *ctx)
{
    (void)x;
    answer_free(ctx);
}

void paced_reply(struct http_exchange *x, int status, const char *fields, const char *data,
                 size_t len, void *owned)
{
    static const struct http_exchange_events events = {.drain = on_drain, .gone = on_gone};
    struct answer *a = mem_try_zalloc(sizeof *a);
    if (!a) {
        free(owned);
        reply_no_memory(x);
        return;
    }
    *a = (struct answer){.x = x, .data = data, .len = len, .owned = owned};
    http_exchange_take(x, &events, a);
    http_exchange_begin(x, status, (int64_t)len);
    http_exchange_raw_fields(x, fields);
    http_exchange_head_end(x);
    go_on(a);
}
