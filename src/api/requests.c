/* SPDX-License-Identifier: MIT */
/* GET /hostler/v1/requests: those that go on, and the last that are over (api/request_log.h). */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/query.h"
#include "api/reply.h"
#include "api/request_log.h"
#include "base/memory.h"
#include "http/target.h"

#define LIMIT 100 /* of an answer, unless more are asked for */

static const char *state_of(const struct request_record *e)
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

static json_t *record_json(const struct request_record *e, uint64_t now)
{
    json_t *o = json_object();
    uint64_t end = e->ended ? e->ended : now;
    bool waits = !e->ended && !e->granted && e->place->sched.state == SCHED_REQUEST_WAITING;
    json_object_set_new(o, "id", json_integer((json_int_t)e->id));
    json_object_set_new(o, "at", json_real(e->at));
    json_object_set_new(o, "model", reply_string_or_null(e->model));
    json_object_set_new(o, "request", reply_string(e->caller.request));
    json_object_set_new(o, "state", json_string(state_of(e)));
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

struct filter {
    char *model, *state;
    unsigned limit;
};

static bool matches(const struct request_record *e, const struct filter *f)
{
    return (!f->model || request_is_of(e, f->model)) &&
           (!f->state || strcmp(f->state, state_of(e)) == 0);
}

static int read_filter(struct api *api, struct http_exchange *x, struct filter *f)
{
    const char *target = http_exchange_target(x);
    f->limit = LIMIT;
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

/* O(requests): at most some thousand. */
void api_requests(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    const uint64_t now = uv_now(host_loop(api->host));
    const struct request_record *e = NULL;
    struct filter f = {0};
    (void)caller;
    if (!read_filter(api, x, &f)) {
        json_t *out = json_array();
        while (json_array_size(out) < f.limit && (e = request_log_next(api->requests, e)))
            if (matches(e, &f))
                json_array_append_new(out, record_json(e, now));
        reply_json(x, 200, json_pack("{s:o}", "requests", out));
    }
    free(f.model);
    free(f.state);
}
