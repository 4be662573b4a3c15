/* SPDX-License-Identifier: MIT */
#include "http/relay.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"

/* Bytes of a held body that a transform is given at once. */
#define PIECE ((size_t)64 * 1024)

static void on_written_to_file(void *ctx)
{
    struct relay *r = ctx;
    if (!r->behind || held_body_is_behind(&r->body))
        return;
    r->behind = false;
    if (!r->paused)
        http_exchange_resume(r->x);
}

void relay_init(struct relay *r, struct http_exchange *x)
{
    *r = (struct relay){.x = x};
    held_body_init(&r->body, on_written_to_file, r);
}

static void cancel_call(struct relay *r)
{
    if (r->call)
        http_call_cancel(r->call);
    r->call = NULL;
}

void relay_finish(struct relay *r)
{
    cancel_call(r);
    held_body_finish(&r->body);
}

int relay_hold(struct relay *r, const char *data, size_t len)
{
    int rc = held_body_append(&r->body, data, len);
    if (!rc && held_body_is_behind(&r->body)) {
        r->behind = true;
        http_exchange_pause(r->x);
    }
    return rc;
}

void relay_pause(struct relay *r)
{
    r->paused = true;
    http_exchange_pause(r->x);
}

static void resume(struct relay *r)
{
    r->paused = false;
    http_exchange_resume(r->x);
}

/* --- the request --------------------------------------------------------------------------------
 */

/* What is for us, or set anew: not passed on. A transform must be able to read the answer. */
static bool is_ours(const struct relay *r, const struct http_head *head, unsigned i)
{
    if (r->answer && http_field_is(head, i, "accept-encoding"))
        return true;
    if (r->traceparent && http_field_is(head, i, "traceparent"))
        return true;
    return http_field_is(head, i, "authorization") || http_field_is(head, i, "x-api-key") ||
           http_field_is(head, i, "content-length") || http_field_is(head, i, "expect");
}

/* The log tells the name and the size, in whole KiB so that few lines differ; the value may be secret. */
static bool is_too_long(const struct http_head *head, unsigned i, size_t max)
{
    if (!max || head->text.len <= max)
        return false;
    size_t len = http_field_name_len(head, i) + strlen(http_field_value(head, i));
    if (len <= max)
        return false;
    log_warn_once("the field %.64s (%zu KiB) of a request is not passed on: the engine accepts at "
                  "most %zu bytes",
                  http_field_name(head, i), (len + 1023) / 1024, max);
    return true;
}

static void write_text(struct http_call *call, const char *text)
{
    http_call_write(call, text, strlen(text));
}

static void write_head(struct relay *r)
{
    const struct http_head *head = http_exchange_head(r->x);
    const size_t field_max = http_client_field_max(r->client);
    int64_t length = http_exchange_body_length(r->x);
    write_text(r->call, http_exchange_method(r->x));
    write_text(r->call, " ");
    write_text(r->call, r->target ? r->target : http_exchange_target(r->x));
    write_text(r->call, " HTTP/1.1\r\n");
    for (unsigned i = 0; i < head->n_fields; i++)
        if (!is_ours(r, head, i) && !http_field_is_hop(head, i) && !is_too_long(head, i, field_max))
            http_call_write_field(r->call, http_field_name(head, i), http_field_value(head, i));
    if (!http_head_get(head, "host"))
        http_call_write_field(r->call, "Host", "localhost");
    if (r->traceparent)
        http_call_write_field(r->call, "traceparent", r->traceparent);
    r->chunked = length < 0 || (r->request && length);
    if (r->chunked) {
        http_call_write_field(r->call, "Transfer-Encoding", "chunked");
    } else if (length || http_head_get(head, "content-length")) {
        write_text(r->call, "Content-Length: ");
        http_call_write_number(r->call, (uint64_t)length, 10);
        write_text(r->call, "\r\n");
    }
    write_text(r->call, "\r\n");
}

/* Whether the whole request can still be made (again). */
static bool can_repeat(const struct relay *r)
{
    return !r->body_given_away && (r->body_complete || !r->body_sent);
}

int relay_request_sink(void *ctx, const char *data, size_t len)
{
    struct relay *r = ctx;
    if (r->chunked)
        http_call_write_chunk(r->call, data, len);
    else
        http_call_write(r->call, data, len);
    return 0;
}

static int send_body(struct relay *r, const char *data, size_t len)
{
    return r->request ? pipeline_push(r->request, data, len) : relay_request_sink(r, data, len);
}

static int send_in_pieces(struct relay *r, const struct buf *b)
{
    int rc = 0;
    for (size_t at = 0; at < b->len && !rc; at += PIECE)
        rc = send_body(r, b->data + at, b->len - at < PIECE ? b->len - at : PIECE);
    return rc;
}

/* It need not be copied. */
static void give_away(struct relay *r)
{
    if (r->chunked) {
        http_call_write_number(r->call, r->body.memory.len, 16);
        write_text(r->call, "\r\n");
    }
    http_call_write_take(r->call, &r->body.memory);
    if (r->chunked)
        write_text(r->call, "\r\n");
}

/* Hands over what is in memory; it stays here when it may be needed again. */
static int send_memory(struct relay *r)
{
    const struct buf *b = &r->body.memory;
    bool keep = r->body_complete && (r->body.spool || b->len <= RELAY_REPLAY_MAX);
    int rc = 0;
    r->body_given_away = !keep;
    if (r->request)
        rc = send_in_pieces(r, b);
    else if (keep && b->len)
        relay_request_sink(r, b->data, b->len);
    else if (b->len)
        give_away(r);
    return rc;
}

/* A body in a file is not kept for another try once the origin has taken all of it: its answer may be long
 * in coming, and others want the room. */
static void release_body(struct relay *r)
{
    bool taken = r->body.spool && !http_call_pending(r->call);
    r->body_given_away |= taken;
    if (r->body_given_away || r->status)
        held_body_finish(&r->body);
}

/* All that was held is with the call: what comes now goes there directly. */
static void end_replay(struct relay *r)
{
    r->body_sent = true;
    release_body(r);
    if (r->body_complete)
        relay_body_end(r);
    else if (http_call_pending(r->call) < HTTP_HIGH_WATER)
        resume(r);
}

/* Of ours, not of the origin's. What has passed of the answer is the client's. */
static void fail(struct relay *r, enum relay_result why)
{
    cancel_call(r);
    r->done(r, why);
}

/* relay_start() returns it, if this happens there. */
static void refuse_request(struct relay *r, int error)
{
    if (r->starting)
        r->request_error = error;
    else
        fail(r, RELAY_BAD_REQUEST);
}

static void replay_file(struct relay *r);

static void on_file_read(const char *data, size_t len, int error, void *ctx)
{
    struct relay *r = ctx;
    r->reads_file = false;
    if (error || !len) {
        fail(r, RELAY_BODY_LOST);
        return;
    }
    r->replayed += len;
    int rc = send_body(r, data, len);
    if (rc) {
        refuse_request(r, rc);
        return;
    }
    http_call_flush(r->call);
    replay_file(r);
}

/* As fast as the origin takes it. */
static void replay_file(struct relay *r)
{
    if (r->replayed == r->body.in_file) {
        end_replay(r);
        return;
    }
    if (r->reads_file || http_call_pending(r->call) >= HTTP_HIGH_WATER)
        return;
    r->reads_file = true;
    spool_read(r->body.spool, r->replayed, on_file_read, r);
}

/* The call has ended. */
static void stop_replay(struct relay *r)
{
    r->call = NULL;
    if (r->reads_file)
        spool_read_cancel(r->body.spool);
    r->reads_file = false;
}

static int begin_request(struct relay *r)
{
    int rc = r->request ? pipeline_restart(r->request) : 0;
    if (!rc) {
        write_head(r);
        rc = send_memory(r);
        http_call_flush(r->call);
    }
    return rc;
}

static void on_connected(struct http_call *call, void *ctx)
{
    struct relay *r = ctx;
    r->call = call;
    int rc = begin_request(r);
    if (rc)
        refuse_request(r, rc);
    else
        replay_file(r);
}

int relay_body(struct relay *r, const char *data, size_t len)
{
    if (!r->body_sent) {
        /* The connection does not stand yet, or what is held has not been sent. Little comes after the
         * pause. */
        return relay_hold(r, data, len);
    }
    int rc = send_body(r, data, len);
    if (rc)
        return rc;
    http_call_flush(r->call);
    if (http_call_pending(r->call) >= HTTP_HIGH_WATER)
        http_exchange_pause(r->x);
    return 0;
}

void relay_body_end(struct relay *r)
{
    r->body_complete = true;
    if (!r->body_sent)
        return;
    int rc = r->request ? pipeline_end(r->request) : 0;
    if (rc) {
        refuse_request(r, rc);
        return;
    }
    if (r->chunked)
        write_text(r->call, "0\r\n\r\n");
    http_call_flush(r->call);
    http_call_sent(r->call);
}

static void on_drain(struct http_call *call, void *ctx)
{
    struct relay *r = ctx;
    if (!r->body_sent)
        replay_file(r);
    else if (r->body.spool)
        release_body(r);
    else if (!r->body_complete && http_call_pending(call) <= HTTP_LOW_WATER)
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

/* For proxies in between, so that they keep nothing back: what the origin did not say by itself. */
static void add_stream_fields(struct relay *r, const struct http_head *head)
{
    if (!http_head_get(head, "cache-control"))
        http_exchange_field(r->x, "Cache-Control", "no-cache");
    if (!http_head_get(head, "x-accel-buffering"))
        http_exchange_field(r->x, "X-Accel-Buffering", "no");
}

/* There is no further try once the answer has begun. */
static void drop_body(struct relay *r)
{
    if (r->body_sent)
        held_body_finish(&r->body);
}

static void on_head(struct http_call *call, const struct http_head *head, int64_t length, void *ctx)
{
    struct relay *r = ctx;
    const char *type = http_head_get(head, "content-type");
    (void)call;
    r->is_event_stream = type && strncasecmp(type, "text/event-stream", 17) == 0;
    if (r->begins)
        r->begins(r, head);
    r->status = head->status;
    if (!r->is_event_stream)
        drop_body(r);
    http_exchange_begin(r->x, head->status, r->answer && length ? HTTP_STREAMED : length);
    for (unsigned i = 0; i < head->n_fields; i++)
        if (!is_not_passed(r, head, i) && !http_field_is_hop(head, i))
            http_exchange_field(r->x, http_field_name(head, i), http_field_value(head, i));
    if (r->answer_type)
        http_exchange_field(r->x, "Content-Type", r->answer_type);
    if (r->is_event_stream)
        add_stream_fields(r, head);
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

static void on_body(struct http_call *call, const char *data, size_t len, void *ctx)
{
    struct relay *r = ctx;
    (void)call;
    if (r->passed)
        r->passed(r, data, len);
    if (r->body.len)
        drop_body(r);
    if (!r->answer)
        http_exchange_write(r->x, data, len);
    else if (pipeline_push(r->answer, data, len))
        fail(r, RELAY_UNTRANSLATABLE);
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
    stop_replay(r);
    if (r->answer && pipeline_end(r->answer)) {
        fail(r, RELAY_UNTRANSLATABLE);
        return;
    }
    http_exchange_end(r->x);
    r->done(r, RELAY_DONE);
}

static void start_or_fail(struct relay *r)
{
    int rc = relay_start(r, r->client);
    if (rc)
        r->done(r, rc == -ENOMEM ? RELAY_NO_RESOURCES : RELAY_BAD_REQUEST);
}

static void on_fail(struct http_call *call, enum http_call_failure why, void *ctx)
{
    struct relay *r = ctx;
    (void)call;
    stop_replay(r);
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

int relay_start(struct relay *r, struct http_client *client)
{
    stop_replay(r); /* of an earlier call */
    r->client = client;
    r->body_sent = false;
    r->replayed = 0;
    r->request_error = 0;
    /* Only what can be sent again may meet a stale connection. */
    bool fresh = r->fresh || !r->body_complete || r->body.len > RELAY_REPLAY_MAX;
    if (!r->body_complete)
        relay_pause(r);
    r->starting = true;
    r->call = http_client_call(client,
                               (fresh ? HTTP_CALL_FRESH : 0) | (r->urgent ? HTTP_CALL_URGENT : 0) |
                                   (http_exchange_is_head(r->x) ? HTTP_CALL_IS_HEAD : 0),
                               &call_events, r);
    r->starting = false;
    return r->call ? r->request_error : -ENOMEM;
}
