/* SPDX-License-Identifier: MIT */
#include "http/exchange.h"

#include <stdio.h>
#include <string.h>

#include "http/connection.h"

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
    return x->stream.stream.type == UV_NAMED_PIPE;
}

void http_exchange_take(struct http_exchange *x, const struct http_exchange_events *events,
                        void *ctx)
{
    x->events = events;
    x->ctx = ctx;
    x->taken = true;
}

void http_exchange_outlive(struct http_exchange *x)
{
    x->outlives = true;
}

void http_exchange_pause(struct http_exchange *x)
{
    x->paused = true;
    if (!x->parsing)
        connection_update_reading(x);
}

void http_exchange_resume(struct http_exchange *x)
{
    x->paused = false;
    if (!x->parsing)
        connection_update_reading(x);
}

void http_exchange_omit_fields(struct http_exchange *x)
{
    x->plain_answer = true;
}

/* --- the answer ---------------------------------------------------------------------------------
 */

static void put(struct http_exchange *x, const char *text)
{
    stream_write(&x->stream, text, strlen(text));
}

/* llhttp's name of a status; it knows more than we ever send, but an engine may send others. */
static const char *status_name(int status)
{
    switch (status) {
#define NAME(code, name, text)                                                                     \
    case code:                                                                                     \
        return #text;
        HTTP_STATUS_MAP(NAME)
#undef NAME
    }
    return "UNKNOWN";
}

/* That name as a phrase: INTERNAL_SERVER_ERROR becomes Internal Server Error. */
static const char *reason_of(int status, char *out, size_t size)
{
    snprintf(out, size, "%s", status_name(status));
    for (char *p = out; *p; p++) {
        bool first = p == out || p[-1] == ' ';
        if (*p == '_')
            *p = ' ';
        else if (!first && *p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    }
    return out;
}

static void put_status_line(struct http_exchange *x, int status)
{
    char line[80], reason[48];
    if (status == 200) {
        put(x, "HTTP/1.1 200 OK\r\n");
        return;
    }
    int n = snprintf(line, sizeof line, "HTTP/1.1 %d %s\r\n", status,
                     reason_of(status, reason, sizeof reason));
    stream_write(&x->stream, line, (size_t)n);
}

void http_exchange_begin(struct http_exchange *x, int status, int64_t length)
{
    x->answer = ANSWER_HEAD;
    /* An answer without a body that was not asked for by HEAD has none to announce either. */
    bool empty = status == 204 || status == 304;
    bool old = x->head.major == 1 && x->head.minor == 0;
    x->bodyless = empty || x->parser.method == HTTP_HEAD;
    x->chunked = length < 0 && !old && !empty;
    if (length < 0 && old && !empty)
        x->keep_alive = false; /* the end of the connection is the end of the body */
    if (x->request != REQUEST_COMPLETE && !connection_rest_is_small(x))
        x->keep_alive = false;
    put_status_line(x, status);
    if (x->chunked) {
        put(x, "Transfer-Encoding: chunked\r\n");
    } else if (length >= 0 && !empty) {
        put(x, "Content-Length: ");
        stream_write_number(&x->stream, (uint64_t)length, 10);
        put(x, "\r\n");
    }
    if (!x->keep_alive)
        put(x, "Connection: close\r\n");
    else if (old)
        put(x, "Connection: keep-alive\r\n");
    if (x->all->add_fields && !x->plain_answer)
        x->all->add_fields(x, x->all->ctx);
}

void http_exchange_field(struct http_exchange *x, const char *name, const char *value)
{
    stream_write_field(&x->stream, name, value);
}

void http_exchange_raw_fields(struct http_exchange *x, const char *lines)
{
    put(x, lines);
}

void http_exchange_head_end(struct http_exchange *x)
{
    put(x, "\r\n");
    x->answer = ANSWER_BODY;
}

void http_exchange_write(struct http_exchange *x, const char *data, size_t len)
{
    if (x->bodyless || !len)
        return;
    if (x->chunked)
        stream_write_chunk(&x->stream, data, len);
    else
        stream_write(&x->stream, data, len);
    if (http_exchange_pending(x) >= HTTP_HIGH_WATER)
        http_exchange_flush(x);
}

void http_exchange_flush(struct http_exchange *x)
{
    if (x->orphan)
        return;
    stream_flush(&x->stream);
    x->moved_at = uv_now(x->all->loop);
    if (stream_pending(&x->stream))
        x->full = true;
}

void http_exchange_end(struct http_exchange *x)
{
    if (x->chunked && !x->bodyless)
        put(x, "0\r\n\r\n");
    x->taken = false;
    x->paused = false;
    x->answer = ANSWER_DONE;
    http_exchange_flush(x);
    if (x->orphan)
        connection_release_orphan(x);
    else if (!x->parsing)
        connection_settle(x);
}

void http_exchange_abort(struct http_exchange *x)
{
    x->taken = false;
    if (x->orphan)
        connection_release_orphan(x);
    else
        connection_close(x);
}

bool http_exchange_begun(const struct http_exchange *x)
{
    return x->answer != ANSWER_NONE;
}

size_t http_exchange_pending(const struct http_exchange *x)
{
    return x->orphan ? 0 : stream_pending(&x->stream);
}

void http_exchange_reply(struct http_exchange *x, int status, const char *type, const char *body,
                         size_t len, const char *extra)
{
    http_exchange_begin(x, status, (int64_t)len);
    if (type)
        http_exchange_field(x, "Content-Type", type);
    if (extra)
        put(x, extra);
    http_exchange_head_end(x);
    http_exchange_write(x, body, len);
    http_exchange_end(x);
}
