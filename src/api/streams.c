/* SPDX-License-Identifier: MIT */
/* Resumable streams (api/sessions.h): reading one again, stopping it, and which there are. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/body.h"
#include "api/encode.h"
#include "api/reply.h"
#include "api/sessions.h"
#include "base/json_text.h"
#include "base/memory.h"
#include "http/fetch.h"
#include "http/target.h"

#define LOOKUP_MAX 4096 /* ids in one request: each engine is asked for them */
#define ANSWER_MS 1000  /* for an engine to answer about its sessions */
#define ANSWER_MAX ((size_t)1024 * 1024)

/* The model whose engine has the session; NULL when nobody can tell. */
static struct model *owner(struct api *api, const char *id)
{
    const char *model = sessions_model(api->sessions, id);
    if (model)
        return host_find(api->host, model);
    if (sessions_is_stopped(api->sessions, id))
        return NULL;
    for (const char *p = id; (p = strstr(p, "::")); p += 2)
        model = p + 2;
    return model ? host_find(api->host, model) : NULL;
}

/* --- one session --------------------------------------------------------------------------------
 */

/* The caller frees; NULL after answering 400. */
static char *id_of(struct http_exchange *x)
{
    char *id = target_query(http_exchange_target(x), "conv_id");
    if (id && *id)
        return id;
    free(id);
    reply_error(x, 400, "Missing conversation id: give it in the query as conv_id");
    return NULL;
}

void api_stream_get(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    char *id = id_of(x);
    struct model *m = id ? owner(api, id) : NULL;
    if (!id)
        return;
    if (m && model_state(m) == SCHED_READY)
        api_inference_of(api, x, caller, m, id);
    else if (m && model_is_draining(m))
        reply_error(x, 503, "Stream owner model is about to be unloaded");
    else if (m && (model_state(m) == SCHED_LOADING || model_waits(m)))
        reply_error(x, 503, "Stream owner model is loading, retry later");
    else
        reply_error(x, 404, "Stream not found or expired");
    free(id);
}

/* What was asked of an engine is done there, even if the client, who may close its page with it, does
 * not wait for the answer. */
struct deletion {
    struct http_exchange *x; /* NULL when the client is gone */
};

static void reply_deleted(struct http_exchange *x)
{
    http_exchange_reply(x, 204, NULL, "", 0, NULL);
}

/* Whatever the engine says: what it does not have is stopped, too. */
static void on_deleted(int status, const char *body, size_t len, void *ctx)
{
    struct deletion *d = ctx;
    struct http_exchange *x = d->x;
    (void)status;
    (void)body;
    (void)len;
    free(d);
    if (x)
        reply_deleted(x);
}

static void on_deleter_gone(struct http_exchange *x, void *ctx)
{
    struct deletion *d = ctx;
    (void)x;
    d->x = NULL;
}

static void delete_at(struct api *api, struct http_exchange *x, struct model *m, const char *id)
{
    static const struct http_exchange_events events = {.gone = on_deleter_gone};
    struct deletion *d = mem_zalloc(sizeof *d);
    char *escaped = target_encode(id);
    char *target = mem_printf("/v1/stream?conv_id=%s", escaped);
    d->x = x;
    http_exchange_take(x, &events, d);
    http_fetch(
        host_loop(api->host), model_client(m),
        &(struct http_fetch_request){
            .method = "DELETE", .target = target, .max = ANSWER_MAX, .timeout_ms = ANSWER_MS},
        on_deleted, d);
    free(target);
    free(escaped);
}

void api_stream_delete(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    char *id = id_of(x);
    (void)caller;
    if (!id)
        return;
    struct model *m = owner(api, id);
    sessions_stop(api->sessions, id);
    if (m && model_client(m))
        delete_at(api, x, m, id);
    else
        reply_deleted(x);
    free(id);
}

/* --- many: who of these is there? ---------------------------------------------------------------
 */

struct lookup {
    struct http_exchange *x;
    struct http_fetch **fetches; /* NULL: answered */
    size_t n, open;
    bool lacks_memory; /* the answer would be incomplete */
    json_t *found;
};

/* What one engine was asked. */
struct question {
    struct lookup *lookup;
    size_t index;
};

static void lookup_free(struct lookup *l)
{
    json_decref(l->found);
    free(l->fetches);
    free(l);
}

static void finish_lookup(struct lookup *l)
{
    struct http_exchange *x = l->x;
    json_t *found = l->lacks_memory ? NULL : json_incref(l->found);
    lookup_free(l);
    if (found)
        reply_json(x, 200, found);
    else
        reply_no_memory(x);
}

/* Each once: who asks for `ID` and for `ID::MODEL` is told twice of the latter. */
static void add_found(struct lookup *l, json_t *entries)
{
    size_t i, k;
    json_t *entry, *other;
    json_array_foreach (entries, i, entry) {
        bool known = false;
        json_array_foreach (l->found, k, other)
            known |= json_equal(json_object_get(entry, "conversation_id"),
                                json_object_get(other, "conversation_id"));
        if (!known)
            json_array_append(l->found, entry);
    }
}

static void on_answered(int status, const char *body, size_t len, void *ctx)
{
    struct question *q = ctx;
    struct lookup *l = q->lookup;
    json_t *entries = NULL;
    if (status == 200 && json_text_parse(&entries, body, len, 32 * len + 4096, NULL))
        entries = NULL; /* no JSON, or no memory: what the others say counts */
    l->fetches[q->index] = NULL;
    free(q);
    json_text_begin();
    if (json_is_array(entries))
        add_found(l, entries);
    l->lacks_memory |= json_text_was_incomplete();
    json_decref(entries);
    if (--l->open == 0)
        finish_lookup(l);
}

static void on_asker_gone(struct http_exchange *x, void *ctx)
{
    struct lookup *l = ctx;
    (void)x;
    for (size_t i = 0; i < l->n; i++)
        if (l->fetches[i])
            free(http_fetch_cancel(l->fetches[i]));
    lookup_free(l);
}

/* Those of `ids` that `m` may have: its own, and those of which nobody knows whose they are. */
static json_t *ids_for(struct api *api, json_t *ids, const struct model *m)
{
    size_t i;
    json_t *id, *some = json_array();
    json_array_foreach (ids, i, id) {
        const char *text = json_string_value(id);
        const struct model *has = text && *text ? owner(api, text) : NULL;
        if (text && *text && (!has || has == m))
            json_array_append(some, id);
    }
    return some;
}

static void ask(struct api *api, struct lookup *l, struct model *m, json_t *ids)
{
    json_text_begin();
    json_t *some = ids_for(api, ids, m);
    if (json_array_size(some)) {
        json_t *body = json_pack("{s:O}", "conversation_ids", some);
        struct buf text;
        buf_init(&text, BUF_UNBOUNDED);
        l->lacks_memory |=
            json_text_was_incomplete() || encode_json(&text, body) || !buf_cstr(&text);
        struct question *q = mem_zalloc(sizeof *q);
        *q = (struct question){.lookup = l, .index = l->n++};
        l->fetches = mem_realloc(l->fetches, l->n * sizeof(struct http_fetch *));
        l->open++;
        l->fetches[q->index] =
            http_fetch(host_loop(api->host), model_client(m),
                       &(struct http_fetch_request){.method = "POST",
                                                    .target = "/v1/streams/lookup",
                                                    .body = buf_cstr(&text),
                                                    .max = ANSWER_MAX,
                                                    .timeout_ms = ANSWER_MS},
                       on_answered, q);
        buf_finish(&text);
        json_decref(body);
    }
    json_decref(some);
}

static void look_up(struct api *api, struct http_exchange *x, const struct caller *caller,
                    json_t *body)
{
    static const struct http_exchange_events events = {.gone = on_asker_gone};
    json_t *ids = json_object_get(body, "conversation_ids");
    struct model *m;
    if (json_array_size(ids) > LOOKUP_MAX) {
        reply_error(x, 400, "'conversation_ids' must have at most %d ids", LOOKUP_MAX);
        return;
    }
    struct lookup *l = mem_zalloc(sizeof *l);
    l->x = x;
    l->found = json_array();
    (void)caller;
    http_exchange_take(x, &events, l);
    for (size_t i = 0; json_is_array(ids) && (m = host_at(api->host, i)); i++)
        if (model_client(m))
            ask(api, l, m, ids);
    if (!l->open)
        finish_lookup(l);
}

void api_streams_lookup(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    body_read_json(api, x, caller, look_up);
}
