/* SPDX-License-Identifier: MIT */
/* What a handler may ask of its exchange and do with it; http/connection.c does it. */
#include "http/exchange.h"

#include <string.h>

#include "base/memory_reserve.h"
#include "http/connection.h"
#include "http/connections.h"

/* --- the request --------------------------------------------------------------------------------
 */

const struct http_head *http_exchange_head(const struct http_exchange *x)
{
    return &x->head;
}

const char *http_exchange_method(const struct http_exchange *x)
{
    return llhttp_method_name((llhttp_method_t)x->parser.method);
}

const char *http_exchange_target(const struct http_exchange *x)
{
    return x->head.text.data + x->target_at;
}

const char *http_exchange_authority(const struct http_exchange *x, size_t *len)
{
    const char *target = x->head.text.data;
    const char *begin = x->target_at ? strstr(target, "://") : NULL;
    *len = 0;
    if (!begin || begin - target > 5) /* `https`, or less a byte: connection.c, path_of() */
        return NULL;
    begin += 3;
    *len = strcspn(begin, "/");
    return begin;
}

void http_exchange_skip_target(struct http_exchange *x, size_t len)
{
    x->target_at += len;
}

bool http_exchange_is_head(const struct http_exchange *x)
{
    return x->parser.method == HTTP_HEAD;
}

int64_t http_exchange_body_length(const struct http_exchange *x)
{
    return x->body_length;
}

const char *http_exchange_peer(const struct http_exchange *x)
{
    return x->peer;
}

bool http_exchange_is_unix(const struct http_exchange *x)
{
    return x->stream.handle.type == UV_NAMED_PIPE;
}

bool http_exchange_is_over_limit(const struct http_exchange *x)
{
    return x->class == CLASS_RESERVE;
}

void http_exchange_refuse_over_limit(struct http_exchange *x)
{
    static const char body[] = "{\"error\":{\"code\":503,\"message\":\"all connections are in use "
                               "(--max-connections): try "
                               "again in a second\",\"type\":\"unavailable_error\"}}";
    connections_note_refusal(x->all);
    http_exchange_reply(x, 503, "application/json; charset=utf-8", body, sizeof body - 1,
                        "Retry-After: 1\r\n");
}

bool http_exchange_lacks_memory(const struct http_exchange *x)
{
    return (memory_is_short() || x->all->hold_too_much) && connections_lack_memory(x->all);
}

void http_exchange_server_load(const struct http_exchange *x, struct http_load *out)
{
    const struct connections *all = x->all;
    *out = (struct http_load){.open = all->n_ordinary + all->n_reserve,
                              .busy = (unsigned)connections_busy(all),
                              .max = all->limits.connections,
                              .reserve = all->limits.reserve,
                              .refused = all->refused};
}

void http_exchange_figures(const struct http_exchange *x, struct http_figures *out)
{
    bool begun = x->answer.state != ANSWER_NONE;
    *out = (struct http_figures){.status = begun ? x->answer.status : 0,
                                 .arrived = x->arrived,
                                 .body_in = (uint64_t)x->body_seen,
                                 .body_out = begun ? x->answer.body_bytes : 0,
                                 .tag = x->tag,
                                 .is_head = x->parser.method == HTTP_HEAD};
}

void http_exchange_set_tag(struct http_exchange *x, unsigned tag)
{
    x->tag = tag;
}

void http_exchange_set_note(struct http_exchange *x, void *note)
{
    x->note = note;
}

void *http_exchange_note(const struct http_exchange *x)
{
    return x->note;
}

void http_exchange_take(struct http_exchange *x, const struct http_exchange_events *events,
                        void *ctx)
{
    x->events = events;
    x->ctx = ctx;
    if (x->owner == OWNER_NONE)
        x->owner = OWNER_HANDLER;
}

void http_exchange_outlive(struct http_exchange *x)
{
    if (x->owner == OWNER_HANDLER)
        x->owner = OWNER_LASTING;
}

void http_exchange_pause(struct http_exchange *x)
{
    x->paused = true;
    connection_update_reading(x);
}

void http_exchange_resume(struct http_exchange *x)
{
    if (x->paused) {
        x->window_at = uv_now(x->all->loop); /* the client could not send in the meantime */
        x->window_from = x->body_seen;
    }
    x->paused = false;
    connection_update_reading(x);
}

void http_exchange_omit_fields(struct http_exchange *x)
{
    x->plain_answer = true;
}

/* --- the answer ---------------------------------------------------------------------------------
 */

void http_exchange_begin(struct http_exchange *x, int status, int64_t length)
{
    connection_begin_answer(x, status, length);
}

void http_exchange_field(struct http_exchange *x, const char *name, const char *value)
{
    stream_write_field(&x->stream, name, value);
}

void http_exchange_raw_fields(struct http_exchange *x, const char *lines)
{
    stream_write(&x->stream, lines, strlen(lines));
}

void http_exchange_head_end(struct http_exchange *x)
{
    answer_head_end(&x->answer, &x->stream);
}

void http_exchange_write(struct http_exchange *x, const char *data, size_t len)
{
    answer_write(&x->answer, &x->stream, data, len);
    if (http_exchange_pending(x) >= HTTP_HIGH_WATER)
        connection_flush(x);
}

void http_exchange_flush(struct http_exchange *x)
{
    connection_flush(x);
}

void http_exchange_end(struct http_exchange *x)
{
    connection_end_answer(x);
}

void http_exchange_abort(struct http_exchange *x)
{
    connection_abort_answer(x);
}

bool http_exchange_begun(const struct http_exchange *x)
{
    return x->answer.state != ANSWER_NONE;
}

size_t http_exchange_pending(const struct http_exchange *x)
{
    return x->owner == OWNER_ORPHAN ? 0 : stream_pending(&x->stream);
}

void http_exchange_reply(struct http_exchange *x, int status, const char *type, const char *body,
                         size_t len, const char *extra)
{
    http_exchange_begin(x, status, (int64_t)len);
    if (type)
        http_exchange_field(x, "Content-Type", type);
    if (extra)
        http_exchange_raw_fields(x, extra);
    http_exchange_head_end(x);
    http_exchange_write(x, body, len);
    http_exchange_end(x);
}
