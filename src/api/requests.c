/* SPDX-License-Identifier: MIT */
#include "api/requests.h"

#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/names.h"
#include "api/reply.h"
#include "base/clock.h"
#include "base/memory.h"
#include "http/target.h"

#define ENDED_MAX 1000
#define LIMIT 100 /* of an answer, unless more are asked for */
#define RECENT_MS 10000

TAILQ_HEAD(records, request_record);

struct requests {
    uv_loop_t *loop;
    struct records running, ended; /* newest first */
    unsigned n_ended;
    uint64_t last_id;
};

struct requests *requests_create(uv_loop_t *loop)
{
    struct requests *r = mem_zalloc(sizeof *r);
    r->loop = loop;
    TAILQ_INIT(&r->running);
    TAILQ_INIT(&r->ended);
    return r;
}

static void destroy_all(struct records *records)
{
    struct request_record *e;
    while ((e = TAILQ_FIRST(records))) { // NOLINT(clang-analyzer-unix.Malloc): it is taken out
        TAILQ_REMOVE(records, e, link);
        free(e->model);
        free(e);
    }
}

void requests_destroy(struct requests *r)
{
    destroy_all(&r->running);
    destroy_all(&r->ended);
    free(r);
}

/* --- a record's life ----------------------------------------------------------------------------
 */

static struct request_record *take_oldest(struct requests *r)
{
    struct request_record *e = TAILQ_LAST(&r->ended, records);
    TAILQ_REMOVE(&r->ended, e, link);
    r->n_ended--;
    free(e->model);
    return e;
}

/* The oldest is used again where there are many: a busy server asks for no memory here. */
static struct request_record *new_record(struct requests *r)
{
    if (r->n_ended < ENDED_MAX)
        return mem_zalloc(sizeof(struct request_record));
    return memset(take_oldest(r), 0, sizeof(struct request_record));
}

struct request_record *requests_begin(struct requests *r, const struct caller *caller,
                                      const struct host_request *place)
{
    struct request_record *e = new_record(r);
    e->id = ++r->last_id;
    e->at = clock_unix();
    e->arrived = uv_now(r->loop);
    e->place = place;
    e->caller = *caller;
    TAILQ_INSERT_HEAD(&r->running, e, link);
    return e;
}

void requests_grant(struct requests *r, struct request_record *e)
{
    e->granted = uv_now(r->loop);
}

void requests_end(struct requests *r, struct request_record *e, bool forget)
{
    TAILQ_REMOVE(&r->running, e, link);
    if (forget) {
        free(e->model);
        free(e);
        return;
    }
    e->place = NULL;
    e->ended = uv_now(r->loop);
    usage_end(&e->usage);
    TAILQ_INSERT_HEAD(&r->ended, e, link);
    if (++r->n_ended > ENDED_MAX)
        free(take_oldest(r));
}

/* --- figures ------------------------------------------------------------------------------------
 */

static bool is_of(const struct request_record *e, const char *model)
{
    return e->model && strcmp(e->model, model) == 0;
}

double requests_rate(const struct requests *r, const char *model)
{
    const struct request_record *e;
    uint64_t now = uv_now(r->loop);
    double rate = 0;
    TAILQ_FOREACH (e, &r->running, link)
        if (is_of(e, model) && e->granted && now > e->granted && e->usage.pieces > 1)
            rate += e->usage.pieces * 1000.0 / (double)(now - e->granted);
    TAILQ_FOREACH (e, &r->ended, link) {
        if (now - e->ended > RECENT_MS)
            break;
        if (is_of(e, model) && e->usage.known)
            rate += (double)e->usage.tokens * 1000.0 / RECENT_MS;
    }
    return rate;
}

/* --- GET /hostler/v1/requests -------------------------------------------------------------------
 */

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
    bool counts = !e->ended && u->pieces > 1;
    json_object_set_new(o, "prompt_tokens",
                        u->known && u->prompt_tokens >= 0 ? json_integer(u->prompt_tokens)
                                                          : json_null());
    json_object_set_new(o, "tokens",
                        u->known ? json_integer(u->tokens)
                        : counts ? json_integer(u->pieces)
                                 : json_null());
    json_object_set_new(o, "tokens_per_second",
                        u->known && u->tokens_per_second > 0 ? json_real(u->tokens_per_second)
                                                             : json_null());
}

static json_t *record_json(const struct requests *r, const struct request_record *e)
{
    json_t *o = json_object();
    uint64_t end = e->ended ? e->ended : uv_now(r->loop);
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
    add_tokens(o, e);
    return o;
}

struct filter {
    char *model, *state;
    unsigned limit;
};

static void add_matching(json_t *out, const struct requests *r, const struct records *records,
                         const struct filter *f)
{
    const struct request_record *e;
    TAILQ_FOREACH (e, records, link) {
        if (json_array_size(out) >= f->limit)
            return;
        if ((!f->model || is_of(e, f->model)) && (!f->state || strcmp(f->state, state_of(e)) == 0))
            json_array_append_new(out, record_json(r, e));
    }
}

static int read_filter(struct api *api, struct http_exchange *x, struct filter *f)
{
    const char *target = http_exchange_target(x);
    f->limit = LIMIT;
    if (names_count(x, "limit", &f->limit))
        return -1;
    f->state = target_query(target, "state");
    if (f->state && strcmp(f->state, "waiting") != 0 && strcmp(f->state, "running") != 0 &&
        strcmp(f->state, "done") != 0) {
        reply_error(x, 400, "'state' must be waiting, running or done");
        return -1;
    }
    f->model = target_query(target, "model");
    const struct model *h = f->model ? host_find(api->host, f->model) : NULL;
    if (h) /* an alias */
        mem_replace(&f->model, h->entry->id);
    return 0;
}

void api_requests(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    const struct requests *r = api->requests;
    struct filter f = {0};
    (void)caller;
    if (!read_filter(api, x, &f)) {
        json_t *out = json_array();
        add_matching(out, r, &r->running, &f);
        add_matching(out, r, &r->ended, &f);
        reply_json(x, 200, json_pack("{s:o}", "requests", out));
    }
    free(f.model);
    free(f.state);
}
