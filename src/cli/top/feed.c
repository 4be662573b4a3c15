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
#define AGAIN_MS 1000     /* between attempts to reach a server that is away */
#define SOON_MS 100       /* from an event to the question what it changed: others may follow */
#define MODELS_EVERY 5    /* intervals: of hostler, whose status tells what changes */
#define SILENT_MS 3000    /* from here on a person wants to know */
#define LOG_TAIL 200      /* lines of a log that were written before */
#define LOG_LINE_MAX 4096 /* of a longer one the beginning is shown */

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
        f->asking[i].feed = f;
    LIST_INIT(&f->actions);
    sse_init(&f->sse);
    buf_init(&f->log.rest, LOG_LINE_MAX);
}

static void say(struct top_feed *f, bool bad, char *text)
{
    free(f->said);
    f->said = text;
    f->said_bad = bad;
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

static char *refusal(const struct top_feed *f, const struct client_answer *a)
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

/* Whatever bytes an engine writes, the screen gets text. */
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
        l->end = a->status == 200 ? mem_strdup("the server ended it") : refusal(f, a);
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

/* --- here and away ------------------------------------------------------------------------------
 */

/* Takes `why`. */
static void went_away(struct top_feed *f, char *why)
{
    uint64_t now = cli_now_ms();
    if (!f->away)
        f->away_since = now;
    free(f->away);
    f->away = why;
    f->changed = true;
    client_cancel(f->events);
    f->events = NULL;
    for (size_t i = 0; i < TOP_POLLS; i++) {
        client_cancel(f->asking[i].transfer);
        f->asking[i].transfer = NULL;
        f->asking[i].due = now + AGAIN_MS;
        f->asking[i].missing = i != TOP_STATUS; /* it alone finds out who is there now */
    }
}

static void is_here(struct top_feed *f)
{
    if (!f->away)
        return;
    free(f->away);
    f->away = NULL;
    f->changed = true;
    top_snapshot_forget(f->snapshot);
    for (size_t i = 0; i < TOP_POLLS; i++) {
        f->asking[i].due = 0;
        f->asking[i].missing = false;
    }
    f->events_missing = false;
    f->events_due = 0;
    if (f->log.model && !f->log.transfer)
        follow(f);
}

static void ask_soon(struct top_feed *f)
{
    uint64_t soon = cli_now_ms() + SOON_MS;
    for (size_t i = 0; i < TOP_POLLS; i++)
        if (f->asking[i].due > soon)
            f->asking[i].due = soon;
}

/* --- asking -------------------------------------------------------------------------------------
 */

static bool is_stock(const struct top_feed *f)
{
    return f->router->kind == ROUTER_STOCK;
}

static uint64_t pause_of(const struct top_feed *f, enum top_poll what)
{
    return what == TOP_MODELS && !is_stock(f) ? (uint64_t)f->interval_ms * MODELS_EVERY
                                              : f->interval_ms;
}

static void take(struct top_feed *f, enum top_poll what, const struct client_answer *a)
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

/* Without it, there is nothing to show. */
static bool is_vital(const struct top_feed *f, enum top_poll what)
{
    return what == TOP_STATUS || (what == TOP_MODELS && is_stock(f));
}

static void on_asked(void *ctx, int rc, const struct client_answer *a, const struct error *err)
{
    struct top_poll_state *q = ctx;
    struct top_feed *f = q->feed;
    enum top_poll what = (enum top_poll)(q - f->asking);
    q->transfer = NULL;
    q->due = cli_now_ms() + pause_of(f, what);
    if (rc || (a->status != 200 && a->status != 404)) {
        if (rc || is_vital(f, what))
            went_away(f, rc ? mem_strdup(err->text) : refusal(f, a));
        return;
    }
    is_here(f);
    q->missing = a->status == 404;
    if (q->missing && what == TOP_STATUS)
        f->router->kind = ROUTER_STOCK;
    if (!q->missing)
        take(f, what, a);
    else if (what == TOP_MODELS && is_stock(f))
        went_away(f, mem_printf("what answers at %s now is not a router (no GET /models)",
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
        ask_soon(f);
    f->changed = true;
    return 0;
}

static int on_event_bytes(const char *data, size_t len, void *ctx)
{
    struct top_feed *f = ctx;
    return sse_feed(&f->sse, data, len, on_event, f);
}

/* It ends when the server does; whether it does, the questions find out. */
static void on_events_end(void *ctx, int rc, const struct client_answer *a, const struct error *err)
{
    struct top_feed *f = ctx;
    (void)err;
    f->events = NULL;
    f->events_due = cli_now_ms() + AGAIN_MS;
    f->events_missing = !rc && a->status != 200;
    ask_soon(f);
}

static void follow_events(struct top_feed *f)
{
    sse_finish(&f->sse);
    sse_init(&f->sse);
    f->events = get(f, "/models/sse", 0, on_event_bytes, f, on_events_end);
}

/* --- going on -----------------------------------------------------------------------------------
 */

static unsigned sooner(unsigned wait, uint64_t due, uint64_t now)
{
    uint64_t left = due > now ? due - now : 0;
    return left < wait ? (unsigned)left : wait;
}

unsigned top_feed_run(struct top_feed *f, uint64_t now)
{
    unsigned wait = 1000; /* times on the screen go on, too */
    for (size_t i = 0; i < TOP_POLLS; i++) {
        struct top_poll_state *q = &f->asking[i];
        if (q->transfer || q->missing)
            continue;
        if (q->due <= now) {
            q->transfer = get(f, paths[i], ASK_TIMEOUT_MS, NULL, q, on_asked);
            q->since = now;
        } else {
            wait = sooner(wait, q->due, now);
        }
    }
    if (f->events || f->events_missing || f->away)
        return wait;
    if (f->events_due > now)
        return sooner(wait, f->events_due, now);
    follow_events(f);
    return wait;
}

uint64_t top_feed_silent_ms(const struct top_feed *f, uint64_t now)
{
    const struct top_poll_state *q =
        &f->asking[f->asking[TOP_STATUS].missing ? TOP_MODELS : TOP_STATUS];
    return q->transfer && now - q->since >= SILENT_MS ? now - q->since : 0;
}

/* --- wishes -------------------------------------------------------------------------------------
 */

struct top_action {
    struct top_feed *feed;
    struct client_transfer *transfer;
    char *wish;
    LIST_ENTRY(top_action) link;
};

/* The report of an unload-all: how many went, what that gave back, and who stays. */
static char *report(json_t *body, bool *bad)
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

static char *outcome(const struct top_action *act, const struct client_answer *a, bool *bad)
{
    json_t *body = a->body.len ? json_loadb(a->body.data, a->body.len, 0, NULL) : NULL;
    char *text;
    *bad = a->status >= 400;
    if (json_is_array(json_object_get(body, "results")))
        text = report(body, bad);
    else if (a->status == 404 && !json_object_get(body, "error"))
        text = mem_strdup("this server cannot do that");
    else
        text = *bad ? router_error_text(a->body.data, a->body.len) : mem_strdup("done");
    char *line = mem_printf("%s: %s", act->wish, text ? text : "refused");
    json_decref(body);
    free(text);
    return line;
}

static void forget_action(struct top_action *act)
{
    LIST_REMOVE(act, link);
    free(act->wish);
    free(act);
}

static void on_acted(void *ctx, int rc, const struct client_answer *a, const struct error *err)
{
    struct top_action *act = ctx;
    struct top_feed *f = act->feed;
    bool bad = true;
    char *line = rc ? mem_printf("%s: %s", act->wish, err->text) : outcome(act, a, &bad);
    say(f, bad, line);
    ask_soon(f);
    forget_action(act);
}

void top_feed_send(struct top_feed *f, const char *wish, const char *path, json_t *body)
{
    struct top_action *act = mem_zalloc(sizeof *act);
    char *text = json_dumps(body, JSON_COMPACT);
    act->feed = f;
    act->wish = mem_strdup(wish);
    /* Without a limit: an unload may wait for requests as long as the server lets it. */
    struct client_request r = {.method = "POST", .path = path, .body = text, .ctx = act};
    act->transfer = client_start(f->router->client, &r, on_acted);
    LIST_INSERT_HEAD(&f->actions, act, link);
    say(f, false, mem_printf("%s ...", wish));
    free(text);
    json_decref(body);
}

void top_feed_finish(struct top_feed *f)
{
    for (size_t i = 0; i < TOP_POLLS; i++)
        client_cancel(f->asking[i].transfer);
    client_cancel(f->events);
    while (!LIST_EMPTY(&f->actions)) {
        client_cancel(LIST_FIRST(&f->actions)->transfer);
        forget_action(LIST_FIRST(&f->actions));
    }
    top_feed_unfollow(f);
    sse_finish(&f->sse);
    buf_finish(&f->log.rest);
    free(f->away);
    free(f->said);
}
