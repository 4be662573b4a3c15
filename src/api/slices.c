/* SPDX-License-Identifier: MIT */
#include "api/slices.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/encode.h"
#include "api/reply.h"
#include "base/json_text.h"
#include "base/memory.h"

#define SLICE_NS 1000000                  /* how long a slice takes: others wait no longer */
#define FIRST_CAPACITY ((size_t)4 * 1024) /* bytes: a list of some models does not grow it */
#define PENDING_MAX (HTTP_HIGH_WATER * 8) /* bytes that one slice may leave in the connection */

/* Over all models by id; models may come and go between two slices. */
struct cursor {
    char *last; /* the id after which it goes on; NULL: from the first on */
};

static size_t cursor_index(const struct cursor *c, const struct host *host)
{
    return c->last ? host_index_after(host, c->last) : 0;
}

static void cursor_keep(struct cursor *c, const struct model *last)
{
    if (last)
        mem_replace(&c->last, last->entry->id);
}

static bool is_over(uint64_t begun)
{
    return uv_hrtime() - begun >= SLICE_NS;
}

/* --- an answer that is a list -------------------------------------------------------------------
 */

struct listing {
    struct api *api;
    struct http_exchange *x;
    struct slices_list list;
    struct buf out;
    uv_idle_t turn; /* the next one of the loop */
    bool some;      /* an element was written */
    bool complete;  /* the tail is written */
};

static void on_listing_closed(uv_handle_t *turn)
{
    struct listing *l = turn->data;
    buf_finish(&l->out);
    free(l);
}

static void listing_close(struct listing *l)
{
    l->list.finish(l->list.ctx);
    uv_close((uv_handle_t *)&l->turn, on_listing_closed);
}

static int write_element(struct listing *l, json_t *element)
{
    int rc = json_text_was_incomplete() ? -ENOMEM : 0;
    if (!rc && l->some)
        rc = buf_append(&l->out, ",", 1);
    if (!rc)
        rc = encode_json(&l->out, element);
    l->some = true;
    json_decref(element);
    return rc;
}

static int write_next(struct listing *l)
{
    const struct slices_list *list = &l->list;
    json_t *element = NULL;
    json_text_begin();
    if (list->next(list->ctx, &element))
        return element ? write_element(l, element) : 0;
    l->complete = true;
    return list->tail(list->ctx, &l->out, !l->some);
}

static int write_text(struct listing *l)
{
    bool more = true;
    int rc = l->list.append(l->list.ctx, &l->out, &more);
    l->complete = !more;
    return rc;
}

/* Fills `out` until the slice is over or the answer complete. */
static int write_slice(struct listing *l)
{
    const struct slices_list *list = &l->list;
    uint64_t begun = uv_hrtime();
    int rc = 0;
    while (!rc && !l->complete && !is_over(begun) && l->out.len < PENDING_MAX)
        rc = list->append ? write_text(l) : write_next(l);
    if (l->complete)
        return rc;
    if (list->pause)
        list->pause(list->ctx);
    return rc;
}

static void on_turn(uv_idle_t *turn);

/* Sends what is there; the next slice is for the next turn, or for when the client has read. */
static void send_slice(struct listing *l)
{
    struct http_exchange *x = l->x;
    if (!http_exchange_is_head(x))
        http_exchange_write(x, l->out.data, l->out.len);
    buf_clear(&l->out);
    if (l->complete || http_exchange_is_head(x)) {
        listing_close(l);
        http_exchange_end(x);
        return;
    }
    http_exchange_flush(x);
    if (http_exchange_pending(x) < HTTP_HIGH_WATER)
        uv_idle_start(&l->turn, on_turn);
}

static void go_on(struct listing *l)
{
    if (write_slice(l) == 0) {
        send_slice(l);
        return;
    }
    struct http_exchange *x = l->x;
    listing_close(l);
    http_exchange_abort(x);
}

static void on_turn(uv_idle_t *turn)
{
    uv_idle_stop(turn);
    go_on(turn->data);
}

static void on_drain(struct http_exchange *x, void *ctx)
{
    struct listing *l = ctx;
    (void)x;
    uv_idle_start(&l->turn, on_turn);
}

static void on_reader_gone(struct http_exchange *x, void *ctx)
{
    (void)x;
    listing_close(ctx);
}

static void begin_stream(struct listing *l)
{
    static const struct http_exchange_events events = {.drain = on_drain, .gone = on_reader_gone};
    struct http_exchange *x = l->x;
    http_exchange_take(x, &events, l);
    http_exchange_begin(x, l->list.status, HTTP_STREAMED);
    http_exchange_field(x, "Content-Type", l->list.type);
    http_exchange_head_end(x);
    send_slice(l);
}

void slices_reply_list(struct api *api, struct http_exchange *x, const struct slices_list *list)
{
    struct listing *l = mem_zalloc(sizeof *l);
    *l = (struct listing){.api = api, .x = x, .list = *list};
    l->list.type = list->type ? list->type : "application/json; charset=utf-8";
    uv_idle_init(host_loop(api->host), &l->turn);
    l->turn.data = l;
    buf_init(&l->out, BUF_UNBOUNDED);
    int rc = buf_reserve(&l->out, FIRST_CAPACITY);
    if (!rc)
        rc = list->head ? buf_puts(&l->out, list->head) : 0;
    if (!rc)
        rc = write_slice(l);
    if (!rc && !l->complete) {
        begin_stream(l);
        return;
    }
    if (rc)
        reply_error(x, 503, "out of memory for the list");
    else
        http_exchange_reply(x, list->status, l->list.type, l->out.data, l->out.len, NULL);
    listing_close(l);
}

/* --- a list of models ---------------------------------------------------------------------------
 */

struct models_list {
    struct api *api;
    slices_element *element;
    slices_tail *tail;
    struct cursor at;
    size_t i;                 /* of the next one; valid in this turn only, */
    bool here;                /* when this is set */
    const struct model *last; /* of this turn; NULL */
};

static bool next_model(void *ctx, json_t **element)
{
    struct models_list *list = ctx;
    if (!list->here)
        list->i = cursor_index(&list->at, list->api->host);
    list->here = true;
    struct model *m = host_at(list->api->host, list->i++);
    if (!m)
        return false;
    list->last = m;
    *element = list->element(list->api, m);
    return true;
}

static void pause_models(void *ctx)
{
    struct models_list *list = ctx;
    cursor_keep(&list->at, list->last);
    list->last = NULL;
    list->here = false;
}

static int end_models(void *ctx, struct buf *out, bool first)
{
    const struct models_list *list = ctx;
    return list->tail(list->api, out, first);
}

static void finish_models(void *ctx)
{
    struct models_list *list = ctx;
    free(list->at.last);
    free(list);
}

void slices_reply(struct api *api, struct http_exchange *x, const char *head,
                  slices_element *element, slices_tail *tail)
{
    struct models_list *list = mem_zalloc(sizeof *list);
    *list = (struct models_list){.api = api, .element = element, .tail = tail};
    slices_reply_list(api, x,
                      &(struct slices_list){.status = 200,
                                            .head = head,
                                            .next = next_model,
                                            .pause = pause_models,
                                            .tail = end_models,
                                            .finish = finish_models,
                                            .ctx = list});
}

int slices_close(struct api *api, struct buf *out, bool first)
{
    (void)api;
    (void)first;
    return buf_puts(out, "]}");
}

/* --- a change of many models --------------------------------------------------------------------
 */

struct change {
    struct api *api;
    struct http_exchange *x; /* NULL: the client is gone */
    struct slices_work work;
    json_t *names; /* NULL: all models */
    size_t next;   /* of `names` */
    struct cursor at;
    uv_idle_t turn; /* the next one of the loop */
};

static void on_change_closed(uv_handle_t *turn)
{
    struct change *c = turn->data;
    struct host *host = c->api->host;
    json_decref(c->names);
    free(c->at.last);
    free(c);
    host_operation_end(host);
}

static bool change_named(struct change *c, uint64_t begun)
{
    for (; !is_over(begun) && c->next < json_array_size(c->names); c->next++) {
        const char *name = json_string_value(json_array_get(c->names, c->next));
        struct model *m = name ? host_find(c->api->host, name) : NULL;
        if (m)
            c->work.action(m, c->work.ctx);
    }
    return c->next == json_array_size(c->names);
}

static bool change_all(struct change *c, uint64_t begun)
{
    struct model *m, *last = NULL;
    size_t i = cursor_index(&c->at, c->api->host);
    while ((m = host_at(c->api->host, i)) && !is_over(begun)) {
        c->work.action(m, c->work.ctx);
        last = m;
        i++;
    }
    cursor_keep(&c->at, last);
    return !m;
}

static void on_change_turn(uv_idle_t *turn)
{
    struct change *c = turn->data;
    uint64_t begun = uv_hrtime();
    if (c->names ? !change_named(c, begun) : !change_all(c, begun)) {
        uv_idle_start(&c->turn, on_change_turn);
        return;
    }
    c->work.done(c->api, c->x, c->work.ctx);
    uv_close((uv_handle_t *)&c->turn, on_change_closed);
}

static void on_asker_gone(struct http_exchange *x, void *ctx)
{
    struct change *c = ctx;
    (void)x;
    c->x = NULL;
}

static void do_at_once(struct api *api, json_t *names, const struct slices_work *work)
{
    struct model *m;
    size_t i;
    json_t *name;
    json_array_foreach (names, i, name)
        if (json_is_string(name) && (m = host_find(api->host, json_string_value(name))))
            work->at_once(m, work->ctx);
    for (i = 0; !names && (m = host_at(api->host, i)); i++)
        work->at_once(m, work->ctx);
    work->perform(api->host);
}

void slices_for_each(struct api *api, struct http_exchange *x, json_t *names,
                     const struct slices_work *work)
{
    static const struct http_exchange_events events = {.gone = on_asker_gone};
    struct change *c = mem_zalloc(sizeof *c);
    *c = (struct change){.api = api, .x = x, .work = *work, .names = json_incref(names)};
    uv_idle_init(host_loop(api->host), &c->turn);
    c->turn.data = c;
    host_operation_begin(api->host);
    http_exchange_take(x, &events, c);
    if (work->at_once)
        do_at_once(api, names, work);
    on_change_turn(&c->turn);
}
