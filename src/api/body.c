/* SPDX-License-Identifier: MIT */
#include "api/body.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/reply.h"
#include "base/duration.h"
#include "base/json_text.h"
#include "base/memory.h"
#include "base/nearest.h"

#define BODY_MAX ((size_t)1024 * 1024)
#define PARSED_AT_ONCE_MAX ((size_t)16 * 1024) /* bytes; a larger body is parsed in the pool */
/* Bytes of memory that a parsed body may take for each of its own: an array of numbers takes 16, of short names
 * 20; only one of empty objects would take more, which no route has a use for. */
#define TREE_PER_BYTE 32

struct reader {
    struct api *api;
    struct http_exchange *x; /* while the pool parses; NULL: the client is gone */
    struct caller caller;
    body_handler *handler;
    struct buf data;
    struct body_share share;
    uv_work_t work;
    json_t *body; /* NULL: there is none, for the reason `rc` (json_text_parse()) and `why` */
    int rc;
    json_error_t why;
};

static void reader_free(struct reader *r)
{
    buf_finish(&r->data);
    body_share_release(&r->share);
    free(r);
}

static void refuse_for_memory(struct http_exchange *x, const char *message)
{
    json_t *error = reply_error_object(503, message);
    json_object_set_new(error, "state", json_string("overloaded"));
    reply_error_json(x, 503, error, "Retry-After: 2\r\n");
}

/* `error`: a negative errno. */
static void refuse(struct http_exchange *x, int error)
{
    if (error == -ENOBUFS)
        reply_error(x, 413, "the request's body is too large: at most 1 MiB here");
    else if (error == -ENOSPC)
        refuse_for_memory(x, "the memory for requests' bodies is used up (--max-body-memory): try "
                             "again later");
    else
        refuse_for_memory(x, "out of memory for the request's body: try again later");
}

static void on_body(struct http_exchange *x, const char *data, size_t len, void *ctx)
{
    struct reader *r = ctx;
    int rc = body_share_grow(&r->share, r->data.len + len);
    if (!rc)
        rc = buf_append(&r->data, data, len);
    if (!rc)
        return;
    reader_free(r);
    refuse(x, rc);
}

static void parse(struct reader *r)
{
    struct buf *text = &r->data;
    size_t max = PARSED_AT_ONCE_MAX + text->len * TREE_PER_BYTE;
    if (text->len)
        r->rc = json_text_parse(&r->body, text->data, text->len, max, &r->why);
    else
        r->body = json_object();
}

static void answer(struct reader *r, struct http_exchange *x)
{
    if (json_is_object(r->body))
        r->handler(r->api, x, &r->caller, r->body);
    else if (r->body)
        reply_error(x, 400, "the request's body is no JSON object");
    else if (r->rc != -EINVAL)
        refuse(x, r->rc);
    else if (body_is_coded(x))
        reply_error_fields(x, 415, BODY_CODED, "Accept-Encoding: identity\r\n");
    else
        reply_error(x, 400, "the request's body is no JSON: line %d, column %d: %s", r->why.line,
                    r->why.column, r->why.text);
}

/* --- a large body: 1 MiB of numbers takes 30 ms to parse and to release, which is the pool's work */

static void parse_in_pool(uv_work_t *work)
{
    parse(work->data);
}

static void release_in_pool(uv_work_t *work)
{
    struct reader *r = work->data;
    json_decref(r->body);
}

static void on_released(uv_work_t *work, int status)
{
    struct reader *r = work->data;
    struct host *host = r->api->host;
    (void)status;
    reader_free(r);
    host_operation_end(host);
}

static void on_parsed(uv_work_t *work, int status)
{
    struct reader *r = work->data;
    (void)status;
    if (r->x)
        answer(r, r->x);
    uv_queue_work(host_loop(r->api->host), &r->work, release_in_pool, on_released);
}

static void on_gone_while_parsing(struct http_exchange *x, void *ctx)
{
    struct reader *r = ctx;
    (void)x;
    r->x = NULL;
}

static void begin_parsing(struct reader *r, struct http_exchange *x)
{
    static const struct http_exchange_events events = {.gone = on_gone_while_parsing};
    r->x = x;
    r->work.data = r;
    http_exchange_take(x, &events, r);
    host_operation_begin(r->api->host);
    uv_queue_work(host_loop(r->api->host), &r->work, parse_in_pool, on_parsed);
}

/* --- any body */

static void on_end(struct http_exchange *x, void *ctx)
{
    struct reader *r = ctx;
    if (r->data.len > PARSED_AT_ONCE_MAX) {
        int rc = body_share_grow(&r->share, r->data.len * TREE_PER_BYTE);
        if (!rc) {
            begin_parsing(r, x);
            return;
        }
        reader_free(r);
        refuse(x, rc);
        return;
    }
    parse(r);
    answer(r, x);
    json_decref(r->body);
    reader_free(r);
}

static void on_gone(struct http_exchange *x, void *ctx)
{
    (void)x;
    reader_free(ctx);
}

void body_read_json(struct api *api, struct http_exchange *x, const struct caller *caller,
                    body_handler *handler)
{
    static const struct http_exchange_events events = {
        .body = on_body, .body_end = on_end, .gone = on_gone};
    struct reader *r = mem_try_zalloc(sizeof *r);
    if (!r) {
        reply_no_memory(x);
        return;
    }
    r->api = api;
    r->caller = *caller;
    r->handler = handler;
    r->share.budget = &api->bodies;
    buf_init(&r->data, BODY_MAX);
    http_exchange_take(x, &events, r);
}

bool body_is_coded(const struct http_exchange *x)
{
    const char *coding = http_head_get(http_exchange_head(x), "content-encoding");
    return coding && *coding && strcasecmp(coding, "identity") != 0;
}

int body_get_bool(struct http_exchange *x, json_t *body, const char *name, bool *value)
{
    json_t *v = json_object_get(body, name);
    if (v && !json_is_boolean(v) && !json_is_null(v)) {
        reply_error(x, 400, "'%s' must be true or false", name);
        return -1;
    }
    *value = json_is_true(v);
    return 0;
}

int body_check_members(struct http_exchange *x, json_t *body, const char *const *known)
{
    const char *name;
    json_t *value;
    json_object_foreach (body, name, value) {
        struct nearest near;
        bool found = false;
        nearest_init(&near, name);
        for (const char *const *k = known; *k; k++) {
            found |= strcmp(*k, name) == 0;
            nearest_consider(&near, *k);
        }
        if (found)
            continue;
        reply_error(x, 400, "unknown member '%.64s'%s%s%s", name,
                    near.best ? "; did you mean '" : "", near.best ? near.best : "",
                    near.best ? "'?" : "");
        return -1;
    }
    return 0;
}

int body_get_time(struct http_exchange *x, json_t *body, const char *name, uint64_t *ms)
{
    json_t *v = json_object_get(body, name);
    if (!v || json_is_null(v))
        return 0;
    if (json_is_string(v) && duration_parse(json_string_value(v), ms) == 0)
        return 1;
    double seconds = json_number_value(v);
    if (json_is_number(v) && seconds >= 0 && seconds < 1e9) {
        *ms = (uint64_t)(seconds * 1000 + 0.5);
        return 1;
    }
    reply_error(x, 400, "'%s' must be a number of seconds, or a time like \"5m\"", name);
    return -1;
}

int body_get_text(struct http_exchange *x, json_t *body, const char *name, const char **text)
{
    json_t *v = json_object_get(body, name);
    *text = json_string_value(v);
    if (!v || json_is_null(v) || (json_is_string(v) && json_string_length(v) <= BODY_TEXT_MAX))
        return 0;
    reply_error(x, 400, "'%s' must be a text of at most %d bytes", name, BODY_TEXT_MAX);
    return -1;
}
