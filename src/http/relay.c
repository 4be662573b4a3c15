/* SPDX-License-Identifier: MIT */
#include "http/relay.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/* A body up to this size is copied when it is sent, so that it can be sent again. */
#define REPLAY_MAX ((size_t)256 * 1024)

void relay_init(struct relay *r)
{
    *r = (struct relay){0};
    buf_init(&r->body, BUF_UNBOUNDED);
}

void relay_finish(struct relay *r)
{
    if (r->call)
        http_call_cancel(r->call);
    r->call = NULL;
    buf_finish(&r->body);
    body_share_release(&r->share);
}

int relay_hold(struct relay *r, const char *data, size_t len)
{
    int rc = body_share_grow(&r->share, r->body.len + len);
    return rc ? rc : buf_append(&r->body, data, len);
}

/* --- the request --------------------------------------------------------------------------------
 */

/* What is for us, or set anew: not passed on. A transform must be able to read the answer. */
static bool is_ours(const struct relay *r, const struct http_head *head, unsigned i)
{
    if (r->answer && http_field_is(head, i, "accept-encoding"))
        return true;
    return http_field_is(head, i, "authorization") || http_field_is(head, i, "x-api-key") ||
           http_field_is(head, i, "content-length") || http_field_is(head, i, "expect");
}

static void write_text(struct http_call *call, const char *text)
{
    http_call_write(call, text, strlen(text));
}

static void write_head(struct relay *r)
{
    const struct http_head *head = http_exchange_head(r->x);
    int64_t length = http_exchange_body_length(r->x);
    write_text(r->call, http_exchange_method(r->x));
    write_text(r->call, " ");
    write_text(r->call, http_exchange_target(r->x));
    write_text(r->call, " HTTP/1.1\r\n");
    for (unsigned i = 0; i < head->n_fields; i++)
        if (!is_ours(r, head, i) && !http_field_is_hop(head, i))
            http_call_write_field(r->call, http_field_name(head, i), http_field_value(head, i));
    if (!http_head_get(head, "host"))
        http_call_write_field(r->call, "Host", "localhost");
    r->chunked = length < 0;
    if (r->chunked) {
        http_call_write_field(r->call, "Transfer-Encoding", "chunked");
    } else if (length || http_head_get(head, "content-length")) {
        write_text(r->call, "Content-Length: ");
        http_call_write_number(r->call, (uint64_t)length, 10);
        write_text(r->call, "\r\n");
    }
    write_text(r->call, "\r\n");
}

static void write_chunk_size(struct relay *r)
{
    http_call_write_number(r->call, r->body.len, 16);
    write_text(r->call, "\r\n");
}

/* Whether the whole request can still be made (again). */
static bool can_repeat(const struct relay *r)
{
    return !r->body_sent || (r->body_complete && !r->body_given_away);
}

/* Hands over what was read before; keeps a copy when it may be needed again. */
static void write_kept_body(struct relay *r)
{
    bool keep = r->body_complete && r->body.len <= REPLAY_MAX;
    r->body_sent = true;
    r->body_given_away = !keep;
    if (r->body.len) {
        if (r->chunked)
            write_chunk_size(r);
        if (keep)
            http_call_write(r->call, r->body.data, r->body.len);
        else
            http_call_write_take(r->call, &r->body);
        if (r->chunked)
            write_text(r->call, "\r\n");
    }
    if (r->body_complete)
        relay_body_end(r);
}

static void on_connected(struct http_call *call, void *ctx)
{
    struct relay *r = ctx;
    r->call = call;
    write_head(r);
    write_kept_body(r);
    http_call_flush(call);
    if (!r->body_complete && http_call_pending(call) < HTTP_HIGH_WATER)
        http_exchange_resume(r->x);
}

int relay_body(struct relay *r, const char *data, size_t len)
{
    if (!r->body_sent) {
        /* The connection does not stand yet. Little comes after the pause. */
        return relay_hold(r, data, len);
    }
    if (r->chunked)
        http_call_write_chunk(r->call, data, len);
    else
        http_call_write(r->call, data, len);
    http_call_flush(r->call);
    if (http_call_pending(r->call) >= HTTP_HIGH_WATER)
        http_exchange_pause(r->x);
    return 0;
}

static void start_or_fail(struct relay *r)
{
    if (relay_start(r, r->client))
        r->done(r, RELAY_NO_RESOURCES);
}

void relay_body_end(struct relay *r)
{
    r->body_complete = true;
    if (r->awaits_body) {
        start_or_fail(r);
        return;
    }
    if (!r->body_sent)
        return;
    if (r->chunked)
        write_text(r->call, "0\r\n\r\n");
    http_call_flush(r->call);
    http_call_sent(r->call);
}

static void on_drain(struct http_call *call, void *ctx)
{
    struct relay *r = ctx;
    if (!r->body_complete && r->body_sent && http_call_pending(call) <= HTTP_LOW_WATER)
        http_exchange_resume(r->x);
}

/* --- the answer ---------------------------------------------------------------------------------
 */

/* Set anew, or ours to say: what other pages may do is this server's matter, not its origin's. */
static bool is_not_passed(const struct relay *r, const struct http_head *head, unsigned i)
{
    if (r->answer_type && http_field_is(head, i, "content-type"))
        return true;
    return http_field_is(head, i, "content-length") || http_field_is(head, i, "date") ||
           strncasecmp(http_field_name(head, i), "access-control-", 15) == 0;
}

static void on_head(struct http_call *call, const struct http_head *head, int64_t length, void *ctx)
{
    struct relay *r = ctx;
    const char *type = http_head_get(head, "content-type");
    (void)call;
    buf_finish(&r->body); /* no further try from here on */
    body_share_release(&r->share);
    r->is_event_stream = type && strncasecmp(type, "text/event-stream", 17) == 0;
    r->status = head->status;
    http_exchange_begin(r->x, head->status, r->answer && length ? HTTP_STREAMED : length);
    for (unsigned i = 0; i < head->n_fields; i++)
        if (!is_not_passed(r, head, i) && !http_field_is_hop(head, i))
            http_exchange_field(r->x, http_field_name(head, i), http_field_value(head, i));
    if (r->answer_type)
        http_exchange_field(r->x, "Content-Type", r->answer_type);
    if (r->fields)
        http_exchange_raw_fields(r->x, r->fields);
    http_exchange_head_end(r->x);
}

int relay_sink(void *ctx, const char *data, size_t len)
{
    struct relay *r = ctx;
    http_exchange_write(r->x, data, len);
    return 0;
}

/* What was translated before is the client's; the rest cannot be had. */
static void fail_translation(struct relay *r)
{
    if (r->call)
        http_call_cancel(r->call);
    r->call = NULL;
    r->done(r, RELAY_UNTRANSLATABLE);
}

static void on_body(struct http_call *call, const char *data, size_t len, void *ctx)
{
    struct relay *r = ctx;
    (void)call;
    if (r->passed)
        r->passed(r, data, len);
    if (!r->answer)
        http_exchange_write(r->x, data, len);
    else if (pipeline_push(r->answer, data, len))
        fail_translation(r);
}

static void on_flush(struct http_call *call, void *ctx)
{
    struct relay *r = ctx;
    http_exchange_flush(r->x);
    /* The kernel holds a lot for the client already: what it does not take waits in the origin. */
    if (http_exchange_pending(r->x))
        http_call_pause(call);
}

void relay_drain(struct relay *r)
{
    if (r->call)
        http_call_resume(r->call);
}

static void on_end(struct http_call *call, void *ctx)
{
    struct relay *r = ctx;
    (void)call;
    r->call = NULL;
    if (r->answer && pipeline_end(r->answer)) {
        fail_translation(r);
        return;
    }
    http_exchange_end(r->x);
    r->done(r, RELAY_DONE);
}

static void on_fail(struct http_call *call, enum http_call_failure why, void *ctx)
{
    struct relay *r = ctx;
    (void)call;
    r->call = NULL;
    switch (why) {
    case HTTP_CALL_ABSENT:
        r->done(r, RELAY_ABSENT);
        return;
    case HTTP_CALL_NOT_SENT:
        r->done(r, can_repeat(r) ? RELAY_NOT_SENT : RELAY_NO_ANSWER);
        return;
    case HTTP_CALL_STALE:
        /* The origin closed a kept connection while we took it: the client must not notice. */
        if (can_repeat(r)) {
            r->fresh = true;
            start_or_fail(r);
        } else {
            r->done(r, RELAY_NO_ANSWER);
        }
        return;
    case HTTP_CALL_NO_PLACE:
        r->done(r, RELAY_NO_PLACE);
        return;
    case HTTP_CALL_NO_RESOURCES:
        r->done(r, RELAY_NO_RESOURCES);
        return;
    case HTTP_CALL_NO_ANSWER:
        r->done(r, RELAY_NO_ANSWER);
        return;
    case HTTP_CALL_BROKEN:
        r->done(r, http_exchange_begun(r->x) ? RELAY_BROKEN : RELAY_NO_ANSWER);
        return;
    }
}

static const struct http_call_events call_events = {
    .connected = on_connected,
    .head = on_head,
    .body = on_body,
    .flush = on_flush,
    .drain = on_drain,
    .end = on_end,
    .fail = on_fail,
};

/* Whether it is small and on its way. It is waited for, since only a request that is complete may go
 * over a kept connection. */
static bool awaits_body(const struct relay *r)
{
    int64_t length = http_exchange_body_length(r->x);
    return !r->body_complete && length >= 0 && length <= (int64_t)REPLAY_MAX;
}

int relay_start(struct relay *r, struct http_client *client)
{
    r->client = client;
    r->body_sent = false;
    r->awaits_body = awaits_body(r);
    if (r->awaits_body) {
        http_exchange_resume(r->x);
        return 0;
    }
    /* Only what can be sent again may meet a stale connection. */
    bool fresh = r->fresh || !r->body_complete || r->body.len > REPLAY_MAX;
    if (!r->body_complete)
        http_exchange_pause(r->x);
    r->call = http_client_call(client,
                               (fresh ? HTTP_CALL_FRESH : 0) | (r->urgent ? HTTP_CALL_URGENT : 0) |
                                   (http_exchange_is_head(r->x) ? HTTP_CALL_IS_HEAD : 0),
                               &call_events, r);
    return r->call ? 0 : -ENOMEM;
}
