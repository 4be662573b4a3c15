/* SPDX-License-Identifier: MIT */
#include "api/access_line.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "api/encode.h"
#include "api/reply.h"

/* --- JSON ----------------------------------------------------------------------------------------
 */

static json_t *text_or_null(const char *text)
{
    return reply_string_or_null(text && *text ? text : NULL);
}

static const char *end_name(enum request_end end)
{
    switch (end) {
    case REQUEST_GOES_ON:
    case REQUEST_ANSWERED:
        return "answered";
    case REQUEST_REFUSED:
        return "refused";
    case REQUEST_CLIENT_GONE:
        return "client_gone";
    case REQUEST_BROKEN_OFF:
        return "broken_off";
    }
    return "answered";
}

static json_t *ms_or_null(uint64_t from, uint64_t until)
{
    return from && until >= from ? json_integer((json_int_t)(until - from)) : json_null();
}

static json_t *tokens_or_null(const struct usage *u, long long n)
{
    return u->known && n >= 0 ? json_integer(n) : json_null();
}

static void add_record(json_t *o, const struct request_record *e)
{
    const struct usage *u = &e->usage;
    json_object_set_new(o, "id", json_integer((json_int_t)e->id));
    json_object_set_new(o, "model", text_or_null(e->model));
    json_object_set_new(o, "api", text_or_null(e->dialect));
    json_object_set_new(o, "end", json_string(end_name(e->end)));
    json_object_set_new(o, "error", text_or_null(*e->error ? e->error : e->refusal));
    json_object_set_new(o, "queue_ms", ms_or_null(e->granted ? e->arrived : 0, e->granted));
    json_object_set_new(o, "first_byte_ms",
                        ms_or_null(e->first_byte ? e->arrived : 0, e->first_byte));
    json_object_set_new(o, "loaded", json_boolean(e->loaded));
    json_object_set_new(o, "prompt_tokens", tokens_or_null(u, u->said.prompt_tokens));
    json_object_set_new(o, "cached_tokens", tokens_or_null(u, u->said.cached_tokens));
    json_object_set_new(o, "tokens", tokens_or_null(u, u->said.tokens));
}

static json_t *time_of(double at)
{
    char text[40];
    time_t seconds = (time_t)at;
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + n, sizeof text - n, ".%03dZ", (int)((at - (double)seconds) * 1000));
    return json_string(text);
}

static int write_json(struct buf *out, const struct access_line *line)
{
    const struct caller_text *c = line->caller;
    const char *path = strchr(c->request, ' ');
    json_t *o = json_object();
    json_object_set_new(o, "time", time_of(line->at));
    json_object_set_new(o, "client", text_or_null(c->client));
    json_object_set_new(o, "key", text_or_null(c->key));
    json_object_set_new(o, "method",
                        path ? json_stringn(c->request, (size_t)(path - c->request)) : json_null());
    json_object_set_new(o, "path", text_or_null(path ? path + 1 : NULL));
    json_object_set_new(o, "route", text_or_null(line->route));
    json_object_set_new(o, "status",
                        line->figures.status ? json_integer(line->figures.status) : json_null());
    json_object_set_new(o, "bytes_in", json_integer((json_int_t)line->figures.body_in));
    json_object_set_new(o, "bytes_out", json_integer((json_int_t)line->figures.body_out));
    json_object_set_new(o, "duration_ms", json_integer((json_int_t)line->took_ms));
    json_object_set_new(o, "user_agent", text_or_null(c->agent));
    if (line->record)
        add_record(o, line->record);
    int rc = encode_json(out, o);
    json_decref(o);
    return rc ? rc : buf_append(out, "\n", 1);
}

/* --- the combined format -------------------------------------------------------------------------
 */

#define GONE 499 /* what nginx says where the client left before its answer */

/* In quotes; what would end them is escaped as Apache's httpd does. */
static int put_quoted(struct buf *out, const char *text)
{
    int rc = buf_append(out, "\"", 1);
    for (const char *p = *text ? text : "-"; *p && !rc; p++) {
        if (*p == '"' || *p == '\\')
            rc = buf_append(out, "\\", 1);
        if (!rc)
            rc = buf_append(out, p, 1);
    }
    return rc ? rc : buf_append(out, "\"", 1);
}

/* The address alone, without port and proxy; blanks in a key's name would add columns. */
static int put_who(struct buf *out, const struct caller_text *c)
{
    size_t len = strcspn(c->client, " ");
    const char *colon = memrchr(c->client, ':', len);
    if (colon && (*c->client != '[' || colon[-1] == ']') && !memchr(c->client, ' ', len) &&
        (*c->client == '[' || memchr(c->client, ':', len) == colon))
        len = (size_t)(colon - c->client);
    int rc = buf_printf(out, "%.*s - ", len ? (int)len : 1, len ? c->client : "-");
    for (const char *p = *c->key ? c->key : "-"; *p && !rc; p++)
        rc = buf_append(out, *p == ' ' ? "_" : p, 1);
    return rc;
}

static int write_combined(struct buf *out, const struct access_line *line)
{
    /* strftime() would use the names of the process's locale. */
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const struct caller_text *c = line->caller;
    time_t seconds = (time_t)line->at;
    struct tm tm;
    char request[96];
    gmtime_r(&seconds, &tm);
    snprintf(request, sizeof request, "%s%s", c->request, *c->request ? " HTTP/1.1" : "");
    int rc = put_who(out, c);
    if (!rc)
        rc = buf_printf(out, " [%02d/%.3s/%04d:%02d:%02d:%02d +0000] ", tm.tm_mday,
                        &months[3L * tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                        tm.tm_sec);
    if (!rc)
        rc = put_quoted(out, request);
    if (!rc)
        rc = buf_printf(out, " %d %llu \"-\" ", line->figures.status ? line->figures.status : GONE,
                        (unsigned long long)line->figures.body_out);
    if (!rc)
        rc = put_quoted(out, c->agent);
    return rc ? rc : buf_append(out, "\n", 1);
}

int access_line_write(struct buf *out, const struct access_line *line,
                      enum access_log_format format)
{
    switch (format) {
    case ACCESS_LOG_JSON:
        return write_json(out, line);
    case ACCESS_LOG_COMBINED:
        return write_combined(out, line);
    }
    return 0;
}
