/* SPDX-License-Identifier: MIT */
#include "api/request_json.h"

#include <stdlib.h>

#include "api/capture.h"
#include "api/reply.h"
#include "api/request_fields.h"
#include "base/memory.h"

const char *request_json_state(const struct request_record *e)
{
    return e->ended ? "done" : e->granted ? "running" : "waiting";
}

/* A field that is empty when there is nothing. */
static json_t *field(const char *text)
{
    return reply_string_or_null(*text ? text : NULL);
}

static void add_tokens(json_t *o, const struct request_record *e)
{
    const struct usage *u = &e->usage;
    /* One that broke off, or whose client left, tells no figure of its own. */
    bool counts = u->pieces > 1 && (!e->ended || *e->error);
    json_object_set_new(o, "prompt_tokens",
                        u->known && u->said.prompt_tokens >= 0 ? json_integer(u->said.prompt_tokens)
                                                               : json_null());
    json_object_set_new(o, "tokens",
                        u->known ? json_integer(u->said.tokens)
                        : counts ? json_integer(u->pieces)
                                 : json_null());
    json_object_set_new(o, "tokens_per_second",
                        u->known && u->said.tokens_per_second > 0
                            ? json_real(u->said.tokens_per_second)
                            : json_null());
}

json_t *request_json(const struct request_record *e, uint64_t now)
{
    json_t *o = json_object();
    uint64_t end = e->ended ? e->ended : now;
    bool waits = !e->ended && !e->granted && e->place->sched.state == SCHED_REQUEST_WAITING;
    json_object_set_new(o, "id", json_integer((json_int_t)e->id));
    json_object_set_new(o, "at", json_real(e->at));
    json_object_set_new(o, "model", reply_string_or_null(e->model));
    json_object_set_new(o, "request", reply_string(e->caller.request));
    json_object_set_new(o, "state", json_string(request_json_state(e)));
    json_object_set_new(o, "status", e->status ? json_integer(e->status) : json_null());
    json_object_set_new(o, "error", field(e->error));
    json_object_set_new(o, "client", reply_string(e->caller.client));
    json_object_set_new(o, "key", field(e->caller.key));
    json_object_set_new(o, "user_agent", field(e->caller.agent));
    json_object_set_new(o, "waited_ms",
                        json_integer((json_int_t)((e->granted ? e->granted : end) - e->arrived)));
    json_object_set_new(o, "elapsed_ms", json_integer((json_int_t)(end - e->arrived)));
    json_object_set_new(o, "position", waits ? json_integer(host_position(e->place)) : json_null());
    json_object_set_new(o, "loaded", json_boolean(e->loaded));
    json_object_set_new(o, "unread", json_boolean(e->unread));
    add_tokens(o, e);
    json_object_set_new(o, "restored_tokens", json_integer((json_int_t)e->restored));
    json_object_set_new(o, "saved_ms", json_integer((json_int_t)e->saved_ms));
    return o;
}

/* From `from` to `to`, ms; null: not known, or not yet. */
static json_t *between(uint64_t from, uint64_t to)
{
    return from && to >= from ? json_integer((json_int_t)(to - from)) : json_null();
}

static json_t *timings(const struct request_record *e)
{
    const bool loaded = e->loaded && e->granted;
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "queued_ms", between(e->arrived, e->granted),
                     "load_ms", loaded ? json_integer((json_int_t)e->load_ms) : json_null(),
                     "restore_ms", between(e->granted, e->restored ? e->sent : 0), "first_token_ms",
                     between(e->arrived, e->first_byte), "last_ms", between(e->arrived, e->ended));
}

static json_t *size(const struct request_record *e, uint64_t bytes)
{
    return e->ended ? json_integer((json_int_t)bytes) : json_null();
}

/* Bytes that are no UTF-8 are replaced, and so are zero bytes. */
static json_t *body_text(const struct buf *b)
{
    char *text = mem_zalloc(b->len + 1);
    for (size_t i = 0; i < b->len; i++)
        text[i] = (char)(b->data[i] ? b->data[i] : '\xff');
    text[b->len] = '\0';
    json_t *o = reply_string(text);
    free(text);
    return o;
}

void request_json_add_bodies(json_t *o, const struct request_record *e)
{
    const struct captured *k = e->captured;
    json_object_set_new(o, "request_body", k ? body_text(&k->request) : json_null());
    json_object_set_new(o, "response_body", k ? body_text(&k->answer) : json_null());
    json_object_set_new(o, "request_body_cut", json_boolean(k && k->request_cut));
    json_object_set_new(o, "response_body_cut", json_boolean(k && k->answer_cut));
}

json_t *request_json_whole(const struct request_record *e, uint64_t now)
{
    json_t *o = request_json(e, now);
    json_object_set_new(o, "request_bytes", size(e, e->body_in));
    json_object_set_new(o, "response_bytes", size(e, e->body_out));
    json_object_set_new(o, "timings", timings(e));
    json_object_set_new(o, "headers",
                        json_pack("{s:o, s:o}", "request", request_fields_json(&e->fields),
                                  "response", request_fields_json(&e->answer_fields)));
    return o;
}
