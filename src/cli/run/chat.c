/* SPDX-License-Identifier: MIT */
#include "cli/run/chat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/json.h"
#include "cli/peer/sse.h"

#define ANSWER_MAX ((size_t)64 << 20)

/* What chat_event() returns to end the reading. */
enum { STOP_LISTENER = 1, STOP_ERROR, STOP_DONE };

struct stream {
    struct chat *chat;
    const struct chat_listener *listener;
    struct sse_reader sse;
    bool done; /* `[DONE]` came */
    int rc;    /* of the reading: not zero ended it */
};

void chat_init(struct chat *c)
{
    *c = (struct chat){.last = json_object(), .started = cli_now_ms()};
    buf_init(&c->content, ANSWER_MAX);
    buf_init(&c->reasoning, ANSWER_MAX);
}

void chat_finish(struct chat *c)
{
    buf_finish(&c->content);
    buf_finish(&c->reasoning);
    json_decref(c->last);
    free(c->finish_reason);
    *c = (struct chat){0};
}

/* --- reading ------------------------------------------------------------------------------------
 */

static int take_text(struct chat *c, struct buf *b, json_t *text,
                     int (*listen)(const char *text, void *ctx), void *ctx)
{
    if (!json_is_string(text) || !json_string_length(text))
        return 0;
    c->pieces++;
    if (!c->first)
        c->first = cli_now_ms();
    if (buf_append(b, json_string_value(text), json_string_length(text))) {
        error_set(&c->err, -ENOBUFS, "the answer is too long");
        return STOP_ERROR;
    }
    return listen && listen(json_string_value(text), ctx) ? STOP_LISTENER : 0;
}

static int take_choice(struct chat *c, json_t *choice, const struct chat_listener *l)
{
    json_t *delta = json_object_get(choice, "delta");
    const char *reason = cli_json_text_or(choice, "finish_reason", NULL);
    if (reason) {
        free(c->finish_reason);
        c->finish_reason = mem_strdup(reason);
    }
    int rc = take_text(c, &c->reasoning, json_object_get(delta, "reasoning_content"), l->reasoning,
                       l->ctx);
    return rc ? rc
              : take_text(c, &c->content, json_object_get(delta, "content"), l->content, l->ctx);
}

/* Of the chunk, what holds for the whole answer. */
static void keep_members(struct chat *c, json_t *chunk)
{
    static const char *const keys[] = {"id",    "created", "model", "system_fingerprint",
                                       "usage", "timings"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        json_t *value = json_object_get(chunk, keys[i]);
        if (value && !json_is_null(value))
            json_object_set(c->last, keys[i], value);
    }
}

int chat_event(struct chat *c, const char *data, size_t len, bool error,
               const struct chat_listener *listener)
{
    if (!error && strcmp(data, "[DONE]") == 0)
        return STOP_DONE;
    json_t *chunk = json_loadb(data, len, 0, NULL);
    int rc = 0;
    if (error || json_object_get(chunk, "error")) {
        char *text = router_error_text(data, len);
        const char *bare = cli_json_text_or(chunk, "message", NULL);
        error_set(&c->err, -EIO, "%s", bare ? bare : text ? text : "it does not say why");
        free(text);
        rc = STOP_ERROR;
    } else if (json_is_object(chunk)) {
        json_t *choices = json_object_get(chunk, "choices");
        keep_members(c, chunk);
        if (json_array_size(choices))
            rc = take_choice(c, json_array_get(choices, 0), listener);
    } else {
        error_set(&c->err, -EIO, "it sent something that is no JSON: %.100s", data);
        rc = STOP_ERROR;
    }
    json_decref(chunk);
    return rc;
}

static int on_event(const char *data, size_t len, bool error, void *ctx)
{
    struct stream *s = ctx;
    return chat_event(s->chat, data, len, error, s->listener);
}

static int on_data(const char *data, size_t len, void *ctx)
{
    struct stream *s = ctx;
    int rc = sse_feed(&s->sse, data, len, on_event, s);
    if (rc == STOP_DONE) {
        s->done = true; /* what comes after it is none of ours; the connection is kept */
        return 0;
    }
    s->rc = rc;
    return rc;
}

static int on_tick(void *ctx)
{
    struct stream *s = ctx;
    if (s->listener->stopped && s->listener->stopped(s->listener->ctx))
        s->rc = STOP_LISTENER;
    return s->rc;
}

/* --- asking -------------------------------------------------------------------------------------
 */

static char *request_text(const struct chat_request *w)
{
    json_t *o =
        json_pack("{s:o, s:O, s:b, s:{s:b}}", "model", cli_json_string(w->model), "messages",
                  w->messages, "stream", 1, "stream_options", "include_usage", 1);
    if (w->parameters)
        json_object_update(o, w->parameters);
    char *text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    if (!text)
        mem_out();
    return text;
}

static void ended_badly(struct chat *c, const struct stream *s, int rc, const struct error *err)
{
    struct error text = *err;
    if (s->rc == STOP_LISTENER) {
        c->end = CHAT_STOPPED;
    } else if (s->rc) {
        c->end = CHAT_BROKEN;
        if (!*c->err.text)
            error_set(&c->err, rc, "the answer is too long for this program");
    } else {
        c->end = c->pieces ? CHAT_BROKEN : CHAT_NO_SERVER;
        c->code = rc;
        c->err = text;
    }
}

/* Not one event, but markup: a proxy's page, or another service's. */
static bool is_page(const struct chat *c, struct stream *s)
{
    return !json_object_size(c->last) && s->sse.unparsed.len && *buf_cstr(&s->sse.unparsed) == '<';
}

/* The connection ended in order; did the answer? */
static void ended(struct chat *c, struct stream *s, const struct router *r,
                  const struct client_answer *a)
{
    if (a->status != 200) {
        char *text = router_error_text(a->body.data, a->body.len);
        c->end = CHAT_REFUSED;
        c->status = a->status;
        json_t *root = a->body.len ? json_loadb(a->body.data, a->body.len, 0, NULL) : NULL;
        const char *state = cli_json_text_or(json_object_get(root, "error"), "state", NULL);
        snprintf(c->state, sizeof c->state, "%s", state ? state : "");
        json_decref(root);
        error_set(&c->err, -EIO, "%s", text ? text : "it does not say why");
        free(text);
        return;
    }
    int rc = s->done ? 0 : sse_end(&s->sse, on_event, s);
    c->end = CHAT_COMPLETE;
    if (rc == STOP_DONE || s->done || (!rc && c->finish_reason))
        return;
    c->end = CHAT_BROKEN;
    if (is_page(c, s)) {
        c->end = CHAT_NO_SERVER;
        c->code = -EPROTO;
        error_set(&c->err, c->code,
                  "%s is not a llama.cpp router: it answers a chat with a web page", r->url.shown);
    } else if (!*c->err.text && s->sse.unparsed.len)
        error_set(&c->err, -EIO, "%s", buf_cstr(&s->sse.unparsed));
    else if (!*c->err.text)
        error_set(&c->err, -EIO, "the server ended it in the middle");
}

void chat_run(struct chat *c, struct router *r, const struct chat_request *wish,
              const struct chat_listener *listener)
{
    struct stream s = {.chat = c, .listener = listener};
    struct client_answer a;
    struct error err = {0};
    chat_init(c);
    sse_init(&s.sse);
    char *body = request_text(wish);
    struct client_request request = {.method = "POST",
                                     .path = "/v1/chat/completions",
                                     .body = body,
                                     .data = on_data,
                                     .tick = on_tick,
                                     .ctx = &s};
    int rc = client_do(r->client, &request, &a, &err);
    c->ended = cli_now_ms();
    if (rc && !s.done)
        ended_badly(c, &s, rc, &err);
    else if (rc)
        c->end = CHAT_COMPLETE;
    else
        ended(c, &s, r, &a);
    client_answer_finish(&a);
    sse_finish(&s.sse);
    free(body);
}

/* --- afterwards ---------------------------------------------------------------------------------
 */

bool chat_was_cut(const struct chat *c)
{
    return c->finish_reason && strcmp(c->finish_reason, "length") == 0;
}

void chat_speed(const struct chat *c, json_int_t *tokens, double *per_second)
{
    json_t *timings = json_object_get(c->last, "timings");
    json_t *usage = json_object_get(c->last, "usage");
    double ms = cli_json_number(timings, "predicted_ms");
    *tokens = cli_json_integer(timings, "predicted_n");
    if (!*tokens)
        *tokens = cli_json_integer(usage, "completion_tokens");
    if (!*tokens)
        *tokens = c->pieces; /* llama.cpp sends a piece a token */
    if (ms <= 0)
        ms = c->first ? (double)(c->ended - c->first) : 0;
    *per_second = ms > 0 ? (double)*tokens / ms * 1000 : 0;
}

static json_t *text_json(const struct buf *b)
{
    json_t *s = json_stringn(b->data ? b->data : "", b->len);
    return s ? s : json_null();
}

json_t *chat_object(const struct chat *c)
{
    json_t *o = json_copy(c->last);
    json_t *message =
        json_pack("{s:s, s:o}", "role", "assistant", "content", text_json(&c->content));
    if (c->reasoning.len)
        json_object_set_new(message, "reasoning_content", text_json(&c->reasoning));
    json_t *choice = json_pack("{s:i, s:o, s:s?}", "index", 0, "message", message, "finish_reason",
                               c->finish_reason);
    json_object_set_new(o, "object", json_string("chat.completion"));
    json_object_set_new(o, "choices", json_pack("[o]", choice));
    return o;
}
