/* SPDX-License-Identifier: MIT */
/* GET and DELETE /hostler/v1/cache: the prompts that are saved, and how they are removed. */
#include "api/prompt_cache.h"

#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/encode.h"
#include "api/lookup.h"
#include "api/reply.h"
#include "api/slices.h"
#include "base/buf.h"
#include "base/memory.h"
#include "http/target.h"
#include "server/prompt_store.h"

static struct prompt_store *store_of(const struct host *host)
{
    return prompts_store(host_prompts(host));
}

/* --- the store as a whole -----------------------------------------------------------------------
 */

static json_t *status_of_store(const struct prompt_store *store)
{
    const struct prompt_store_status s = prompt_store_status(store);
    return json_pack("{s:s, s:n, s:o, s:I, s:I, s:I, s:I, s:f, s:o, s:I, s:I}", "state",
                     s.loading ? "loading" : "on", "why", "dir", reply_string(s.dir), "files",
                     (json_int_t)s.files, "bytes", (json_int_t)s.bytes, "max_bytes",
                     (json_int_t)s.max_bytes, "hits", (json_int_t)s.hits, "saved_ms", s.saved_ms,
                     "error", reply_string_or_null(s.error ? strerror(-s.error) : NULL), "failed",
                     (json_int_t)s.failed, "broken", (json_int_t)s.broken);
}

json_t *prompt_cache_status(const struct host *host)
{
    const char *problem = prompts_problem(host_prompts(host));
    if (store_of(host))
        return status_of_store(store_of(host));
    return json_pack("{s:s, s:o, s:n, s:i, s:i, s:i, s:i, s:f, s:n, s:i, s:i}", "state",
                     problem ? "failed" : "off", "why",
                     reply_string(problem ? problem : "--prompt-cache is off"), "dir", "files", 0,
                     "bytes", 0, "max_bytes", 0, "hits", 0, "saved_ms", 0.0, "error", "failed", 0,
                     "broken", 0);
}

/* --- of a model ---------------------------------------------------------------------------------
 */

struct sum {
    uint64_t files, tokens, bytes, hits;
    double saved_ms;
};

static struct sum sum_up(const struct host *host, const char *model)
{
    const struct prompt_store *store = store_of(host);
    const struct prompt_file *f;
    struct sum sum = {0};
    for (size_t i = 0; store && (f = prompt_store_at(store, i)); i++) {
        if (model && strcmp(f->model, model) != 0)
            continue;
        sum.files++;
        sum.tokens += f->tokens;
        sum.bytes += f->bytes;
        sum.hits += f->hits;
        sum.saved_ms += f->saved_ms;
    }
    return sum;
}

struct forgotten prompt_cache_count(const struct host *host,
                                    bool (*keeps)(const char *model, void *ctx), void *ctx)
{
    const struct prompt_store *store = store_of(host);
    const struct prompt_file *f;
    struct forgotten sum = {0};
    for (size_t i = 0; store && (f = prompt_store_at(store, i)); i++) {
        if (keeps(f->model, ctx))
            continue;
        sum.files++;
        sum.bytes += f->bytes;
    }
    return sum;
}

static json_t *figure(double value)
{
    return value > 0 ? json_real(value) : json_null();
}

json_t *prompt_cache_of_model(struct model *m)
{
    const struct sum sum = sum_up(m->host, m->entry->id);
    const struct prompt_costs *costs = &m->learned.prompts;
    json_t *o =
        json_pack("{s:o, s:I, s:I, s:I, s:I, s:f}", "off",
                  reply_string_or_null(prompts_off(m, model_engine(m) ? model_instance(m) : NULL)),
                  "files", (json_int_t)sum.files, "tokens", (json_int_t)sum.tokens, "bytes",
                  (json_int_t)sum.bytes, "hits", (json_int_t)sum.hits, "saved_ms", sum.saved_ms);
    json_object_set_new(o, "compute_token_ms", figure(costs->token));
    json_object_set_new(o, "save_token_ms", figure(costs->save));
    json_object_set_new(o, "restore_token_ms", figure(costs->restore));
    json_object_set_new(o, "token_bytes", figure(costs->bytes));
    return o;
}

json_t *prompt_cache_saved(const struct prompts_saved *saved)
{
    if (!saved->conversations)
        return NULL;
    return json_pack("{s:i, s:I, s:I}", "conversations", (int)saved->conversations, "tokens",
                     (json_int_t)saved->tokens, "bytes", (json_int_t)saved->bytes);
}

json_t *prompt_cache_forgotten(uint64_t files, uint64_t bytes)
{
    return json_pack("{s:I, s:I}", "files", (json_int_t)files, "bytes", (json_int_t)bytes);
}

/* --- the list -----------------------------------------------------------------------------------
 */

/* The files as they were at the beginning: some may go while the list is written. */
struct list {
    struct api *api;
    uint64_t *number;
    size_t n, next;
};

static json_t *file_json(const struct prompt_file *f)
{
    json_t *o = json_object();
    json_object_set_new(o, "number", json_integer((json_int_t)f->number));
    json_object_set_new(o, "model", reply_string(f->model));
    json_object_set_new(o, "tokens", json_integer((json_int_t)f->tokens));
    json_object_set_new(o, "bytes", json_integer((json_int_t)f->bytes));
    json_object_set_new(o, "created", json_real(f->created));
    json_object_set_new(o, "used", json_real(f->used));
    json_object_set_new(o, "hits", json_integer((json_int_t)f->hits));
    json_object_set_new(o, "saved_ms", json_real(f->saved_ms));
    json_object_set_new(o, "token_ms", json_real(f->token_ms));
    return o;
}

static bool next_file(void *ctx, json_t **element)
{
    struct list *l = ctx;
    if (l->next == l->n)
        return false;
    const struct prompt_store *store = store_of(l->api->host);
    const struct prompt_file *f = prompt_store_get(store, l->number[l->next++]);
    *element = f ? file_json(f) : NULL;
    return true;
}

static int end_list(void *ctx, struct buf *out, bool first)
{
    (void)ctx;
    (void)first;
    return buf_puts(out, "]}");
}

static void finish_list(void *ctx)
{
    struct list *l = ctx;
    free(l->number);
    free(l);
}

/* `model` NULL: all. */
static struct list *create_list(struct api *api, const char *model)
{
    const struct prompt_store *store = store_of(api->host);
    const struct prompt_file *f;
    struct list *l = mem_zalloc(sizeof *l);
    size_t all = store ? prompt_store_status(store).files : 0;
    l->api = api;
    l->number = mem_zalloc((all + 1) * sizeof *l->number);
    for (size_t i = 0; i < all && (f = prompt_store_at(store, i)); i++)
        if (!model || strcmp(f->model, model) == 0)
            l->number[l->n++] = f->number;
    return l;
}

static int write_head(struct buf *head, const struct host *host)
{
    json_t *o = prompt_cache_status(host);
    int rc = encode_json(head, o);
    json_decref(o);
    if (rc)
        return rc;
    head->len--; /* the object's end */
    return buf_puts(head, ",\"prompts\":[");
}

/* Ids stay in the store when their model is gone: such a name is as good as an id. NULL after answering. The
 * caller frees it. `*given` is false where the query names none: all are meant. */
static char *read_model(struct api *api, struct http_exchange *x, bool *given)
{
    char *name = target_query(http_exchange_target(x), "model");
    *given = name != NULL;
    const struct model *m = name ? host_find(api->host, name) : NULL;
    if (m) /* an alias */
        mem_replace(&name, m->entry->id);
    else if (name && !sum_up(api->host, name).files) {
        lookup_refuse(api, x, 404, name);
        free(name);
        name = NULL;
    }
    return name;
}

void api_cache_list(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    bool given;
    (void)caller;
    char *model = read_model(api, x, &given);
    struct buf head;
    if (given && !model)
        return;
    buf_init(&head, BUF_UNBOUNDED);
    const char *text = write_head(&head, api->host) ? NULL : buf_cstr(&head);
    if (text)
        slices_reply_list(api, x,
                          &(struct slices_list){.status = 200,
                                                .head = text,
                                                .next = next_file,
                                                .tail = end_list,
                                                .finish = finish_list,
                                                .ctx = create_list(api, model)});
    else
        reply_error(x, 503, "out of memory for the answer");
    buf_finish(&head);
    free(model);
}

/* --- removing -----------------------------------------------------------------------------------
 */

struct removal {
    struct http_exchange *x; /* NULL: the client is gone */
};

static void on_client_gone(struct http_exchange *x, void *ctx)
{
    struct removal *r = ctx;
    (void)x;
    r->x = NULL;
}

static void on_removed(const struct forgotten *result, void *ctx)
{
    struct removal *r = ctx;
    if (r->x && result->rc)
        reply_error(
            r->x, 500,
            "%llu saved prompts are not used any more, but their files cannot all be removed: %s",
            (unsigned long long)result->files, strerror(-result->rc));
    else if (r->x)
        reply_json(
            r->x, 200,
            json_pack("{s:o}", "removed", prompt_cache_forgotten(result->files, result->bytes)));
    free(r);
}

void api_cache_clear(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    static const struct http_exchange_events events = {.gone = on_client_gone};
    bool given;
    char *model = read_model(api, x, &given);
    (void)caller;
    if (given && !model)
        return;
    struct removal *r = mem_zalloc(sizeof *r);
    r->x = x;
    http_exchange_take(x, &events, r);
    struct forget *f = forget_begin(api->host);
    forget_model(f, model);
    forget_end(f, on_removed, r);
    free(model);
}
