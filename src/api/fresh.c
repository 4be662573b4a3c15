/* SPDX-License-Identifier: MIT */
#include "api/fresh.h"

#include <stdlib.h>

#include "api/reply.h"
#include "base/container_of.h"
#include "server/sampler.h"

struct waiter {
    struct sampler_question question;
    struct api *api;
    struct http_exchange *x;
    void (*answer)(struct api *api, struct http_exchange *x);
};

static void on_figures(struct sampler_question *q)
{
    struct waiter *w = container_of(q, struct waiter, question);
    w->answer(w->api, w->x);
    free(w);
}

static void on_gone(struct http_exchange *x, void *ctx)
{
    struct waiter *w = ctx;
    (void)x;
    sampler_cancel(host_sampler(w->api->host), &w->question);
    free(w);
}

static void on_make_way(struct http_exchange *x, void *ctx)
{
    on_gone(x, ctx);
    reply_error_fields(x, 503,
                       "all connections are in use (--max-connections): try again in a second",
                       "Retry-After: 1\r\n");
}

void fresh_answer(struct api *api, struct http_exchange *x,
                  void (*answer)(struct api *api, struct http_exchange *x))
{
    static const struct http_exchange_events events = {.gone = on_gone, .make_way = on_make_way};
    struct sampler *sampler = host_sampler(api->host);
    struct waiter *w = sampler_is_current(sampler) ? NULL : calloc(1, sizeof *w);
    if (w)
        *w = (struct waiter){.api = api, .x = x, .answer = answer};
    if (!w || !sampler_ask(sampler, &w->question, on_figures)) {
        free(w);
        answer(api, x);
        return;
    }
    http_exchange_take(x, &events, w);
}
