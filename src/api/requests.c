/* SPDX-License-Identifier: MIT */
/* GET /hostler/v1/requests: those that go on, and the last that are over (api/request_log.h); and one of them, opened. */
#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/encode.h"
#include "api/query.h"
#include "api/reply.h"
#include "api/request_json.h"
#include "api/request_log.h"
#include "base/memory.h"
#include "http/target.h"

#define LIMIT 100 /* of an answer, unless more are asked for */

struct filter {
    char *model, *state;
    unsigned limit;
    bool lines; /* as JSON lines, for programs: all of them unless `limit` says otherwise */
};

static bool matches(const struct request_record *e, const struct filter *f)
{
    return (!f->model || request_is_of(e, f->model)) &&
           (!f->state || strcmp(f->state, request_json_state(e)) == 0);
}

static int read_format(struct http_exchange *x, bool *lines)
{
    char *format = target_query(http_exchange_target(x), "format");
    *lines = format && strcmp(format, "jsonl") == 0;
    bool valid = *lines || !format || !*format || strcmp(format, "json") == 0;
    free(format);
    if (!valid)
        reply_error(x, 400, "'format' must be json or jsonl");
    return valid ? 0 : -1;
}

static int read_filter(struct api *api, struct http_exchange *x, struct filter *f)
{
    const char *target = http_exchange_target(x);
    if (read_format(x, &f->lines))
        return -1;
    f->limit = f->lines ? UINT_MAX : LIMIT;
    if (query_count(x, "limit", &f->limit))
        return -1;
    f->state = target_query(target, "state");
    if (f->state && strcmp(f->state, "waiting") != 0 && strcmp(f->state, "running") != 0 &&
        strcmp(f->state, "done") != 0) {
        reply_error(x, 400, "'state' must be waiting, running or done");
        return -1;
    }
    f->model = target_query(target, "model");
    const struct model *m = f->model ? host_find(api->host, f->model) : NULL;
    if (m) /* an alias */
        mem_replace(&f->model, m->entry->id);
    return 0;
}

static json_t *list(struct api *api, const struct filter *f)
{
    const uint64_t now = uv_now(host_loop(api->host));
    const struct request_record *e = NULL;
    json_t *out = json_array();
    while (json_array_size(out) < f->limit && (e = request_log_next(api->requests, e)))
        if (matches(e, f))
            json_array_append_new(out, request_json(e, now));
    return out;
}

/* Releases `requests`. */
static void reply_lines(struct http_exchange *x, json_t *requests)
{
    struct buf out;
    json_t *one;
    size_t i;
    buf_init(&out, BUF_OWN);
    json_array_foreach (requests, i, one) {
        int rc = encode_json(&out, one);
        (void)rc; /* of hostler's own: it does not fail */
        buf_puts(&out, "\n");
    }
    json_decref(requests);
    http_exchange_begin(x, 200, (int64_t)out.len);
    http_exchange_field(x, "Content-Type", "application/jsonl");
    http_exchange_field(x, "Content-Disposition", "attachment; filename=\"requests.jsonl\"");
    http_exchange_head_end(x);
    http_exchange_write(x, out.data, out.len);
    http_exchange_end(x);
    buf_finish(&out);
}

/* O(requests): at most some thousand. */
void api_requests(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    struct filter f = {0};
    (void)caller;
    if (!read_filter(api, x, &f)) {
        if (f.lines)
            reply_lines(x, list(api, &f));
        else
            reply_json(x, 200, json_pack("{s:o}", "requests", list(api, &f)));
    }
    free(f.model);
    free(f.state);
}

/* --- GET /hostler/v1/requests/ID ----------------------------------------------------------------
 */

/* 0: it is none. */
static uint64_t id_in(const char *target)
{
    const size_t len = target_path_len(target);
    uint64_t id = 0;
    size_t at = len;
    while (at && target[at - 1] != '/')
        at--;
    if (at == len || len - at > 18)
        return 0;
    for (; at < len; at++) {
        if (!isdigit((unsigned char)target[at]))
            return 0;
        id = id * 10 + (uint64_t)(target[at] - '0');
    }
    return id;
}

/* What others wrote is for those who may administer. */
static json_t *whole(const struct api *api, const struct request_record *e,
                     const struct caller *caller)
{
    json_t *o = request_json_whole(e, uv_now(host_loop(api->host)));
    if (caller_may(caller, RIGHT_ADMIN, NULL))
        request_json_add_bodies(o, e);
    return o;
}

void api_request(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    const uint64_t id = id_in(http_exchange_target(x));
    const struct request_record *e = id ? request_log_find(api->requests, id) : NULL;
    if (e)
        reply_json(x, 200, whole(api, e, caller));
    else if (id)
        reply_error(x, 404, "request %llu is not in the list, or not any more: see %s",
                    (unsigned long long)id, "/hostler/v1/requests");
    else
        reply_error(x, 400, "a request's id is a number, as /hostler/v1/requests tells it");
}
