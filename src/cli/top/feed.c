/* SPDX-License-Identifier: MIT */
#include "cli/top/feed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "cli/hostler_command.h"
#include "cli/json.h"
#include "cli/peer/router.h"
#include "cli/terminal/format_model.h"
#include "cli/terminal/format_time.h"

#define ASK_TIMEOUT_MS 10000
#define AGAIN_MS 1000 /* between attempts to reach a server that is unreachable */
#define SOON_MS 100   /* from an event to the poll for what it changed: several events share one */
#define MODELS_EVERY                                                                               \
    5 /* intervals between polls of hostler's models; its status tells state changes */
#define SILENT_MS 3000    /* until "no answer" is shown */
#define LOG_TAIL 200      /* lines written before the log was opened */
#define LOG_LINE_MAX 4096 /* bytes; the rest of a longer line is dropped */

static const char *const paths[] = {
    [TOP_STATUS] = "/hostler/v1/status",
    [TOP_MODELS] = "/models",
    [TOP_REQUESTS] = "/hostler/v1/requests?limit=100",
};

void top_feed_init(struct top_feed *f, struct router *router, struct top_snapshot *snapshot,
                   unsigned interval_ms)
{
    *f = (struct top_feed){.router = router, .snapshot = snapshot, .interval_ms = interval_ms};
    for (size_t i = 0; i < TOP_POLLS; i++)
        f->polls[i].feed = f;
    LIST_INIT(&f->actions);
    sse_init(&f->sse);
    buf_init(&f->log.rest, LOG_LINE_MAX);
}

static void say(struct top_feed *f, bool bad, char *text)
{
    free(f->result);
    f->result = text;
    f->result_is_error = bad;
    f->changed = true;
}

static struct client_transfer *get(struct top_feed *f, const char *path, unsigned timeout_ms,
                                   int (*data)(const char *, size_t, void *), void *ctx,
                                   client_done *done)
{
    struct client_request r = {
        .method = "GET", .path = path, .timeout_ms = timeout_ms, .data = data, .ctx = ctx};
    return client_start(f->router->client, &r, done);
}

static char *error_text(const struct top_feed *f, const struct client_answer *a)
{
    const char *where = f->router->url.shown;
    char *text = router_error_text(a->body.data, a->body.len), *why;
    if (a->status == 401 || a->status == 403)
        why = mem_printf(f->router->cli->key ? "%s refuses the key" : "%s wants a key", where);
    else
        why = mem_printf("%s answers with status %d%s%s", where, a->status, text ? ": " : "",
                         text ? text : "");
    free(text);
    return why;
}

/* --- a log --------------------------------------------------------------------------------------
 */

static void drop_first(struct strv *s)
{
    free(s->v[0]);
    memmove(s->v, s->v + 1, s->n * sizeof *s->v); /* with the NULL at the end */
    s->n--;
}

/* Bytes that are no UTF-8 are replaced before they reach the screen. */
static void end_line(struct top_log *l)
{
    const char *bytes = buf_cstr(&l->rest);
    json_t *text = cli_json_string(bytes ? bytes : "");
    strv_add_take(&l->lines, format_log_line(json_string_value(text)));
    l->written++;
    if (l->lines.n > TOP_LOG_LINES)
        drop_first(&l->lines);
    json_decref(text);
    buf_clear(&l->rest);
}

static int on_log_bytes(const char *data, size_t len, void *ctx)
{
    struct top_feed *f = ctx;
    struct top_log *l = &f->log;
    for (size_t i = 0; i < len; i++)
        if (data[i] == '\n')
            end_line(l);
        else if (l->rest.len + 1 < LOG_LINE_MAX)
            buf_append(&l->rest, data[i] == '\t' ? " " : &data[i], 1);
    f->changed = true;
    return 0;
}

static void on_log_end(void *ctx, int rc, const struct client_answer *a, const struct error *err)
{
    struct top_feed *f = ctx;
    struct top_log *l = &f->log;
    l->transfer = NULL;
    if (l->rest.len)
        end_line(l);
    if (rc)
        l->end = mem_strdup(err->text);
    else if (a->status == 404)
        l->end = mem_strdup("this server does not tell its logs");
    else
        l->end = a->status == 200 ? mem_strdup("the server ended it") : error_text(f, a);
    f->changed = true;
}

static void follow(struct top_feed *f)
{
    char *base = hostler_path("logs", f->log.model);
    char *path = mem_printf("%s&lines=%d&follow=1", base, LOG_TAIL);
    free(f->log.end);
    f->log.end = NULL;
    f->log.transfer = get(f, path, 0, on_log_bytes, f, on_log_end);
    free(path);
    free(base);
}

void top_feed_follow(struct top_feed *f, const char *model)
{
    top_feed_unfollow(f);
    f->log.model = mem_strdup(model);
    follow(f);
}

void top_feed_unfollow(struct top_feed *f)
{
    client_cancel(f->log.transfer);
    f->log.transfer = NULL;
    free(f->log.model);
    free(f->log.end);
    f->log.model = f->log.end = NULL;
    strv_finish(&f->log.lines);
    f->log.written = 0;
    buf_clear(&f->log.rest);
}

/* --- reachability ---------------------------------------------------------------------------------
 */

/* Takes `why`. */
static void mark_unreachable(struct top_feed *f, char *why)
{
    uint64_t now = cli_now_ms();
    if (!f->outage)
        f->outage_since = now;
    free(f->outage);
    f->outage = why;
    f->changed = true;
    client_cancel(f->events);
    f->events = NULL;
    for (size_t i = 0; i < TOP_POLLS; i++) {
        client_cancel(f->polls[i].transfer);
        f->polls[i].transfer = NULL;
        f->polls[i].due = now + AGAIN_MS;
        f->polls[i].missing =
            i !=
            TOP_STATUS; /* only the status is polled: it detects which kind of server returns */
    }
}

static void mark_reachable(struct top_feed *f)
{
    if (!f->outage)
        return;
    free(f->outage);
    f->outage = NULL;
    f->changed = true;
    top_snapshot_forget(f->snapshot);
    for (size_t i = 0; i < TOP_POLLS; i++) {
        f->polls[i].due = 0;
        f->polls[i].missing = false;
    }
    f->events_missing = false;
    f->events_due = 0;
    if (f->log.model && !f->log.transfer)
        follow(f);
}

static void poll_soon(struct top_feed *f)
{
    uint64_t soon = cli_now_ms() + SOON_MS;
    for (size_t i = 0; i < TOP_POLLS; i++)
        if (f->polls[i].due > soon)
            f->polls[i].due = soon;
}

/* --- polling ----------------------------------------------------------------------------------
 */

static bool is_stock(const struct top_feed *f)
{
    return f->router->kind == ROUTER_STOCK;
}

static uint64_t interval_of(const struct top_feed *f, enum top_poll what)
{
    return what == TOP_MODELS && !is_stock(f) ? (uint64_t)f->interval_ms * MODELS_EVERY
                                              : f->interval_ms;
}

static void apply_answer(struct top_feed *f, enum top_poll what, const struct client_answer *a)
{
    json_t *body = a->body.len ? json_loadb(a->body.data, a->body.len, 0, NULL) : NULL;
    uint64_t now = cli_now_ms();
    switch (what) {
    case TOP_STATUS:
        f->router->kind = ROUTER_HOSTLER;
        top_snapshot_status(f->snapshot, body, now);
        break;
    case TOP_MODELS:
        top_snapshot_models(f->snapshot, body, now);
        break;
    case TOP_REQUESTS:
        top_snapshot_requests(f->snapshot, body);
        break;
    case TOP_POLLS:
        break;
    }
    json_decref(body);
    f->changed = true;
}

/* Whether a failed poll of `what` means that the server is unreachable. */
static bool is_essential(const struct top_feed *f, enum top_poll what)
{
    return what == TOP_STATUS || (what == TOP_MODELS && is_stock(f));
}

static void on_poll_done(void *ctx, int rc, const struct client_answer *a, const struct error *err)
{
    struct top_poll_state *q = ctx;
    struct top_feed *f = q->feed;
    enum top_poll what = (enum top_poll)(q - f->polls);
    q->transfer = NULL;
    q->due = cli_now_ms() + interval_of(f, what);
    if (rc || (a->status != 200 && a->status != 404)) {
        if (rc || is_essential(f, what))
            mark_unreachable(f, rc ? mem_strdup(err->text) : error_text(f, a));
        return;
    }
    mark_reachable(f);
    q->missing = a->status == 404;
    if (q->missing && what == TOP_STATUS)
        f->router->kind = ROUTER_STOCK;
    if (!q->missing)
        apply_answer(f, what, a);
    else if (what == TOP_MODELS && is_stock(f))
        mark_unreachable(f, mem_printf("what answers at %s now is not a router (no GET /models)",
                                       f->router->url.shown));
}

/* --- events -------------------------------------------------------------------------------------
 */

static int on_event(const char *data, size_t len, bool error, void *ctx)
{
    struct top_feed *f = ctx;
    struct timespec t;
    (void)len;
    if (error)
        return 0;
    clock_gettime(CLOCK_REALTIME, &t);
    if (top_snapshot_event(f->snapshot, data, (double)t.tv_sec, cli_now_ms()))
        poll_soon(f);
    f->changed = true;
    return 0;
}

static int on_event_bytes(const char *data, size_t len, void *ctx)
{
    struct top_feed *f = ctx;
    return sse_feed(&f->sse, data, len, on_event, f);
}

/* The stream ends when the server stops, or for another reason: the next polls tell which. */
static void on_events_end(void *ctx, int rc, const struct client_answer *a, const struct error *err)
{
    struct top_feed *f = ctx;
    (void)err;
    f->events = NULL;
    f->events_due = cli_now_ms() + AGAIN_MS;
    f->events_missing = !rc && a->status != 200;
    poll_soon(f);
}

static void follow_events(struct top_feed *f)
{
    sse_finish(&f->sse);
    sse_init(&f->sse);
    f->events = get(f, "/models/sse", 0, on_event_bytes, f, on_events_end);
}

/* --- polling -----------------------------------------------------------------------------------
 */

static unsigned sooner(unsigned wait, uint64_t due, uint64_t now)
{
    uint64_t left = due > now ? due - now : 0;
    return left < wait ? (unsigned)left : wait;
}

unsigned top_feed_run(struct top_feed *f, uint64_t now)
{
    unsigned wait = 1000; /* so that displayed times advance */
    for (size_t i = 0; i < TOP_POLLS; i++) {
        struct top_poll_state *q = &f->polls[i];
        if (q->transfer || q->missing)
            continue;
        if (q->due <= now) {
            q->transfer = get(f, paths[i], ASK_TIMEOUT_MS, NULL, q, on_poll_done);
            q->since = now;
        } else {
            wait = sooner(wait, q->due, now);
        }
    }
    if (f->events || f->events_missing || f->outage)
        return wait;
    if (f->events_due > now)
        return sooner(wait, f->events_due, now);
    follow_events(f);
    return wait;
}

uint64_t top_feed_silent_ms(const struct top_feed *f, uint64_t now)
{
    const struct top_poll_state *q =
        &f->polls[f->polls[TOP_STATUS].missing ? TOP_MODELS : TOP_STATUS];
    return q->transfer && now - q->since >= SILENT_MS ? now - q->since : 0;
}

/* --- actions -------------------------------------------------------------------------------------
 */

struct top_action {
    struct top_feed *feed;
    struct client_transfer *transfer;
    char *label;
    LIST_ENTRY(top_action) link;
};

/* The unload_all_result of an unload-all: how many went, what that gave back, and who stays. */
static char *unload_all_result(json_t *body, bool *bad)
{
    size_t i, gone = 0, left = 0;
    json_t *result;
    const char *stays = "";
    char *freed = format_model_memory(json_object_get(body, "freed"));
    json_array_foreach (json_object_get(body, "results"), i, result) {
        const char *what = cli_json_text_or(result, "result", NULL);
        bool unloaded = what && strcmp(what, "unloaded") == 0;
        gone += unloaded;
        if (!unloaded && what && strcmp(what, "skipped") != 0) {
            left++;
            stays = cli_json_text_or(result, "model", NULL) ?: "";
        }
    }
    *bad = left > 0;
    char *text = mem_printf("%zu unloaded%s%s", gone, *freed ? ", freed " : "", freed);
    char *more = left ? mem_printf("%s; %zu still loaded, as %s: its requests did not end in time",
                                   text, left, stays)
                      : mem_strdup(text);
    free(text);
    free(freed);
    return more;
}

static char *action_result(const struct top_action *act, const struct client_answer *a, bool *bad)
{
    json_t *body = a->body.len ? json_loadb(a->body.data, a->body.len, 0, NULL) : NULL;
    char *text;
    *bad = a->status >= 400;
    if (json_is_array(json_object_get(body, "results")))
        text = unload_all_result(body, bad);
    else if (a->status == 404 && !json_object_get(body, "error"))
        text = mem_strdup("this server cannot do that");
    else
        text = *bad ? router_error_text(a->body.data, a->body.len) : mem_strdup("done");
    char *line = mem_printf("%s: %s", act->label, text ? text : "refused");
    json_decref(body);
    free(text);
    return line;
}

static void forget_action(struct top_action *act)
{
    LIST_REMOVE(act, link);
    free(act->label);
    free(act);
}

static void on_action_done(void *ctx, int rc, const struct client_answer *a,
                           const struct error *err)
{
    struct top_action *act = ctx;
    struct top_feed *f = act->feed;
    bool bad = true;
    char *line = rc ? mem_printf("%s: %s", act->label, err->text) : action_result(act, a, &bad);
    say(f, bad, line);
    poll_soon(f);
    forget_action(act);
}

void top_feed_send(struct top_feed *f, const char *label, const char *path, json_t *body)
{
    struct top_action *act = mem_zalloc(sizeof *act);
    char *text = json_dumps(body, JSON_COMPACT);
    act->feed = f;
    act->label = mem_strdup(label);
    /* No time limit: an unload may wait for requests as long as the server allows. */
    struct client_request r = {.method = "POST", .path = path, .body = text, .ctx = act};
    act->transfer = client_start(f->router->client, &r, on_action_done);
    LIST_INSERT_HEAD(&f->actions, act, link);
    say(f, false, mem_printf("%s ...", label));
    free(text);
    json_decref(body);
}

void top_feed_finish(struct top_feed *f)
{
    for (size_t i = 0; i < TOP_POLLS; i++)
        client_cancel(f->polls[i].transfer);
    client_cancel(f->events);
    while (!LIST_EMPTY(&f->actions)) {
        client_cancel(LIST_FIRST(&f->actions)->transfer);
        forget_action(LIST_FIRST(&f->actions));
    }
    top_feed_unfollow(f);
    sse_finish(&f->sse);
    buf_finish(&f->log.rest);
    free(f->outage);
    free(f->result);
}
