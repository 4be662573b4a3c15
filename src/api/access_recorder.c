/* SPDX-License-Identifier: MIT */
#include "api/access_recorder.h"

#include "api/access_line.h"
#include "base/clock.h"
#include "base/container_of.h"
#include "server/access_log.h"

/* A line that there is no memory for is dropped; bodies and names are bounded, so that it is short. */
static void write_line(const struct access_recorder *r, const struct access_line *line)
{
    struct buf text;
    buf_init(&text, BUF_OWN);
    if (!access_line_write(&text, line, r->config->access_log_format))
        access_log_write(text.data, text.len);
    buf_finish(&text);
}

static void on_ended(struct request_observer *o, const struct request_record *e)
{
    const struct access_recorder *r = container_of(o, struct access_recorder, observer);
    write_line(r,
               &(struct access_line){
                   .at = e->at,
                   .caller = &e->caller,
                   .route = e->route,
                   .figures = {.status = e->status, .body_in = e->body_in, .body_out = e->body_out},
                   .took_ms = e->ended - e->arrived,
                   .record = e,
               });
}

void access_recorder_note(const struct access_recorder *r, const struct http_exchange *x,
                          const char *route, const struct http_figures *figures)
{
    struct caller_text text = {0};
    uint64_t took = uv_now(r->loop) - figures->arrived;
    if (!r->requests)
        return;
    if (http_exchange_head(x)->complete) {
        struct caller caller = {.x = x};
        if (figures->status != 421) /* it names another host: its key is not looked at */
            caller_init(&caller, r->config, x);
        caller_text_set(&text, &caller);
    } else {
        snprintf(text.client, sizeof text.client, "%s", http_exchange_peer(x));
    }
    write_line(r, &(struct access_line){.at = clock_unix() - (double)took / 1000,
                                        .caller = &text,
                                        .route = route,
                                        .figures = *figures,
                                        .took_ms = took});
}

void access_recorder_init(struct access_recorder *r, uv_loop_t *loop, const struct config *config,
                          struct request_log *requests)
{
    *r = (struct access_recorder){.config = config, .loop = loop, .observer.ended = on_ended};
    if (!access_log_is_on())
        return;
    r->requests = requests;
    request_log_observe(requests, &r->observer);
}

void access_recorder_finish(struct access_recorder *r)
{
    if (r->requests)
        request_log_unobserve(r->requests, &r->observer);
}
