/* SPDX-License-Identifier: MIT */
#include "api/tracing.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "api/encode.h"
#include "api/operation.h"
#include "api/request_log.h"
#include "base/buf.h"
#include "base/container_of.h"
#include "base/memory.h"
#include "server/instance.h"
#include "server/otlp.h"

#define SPAN_MAX ((size_t)16 << 10)
#define KIND_INTERNAL 1 /* of a span, as OTLP numbers them */
#define KIND_SERVER 2
#define STATUS_ERROR 2
#define SAMPLED 1 /* a flag of traceparent */

struct tracing {
    struct request_log *log;
    struct otlp *otlp;
    struct request_observer observer;
};

/* --- the context ---------------------------------------------------------------------------------
 */

/* Whether `n` characters are lower-case hexadecimal digits, and not all of them 0. */
static bool is_id(const char *text, size_t n)
{
    return strspn(text, "0123456789abcdef") >= n && strspn(text, "0") < n;
}

static bool is_hex(const char *text, size_t n)
{
    return strspn(text, "0123456789abcdef") >= n;
}

/* `00-TRACE-PARENT-FLAGS`; of a later version more may follow. */
bool trace_context_read(struct trace_context *c, const char *text, bool *sampled)
{
    const size_t len = strlen(text);
    if (len < TRACEPARENT_MAX - 1 || !is_hex(text, 2) || text[2] != '-' || !is_id(text + 3, 32) ||
        text[35] != '-' || !is_id(text + 36, 16) || text[52] != '-' || !is_hex(text + 53, 2))
        return false;
    const bool is_first = memcmp(text, "00", 2) == 0;
    if (memcmp(text, "ff", 2) == 0 || (text[55] && (is_first || text[55] != '-')))
        return false;
    memcpy(c->trace, text + 3, 32);
    memcpy(c->parent, text + 36, 16);
    *sampled = strtoul((char[]){text[53], text[54], '\0'}, NULL, 16) & SAMPLED;
    return true;
}

static void set_id(char *out, size_t bytes)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char random[16];
    do {
        if (getrandom(random, bytes, 0) != (ssize_t)bytes)
            memset(random, 1, bytes);
        for (size_t i = 0; i < bytes; i++) {
            out[2 * i] = digits[random[i] >> 4];
            out[2 * i + 1] = digits[random[i] & 15];
        }
        out[2 * bytes] = '\0';
    } while (!is_id(out, 2 * bytes));
}

/* By the trace's last 56 bits, which its maker chose at random. */
static bool is_within(const struct trace_context *c, double ratio)
{
    const double share = (double)strtoull(c->trace + 18, NULL, 16) / 72057594037927936.0;
    return share < ratio;
}

static void begin_context(const struct tracing *t, struct trace_context *c, const char *parent)
{
    const struct otlp_settings *s = otlp_settings(t->otlp);
    bool sampled = false;
    if (!parent || !trace_context_read(c, parent, &sampled))
        set_id(c->trace, 16);
    set_id(c->span, 8);
    c->recorded = *c->parent && s->follows_parent ? sampled : is_within(c, s->ratio);
    snprintf(c->traceparent, sizeof c->traceparent, "00-%s-%s-0%d", c->trace, c->span,
             c->recorded ? SAMPLED : 0);
}

/* --- spans ---------------------------------------------------------------------------------------
 */

static json_t *attribute(const char *key, json_t *value)
{
    return json_pack("{s:s, s:o}", "key", key, "value", value);
}

static void add_text(json_t *attributes, const char *key, const char *value)
{
    if (value && *value)
        json_array_append_new(attributes, attribute(key, json_pack("{s:s}", "stringValue", value)));
}

static void add_number(json_t *attributes, const char *key, long long value)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", value); /* OTLP's JSON has 64-bit numbers as strings */
    json_array_append_new(attributes, attribute(key, json_pack("{s:s}", "intValue", text)));
}

static void add_bool(json_t *attributes, const char *key, bool value)
{
    json_array_append_new(attributes, attribute(key, json_pack("{s:b}", "boolValue", value)));
}

static json_t *unix_nanoseconds(double seconds)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)(seconds * 1e6) * 1000);
    return json_string(text);
}

struct span {
    const char *name;
    int kind;
    const char *id, *parent;
    double began, ended;
    json_t *attributes; /* released; NULL: none */
    json_t *status;     /* the same */
};

static void add_span(struct tracing *t, const struct trace_context *c, const struct span *span)
{
    struct buf text;
    json_t *json = json_pack("{s:s, s:s, s:s, s:i, s:o, s:o, s:i}", "traceId", c->trace, "spanId",
                             span->id, "name", span->name, "kind", span->kind, "startTimeUnixNano",
                             unix_nanoseconds(span->began), "endTimeUnixNano",
                             unix_nanoseconds(span->ended), "flags", SAMPLED);
    if (*span->parent)
        json_object_set_new(json, "parentSpanId", json_string(span->parent));
    if (span->attributes)
        json_object_set_new(json, "attributes", span->attributes);
    if (span->status)
        json_object_set_new(json, "status", span->status);
    buf_init(&text, SPAN_MAX);
    if (!encode_json(&text, json))
        otlp_add_span(t->otlp, text.data, text.len);
    buf_finish(&text);
    json_decref(json);
}

/* A part of the request, if it took any time. */
static void add_part(struct tracing *t, const struct trace_context *c, const char *name,
                     double began, double ended, json_t *attributes)
{
    char id[17];
    if (!(ended > began)) {
        json_decref(attributes);
        return;
    }
    set_id(id, 8);
    add_span(t, c,
             &(struct span){.name = name,
                            .kind = KIND_INTERNAL,
                            .id = id,
                            .parent = c->span,
                            .began = began,
                            .ended = ended,
                            .attributes = attributes});
}

/* --- a request -----------------------------------------------------------------------------------
 */

/* Unix time of a moment of the loop's clock, ms. */
static double unix_time(const struct request_record *r, uint64_t at)
{
    return r->at + ((double)at - (double)r->arrived) / 1e3;
}

static json_t *status_of(const struct request_record *r)
{
    if (r->end != REQUEST_BROKEN_OFF && r->status < 500)
        return NULL;
    return json_pack("{s:i, s:s}", "code", STATUS_ERROR, "message", r->error);
}

static const char *error_type(const struct request_record *r, char *space, size_t size)
{
    if (r->status < 400 && !*r->error)
        return NULL;
    snprintf(space, size, "%d", r->status);
    return *r->error ? r->error : space;
}

static void add_usage(json_t *list, const struct request_record *r)
{
    const struct engine_usage *said = &r->usage.said;
    if (!r->usage.known)
        return;
    if (said->prompt_tokens >= 0)
        add_number(list, "gen_ai.usage.input_tokens", said->prompt_tokens);
    add_number(list, "gen_ai.usage.output_tokens", said->tokens);
    if (said->cached_tokens >= 0)
        add_number(list, "gen_ai.usage.cache_read.input_tokens", said->cached_tokens);
}

static json_t *attributes_of(const struct request_record *r, enum operation operation)
{
    char space[16];
    json_t *list = json_array();
    add_text(list, "http.request.method", r->method);
    add_text(list, "http.route", r->route);
    if (r->status)
        add_number(list, "http.response.status_code", r->status);
    add_text(list, "client.address", r->caller.client);
    add_text(list, "user_agent.original", r->caller.agent);
    add_text(list, "error.type", error_type(r, space, sizeof space));
    if (operation != OPERATION_OTHER) {
        add_text(list, "gen_ai.operation.name", operation_name(operation));
        add_text(list, "gen_ai.provider.name", r->usage.kind ? r->usage.kind->name : NULL);
    }
    add_text(list, "gen_ai.request.model", r->model);
    if (r->granted)
        add_text(list, "gen_ai.response.model", r->model);
    add_usage(list, r);
    add_text(list, "hostler.key", r->caller.key);
    add_bool(list, "hostler.loaded", r->loaded);
    if (r->restored)
        add_number(list, "hostler.restored_tokens", (long long)r->restored);
    return list;
}

static void add_root(struct tracing *t, const struct request_record *r)
{
    const enum operation operation = operation_of(r->route);
    const char *what = operation == OPERATION_OTHER ? r->route : operation_name(operation);
    char *name = r->model ? mem_printf("%s %s", what, r->model) : mem_strdup(what);
    add_span(t, &r->trace,
             &(struct span){.name = name,
                            .kind = KIND_SERVER,
                            .id = r->trace.span,
                            .parent = r->trace.parent,
                            .began = r->at,
                            .ended = unix_time(r, r->ended),
                            .attributes = attributes_of(r, operation),
                            .status = status_of(r)});
    free(name);
}

static void add_parts(struct tracing *t, const struct request_record *r)
{
    const struct trace_context *c = &r->trace;
    const double ended = unix_time(r, r->ended);
    const double granted = r->granted ? unix_time(r, r->granted) : ended;
    const double sent = r->sent ? unix_time(r, r->sent) : granted;
    add_part(t, c, "queue", r->at, granted, NULL);
    if (c->load_began > 0) {
        json_t *list = json_array();
        add_text(list, "gen_ai.request.model", r->model);
        add_part(t, c, "load", c->load_began, c->load_ended, list);
    }
    add_part(t, c, "restore", granted, sent, NULL);
    if (!r->first_byte)
        return;
    add_part(t, c, r->streams ? "first token" : "answer", sent, unix_time(r, r->first_byte), NULL);
    add_part(t, c, "stream", unix_time(r, r->first_byte), ended, NULL);
}

static void on_begun(struct request_observer *o, struct request_record *r,
                     const struct http_exchange *x)
{
    const struct tracing *t = container_of(o, struct tracing, observer);
    if (!r->passive)
        begin_context(t, &r->trace, http_head_get(http_exchange_head(x), "traceparent"));
}

static void on_granted(struct request_observer *o, struct request_record *r)
{
    const struct host_request *place = r->place;
    (void)o;
    if (!place->loaded || !place->instance)
        return;
    r->trace.load_began = place->instance->loaded_at;
    r->trace.load_ended = unix_time(r, r->granted);
}

static void on_ended(struct request_observer *o, const struct request_record *r)
{
    struct tracing *t = container_of(o, struct tracing, observer);
    if (!r->trace.recorded)
        return;
    add_parts(t, r);
    add_root(t, r);
}

struct tracing *tracing_create(struct request_log *log, struct otlp *otlp)
{
    struct tracing *t = mem_zalloc(sizeof *t);
    t->log = log;
    t->otlp = otlp;
    t->observer =
        (struct request_observer){.begun = on_begun, .granted = on_granted, .ended = on_ended};
    request_log_observe(log, &t->observer);
    return t;
}

void tracing_destroy(struct tracing *t)
{
    if (!t)
        return;
    request_log_unobserve(t->log, &t->observer);
    free(t);
}
