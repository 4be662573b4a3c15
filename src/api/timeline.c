/* SPDX-License-Identifier: MIT */
#include "api/timeline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/encode.h"
#include "api/reply.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/container_of.h"
#include "base/memory.h"
#include "http/target.h"
#include "server/timeline.h"

#define MIB (1024.0 * 1024)
#define READING_MS 6000 /* between two readings at most, while an engine runs */

struct timelines {
    struct host *host;
    struct request_log *requests;
    struct host_listener listener;
    struct request_observer observer;
    struct timeline *line;
    uint64_t streamed; /* tokens of all streams that are over */
    uint64_t counted;  /* tokens of streams that the time line has */
    uint64_t read_at;  /* uv_now(), ms, of the last reading */
};

static uint64_t now_ms(const struct timelines *t)
{
    return uv_now(host_loop(t->host));
}

/* --- collecting ---------------------------------------------------------------------------------
 */

static uint64_t tokens_of(const struct request_record *e)
{
    const struct usage *u = &e->usage;
    if (u->known)
        return u->said.tokens > 0 ? (uint64_t)u->said.tokens : 0;
    return e->streams && u->pieces > 1 ? u->pieces : 0;
}

/* Of streams the tokens are counted as they come, of other answers when they are over: then they came evenly. */
static void on_ended(struct request_observer *o, const struct request_record *e)
{
    struct timelines *t = container_of(o, struct timelines, observer);
    const uint64_t n = e->infers ? tokens_of(e) : 0;
    if (!n)
        return;
    if (e->streams)
        t->streamed += n;
    else
        timeline_add_tokens(t->line, e->sent ? e->sent : e->arrived, now_ms(t), (double)n);
}

static void count_streams(struct timelines *t, uint64_t now)
{
    const struct request_record *e = NULL;
    uint64_t all = t->streamed;
    while ((e = request_log_next(t->requests, e)) && !e->ended)
        if (e->infers && e->streams)
            all += tokens_of(e);
    if (all <= t->counted) /* an answer may say that it had less than were counted */
        return;
    const uint64_t since = now - t->read_at < READING_MS ? t->read_at : now - READING_MS;
    timeline_add_tokens(t->line, since, now, (double)(all - t->counted));
    t->counted = all;
}

static void take_snapshot(struct timelines *t)
{
    const struct snapshot *s = host_snapshot(t->host);
    const uint64_t now = now_ms(t);
    struct timeline_sample sample = {.devices = s->figures.n,
                                     .waiting = host_waiting(t->host),
                                     .running = sched_leases(host_sched(t->host))};
    for (size_t d = 0; d < s->figures.n; d++) {
        sample.engines[d] = (double)s->held[d] / MIB;
        sample.others[d] = (double)snapshot_others(s, d) / MIB;
    }
    timeline_sample(t->line, now, &sample);
    count_streams(t, now);
    t->read_at = now;
}

static void mark_end(const struct timelines *t, const struct model *m)
{
    const struct outcome *o = &m->outcome;
    const char *event = outcome_reason_name(o->reason);
    timeline_mark(t->line, clock_unix(), m->entry->id, event ? event : "unloaded",
                  outcome_is_failure(o) || o->reason == OUTCOME_NO_ROOM ? o->failure
                                                                        : o->stop_cause);
}

static void on_host_event(struct host_listener *l, enum host_event event, struct model *m,
                          struct instance *i)
{
    struct timelines *t = container_of(l, struct timelines, listener);
    switch (event) {
    case HOST_EV_SPAWNED:
        timeline_mark(t->line, clock_unix(), m->entry->id, "load", i ? i->loaded_by : NULL);
        return;
    case HOST_EV_READY:
        if (i && i->sched.state == SCHED_LOADING) /* and not awake again */
            timeline_mark(t->line, clock_unix(), m->entry->id, "ready", NULL);
        return;
    case HOST_EV_GONE:
        mark_end(t, m);
        return;
    case HOST_EV_SNAPSHOT:
        take_snapshot(t);
        return;
    case HOST_EV_LOADING:
    case HOST_EV_SLEEPING:
    case HOST_EV_SAVING:
    case HOST_EV_STOPPING:
    case HOST_EV_STAYS:
    case HOST_EV_INTENT:
    case HOST_EV_LEARNED:
    case HOST_EV_RELOADED:
    case HOST_EV_SHUTDOWN:
        return;
    }
}

struct timelines *timelines_create(struct host *host, struct request_log *requests)
{
    struct timelines *t = mem_zalloc(sizeof *t);
    t->host = host;
    t->requests = requests;
    t->line = timeline_create();
    t->listener = (struct host_listener){.on_event = on_host_event};
    t->observer = (struct request_observer){.ended = on_ended};
    host_listen(host, &t->listener);
    request_log_observe(requests, &t->observer);
    return t;
}

void timelines_destroy(struct timelines *t)
{
    host_unlisten(t->host, &t->listener);
    request_log_unobserve(t->requests, &t->observer);
    timeline_destroy(t->line);
    free(t);
}

/* --- GET /hostler/v1/timeline -------------------------------------------------------------------
 */

/* What is asked for. */
struct question {
    const struct timelines *timelines;
    enum timeline_span span;
    uint64_t first, last, now; /* steps; ms */
};

static void write_number(struct buf *out, enum timeline_series series, double value)
{
    switch (series) {
    case TIMELINE_ENGINES:
    case TIMELINE_OTHERS:
        buf_printf(out, "%llu", (unsigned long long)round(value) << 20);
        return;
    case TIMELINE_TOKENS:
        buf_printf(out, "%.3g", value);
        return;
    case TIMELINE_WAITING:
    case TIMELINE_RUNNING:
        buf_printf(out, "%.0f", value);
        return;
    }
}

static void write_series(struct buf *out, const struct question *q, const char *name,
                         enum timeline_series series, size_t device)
{
    buf_printf(out, ",\"%s\":[", name);
    for (uint64_t step = q->first; step <= q->last; step++) {
        double value = timeline_value(q->timelines->line, q->span, series, device, step, q->now);
        if (step > q->first)
            buf_puts(out, ",");
        if (isnan(value))
            buf_puts(out, "null");
        else
            write_number(out, series, value);
    }
    buf_puts(out, "]");
}

static void write_devices(struct buf *out, const struct question *q)
{
    const struct memory_figures *figures = &host_snapshot(q->timelines->host)->figures;
    buf_puts(out, ",\"devices\":{");
    for (size_t d = 0; d < figures->n; d++) {
        buf_printf(out, "%s\"%s\":{\"total\":%llu", d ? "," : "", figures->device[d].name,
                   (unsigned long long)figures->device[d].total);
        write_series(out, q, "engines", TIMELINE_ENGINES, d);
        write_series(out, q, "others", TIMELINE_OTHERS, d);
        buf_puts(out, "}");
    }
    buf_puts(out, "}");
}

static json_t *mark_json(const struct timeline_mark *m)
{
    return json_pack("{s:f, s:o, s:s, s:o}", "at", m->at, "model", reply_string(m->model), "event",
                     m->event, "cause", reply_string_or_null(m->cause));
}

/* Those since `from` (Unix time), the oldest first. */
static json_t *marks_since(const struct timelines *t, double from)
{
    const struct timeline_mark *m;
    json_t *all = json_array();
    size_t n = 0;
    while ((m = timeline_mark_at(t->line, n)) && m->at >= from)
        n++;
    while (n--)
        json_array_append_new(all, mark_json(timeline_mark_at(t->line, n)));
    return all;
}

static int write_answer(struct buf *out, const struct question *q)
{
    const uint64_t step = timeline_step(q->span);
    const double unix_now = clock_unix(), begun = (double)(q->first * step);
    buf_printf(out, "{\"from\":%.3f,\"step\":%llu", unix_now - ((double)q->now - begun) / 1000,
               (unsigned long long)step / 1000);
    write_devices(out, q);
    write_series(out, q, "tokens_per_second", TIMELINE_TOKENS, 0);
    write_series(out, q, "waiting", TIMELINE_WAITING, 0);
    write_series(out, q, "running", TIMELINE_RUNNING, 0);
    buf_puts(out, ",\"marks\":");
    json_t *marks = marks_since(q->timelines, unix_now - (double)(TIMELINE_STEPS * step) / 1000);
    int rc = encode_json(out, marks);
    json_decref(marks);
    return rc ? rc : buf_puts(out, "}");
}

/* -1: answered. */
static int read_span(struct http_exchange *x, enum timeline_span *span)
{
    char *text = target_query(http_exchange_target(x), "span");
    bool is_day = text && strcmp(text, "day") == 0;
    bool valid = !text || !*text || is_day || strcmp(text, "hour") == 0;
    free(text);
    *span = is_day ? TIMELINE_DAY : TIMELINE_HOUR;
    if (!valid)
        reply_error(x, 400, "'span' must be hour or day");
    return valid ? 0 : -1;
}

void api_timeline(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    const struct timelines *t = api->timelines;
    struct question q = {.timelines = t, .now = now_ms(t)};
    struct buf out;
    (void)caller;
    if (read_span(x, &q.span))
        return;
    q.first = timeline_first(t->line, q.span, q.now);
    q.last = q.now / timeline_step(q.span);
    buf_init(&out, BUF_UNBOUNDED);
    if (write_answer(&out, &q) == 0)
        reply_text(x, 200, out.data, out.len);
    else
        reply_no_memory(x);
    buf_finish(&out);
}
