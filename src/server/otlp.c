/* SPDX-License-Identifier: MIT */
#include "server/otlp.h"

#include <errno.h>
#include <jansson.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/curl_library.h"
#include "base/log.h"
#include "base/memory.h"

#define CLOSING_MS 2000
#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 30000
#define RETRY_AFTER_MAX 300 /* s */
#define ANSWER_MAX ((size_t)16 << 10)
#define ENDING "]}]}]}"
#define SCOPE "{\"name\":\"hostler\",\"version\":\"" HOSTLER_VERSION "\"}"

/* Of a body, before and after the resource. */
static const char *const beginning[OTLP_SIGNALS][2] = {
    [OTLP_TRACES] = {"{\"resourceSpans\":[{\"resource\":",
                     ",\"scopeSpans\":[{\"scope\":" SCOPE ",\"spans\":["},
    [OTLP_METRICS] = {"{\"resourceMetrics\":[{\"resource\":",
                      ",\"scopeMetrics\":[{\"scope\":" SCOPE ",\"metrics\":["},
};

/* Posts that wait are complete but for ENDING; the first one is under way, or is sent again. */
struct post {
    struct otlp *otlp;
    enum otlp_signal signal;
    struct buf body;
    size_t spans;
    bool begun; /* nothing is added any more */
    uv_work_t work;
    struct buf answer;
    long status;        /* 0: none came */
    long retry_after_s; /* 0: not said */
    char why[CURL_ERROR_SIZE];
    TAILQ_ENTRY(post) link;
};

struct otlp {
    uv_loop_t *loop;
    const struct curl_library *curl;
    struct otlp_settings settings;
    CURL *handle; /* used in the pool; kept for its connection */
    TAILQ_HEAD(posts, post) queue;
    size_t n_spans, bytes; /* in the queue */
    bool posting;          /* the first one is in the pool */
    atomic_bool stop;      /* gives up the post under way */
    unsigned failures;     /* in a row */
    uv_timer_t timer;
    char *error;
    uint64_t sent, dropped, posts, failed;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

/* --- in the pool ---------------------------------------------------------------------------------
 */

static size_t on_answer(char *data, size_t size, size_t n, void *ctx)
{
    struct post *p = ctx;
    if (buf_append(&p->answer, data, size * n))
        buf_clear(&p->answer); /* nobody reads that much */
    return size * n;
}

static int on_progress(void *ctx, curl_off_t to_get, curl_off_t got, curl_off_t to_send,
                       curl_off_t sent)
{
    const struct post *p = ctx;
    (void)to_get, (void)got, (void)to_send, (void)sent;
    return atomic_load(&p->otlp->stop);
}

static struct curl_slist *headers_of(const struct otlp *o, enum otlp_signal signal)
{
    const struct strv *own = &o->settings.headers[signal];
    struct curl_slist *list = o->curl->curl_slist_append(NULL, "Content-Type: application/json");
    struct curl_slist *more = list;
    if (more)
        more = o->curl->curl_slist_append(list, "Expect:");
    for (size_t i = 0; more && i < own->n; i++)
        more = o->curl->curl_slist_append(list, own->v[i]);
    if (!more) {
        o->curl->curl_slist_free_all(list);
        return NULL;
    }
    return list;
}

static void set_options(struct post *p, CURL *handle, struct curl_slist *headers)
{
    const struct otlp *o = p->otlp;
    const struct curl_library *c = o->curl;
    c->curl_easy_setopt(handle, CURLOPT_URL, o->settings.url[p->signal]);
    c->curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, p->why);
    c->curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
    c->curl_easy_setopt(handle, CURLOPT_USERAGENT, "hostler/" HOSTLER_VERSION);
    c->curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, (long)o->settings.timeout_ms[p->signal]);
    c->curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    c->curl_easy_setopt(handle, CURLOPT_POSTFIELDS, p->body.data);
    c->curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)p->body.len);
    c->curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_answer);
    c->curl_easy_setopt(handle, CURLOPT_WRITEDATA, p);
    c->curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
    c->curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, on_progress);
    c->curl_easy_setopt(handle, CURLOPT_XFERINFODATA, p);
}

static void perform(struct post *p, CURL *handle)
{
    const struct curl_library *c = p->otlp->curl;
    CURLcode code = c->curl_easy_perform(handle);
    if (code != CURLE_OK) {
        if (!*p->why)
            snprintf(p->why, sizeof p->why, "%s", c->curl_easy_strerror(code));
        return;
    }
    curl_off_t wait = 0;
    c->curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &p->status);
    c->curl_easy_getinfo(handle, CURLINFO_RETRY_AFTER, &wait);
    p->retry_after_s = (long)(wait < RETRY_AFTER_MAX ? wait : RETRY_AFTER_MAX);
}

static void on_work(uv_work_t *work)
{
    struct post *p = work->data;
    struct otlp *o = p->otlp;
    p->status = p->retry_after_s = 0;
    *p->why = '\0';
    buf_clear(&p->answer);
    if (!o->handle)
        o->handle = o->curl->curl_easy_init();
    struct curl_slist *headers = o->handle ? headers_of(o, p->signal) : NULL;
    if (!headers) {
        snprintf(p->why, sizeof p->why, "libcurl is out of memory");
        return;
    }
    o->curl->curl_easy_reset(o->handle);
    set_options(p, o->handle, headers);
    perform(p, o->handle);
    o->curl->curl_slist_free_all(headers);
}

/* --- on the loop ---------------------------------------------------------------------------------
 */

static void schedule(struct otlp *o);

static void post_destroy(struct post *p)
{
    buf_finish(&p->body);
    buf_finish(&p->answer);
    free(p);
}

static void post_remove(struct post *p)
{
    struct otlp *o = p->otlp;
    TAILQ_REMOVE(&o->queue, p, link);
    o->n_spans -= p->spans;
    o->bytes -= p->body.len;
    post_destroy(p);
}

static void on_timer_closed(uv_handle_t *timer)
{
    struct otlp *o = timer->data;
    void (*closed)(void *) = o->closed;
    void *ctx = o->closed_ctx;
    struct post *next, *p = TAILQ_FIRST(&o->queue);
    if (o->handle)
        o->curl->curl_easy_cleanup(o->handle);
    for (; p; p = next) {
        next = TAILQ_NEXT(p, link);
        post_destroy(p);
    }
    otlp_settings_finish(&o->settings);
    free(o->error);
    free(o);
    closed(ctx);
}

static void end(struct otlp *o)
{
    if (!uv_is_closing((uv_handle_t *)&o->timer))
        uv_close((uv_handle_t *)&o->timer, on_timer_closed);
}

/* What a collector did not take, as its answer tells (OTLP, "Partial success"). */
static size_t rejected(const struct post *p)
{
    json_t *answer = p->answer.len ? json_loadb(p->answer.data, p->answer.len, 0, NULL) : NULL;
    const json_t *n = json_object_get(json_object_get(answer, "partialSuccess"), "rejectedSpans");
    long long count = json_is_string(n) ? atoll(json_string_value(n)) : json_integer_value(n);
    json_decref(answer);
    return count > 0 && (size_t)count <= p->spans ? (size_t)count : 0;
}

static bool may_pass(const struct post *p)
{
    return p->status == 0 || p->status == 429 || (p->status >= 502 && p->status <= 504);
}

static void note_success(struct otlp *o, const struct post *p)
{
    size_t lost = rejected(p);
    o->sent += p->spans - lost;
    o->dropped += lost;
    o->failures = 0;
    if (o->error)
        log_info("OpenTelemetry: the collector takes what is sent again");
    free(o->error);
    o->error = NULL;
}

/* Told once, until a post succeeds. */
static void note_failure(struct otlp *o, const struct post *p)
{
    char *why = p->status ? mem_printf("it answered %ld", p->status) : mem_strdup(p->why);
    if (!o->error)
        log_warn("OpenTelemetry: %s does not take what is sent: %s; what it misses is counted",
                 o->settings.shown[p->signal], why);
    free(o->error);
    o->error = why;
    o->failed++;
    o->failures++;
}

static void drop(struct post *p)
{
    p->otlp->dropped += p->spans;
    post_remove(p);
}

static void begin(struct otlp *o);

static void on_posted(uv_work_t *work, int status)
{
    struct post *p = work->data;
    struct otlp *o = p->otlp;
    (void)status; /* nobody cancels it */
    const bool ok = p->status >= 200 && p->status < 300;
    o->posting = false;
    if (ok) {
        note_success(o, p);
        post_remove(p);
    } else {
        note_failure(o, p);
        if (!may_pass(p) || p->signal == OTLP_METRICS) /* newer metrics tell the same */
            drop(p);
    }
    if (!o->closed)
        schedule(o);
    else if (ok && !atomic_load(&o->stop))
        begin(o);
    else
        end(o);
}

/* Posts the first one. None is left while it closes: it ends. */
static void begin(struct otlp *o)
{
    struct post *p = TAILQ_FIRST(&o->queue);
    if (p && !p->begun)
        o->bytes += sizeof ENDING - 1;
    if (p && !p->begun && buf_puts(&p->body, ENDING)) {
        o->bytes -= sizeof ENDING - 1;
        drop(p);
        p = NULL;
    }
    if (p && !uv_queue_work(o->loop, &p->work, on_work, on_posted)) {
        p->begun = o->posting = true;
        o->posts++;
    } else if (o->closed)
        end(o);
}

static void on_timer(uv_timer_t *timer)
{
    struct otlp *o = timer->data;
    if (!o->closed) {
        begin(o);
        return;
    }
    atomic_store(&o->stop, true);
    if (!o->posting)
        end(o);
}

static uint64_t retry_ms(const struct otlp *o, const struct post *p)
{
    const unsigned doublings = o->failures < 6 ? o->failures : 6;
    const uint64_t ms = (uint64_t)RETRY_MIN_MS << (doublings ? doublings - 1 : 0);
    const uint64_t asked = (uint64_t)p->retry_after_s * 1000;
    return asked ? asked : ms < RETRY_MAX_MS ? ms : RETRY_MAX_MS;
}

static bool is_full(const struct post *p)
{
    return p->signal == OTLP_METRICS || p->spans >= p->otlp->settings.batch_max;
}

/* Arms the timer for the next post, unless one is under way. Nothing waits: no timer. */
static void schedule(struct otlp *o)
{
    const struct post *p = TAILQ_FIRST(&o->queue);
    if (!p || o->posting || o->closed)
        return;
    if (p->begun)
        uv_timer_start(&o->timer, on_timer, retry_ms(o, p), 0);
    else if (is_full(p) || TAILQ_NEXT(p, link))
        uv_timer_start(&o->timer, on_timer, 0, 0);
    else if (!uv_is_active((uv_handle_t *)&o->timer))
        uv_timer_start(&o->timer, on_timer, o->settings.span_delay_ms, 0);
}

/* --- what is sent --------------------------------------------------------------------------------
 */

static int add(struct post *p, const char *text, size_t len)
{
    struct otlp *o = p->otlp;
    if (o->bytes + len > OTLP_WAITING_MAX || buf_append(&p->body, text, len))
        return -ENOBUFS;
    o->bytes += len;
    return 0;
}

static int add_text(struct post *p, const char *text)
{
    return add(p, text, strlen(text));
}

/* NULL: there is no room. */
static struct post *new_post(struct otlp *o, enum otlp_signal signal)
{
    struct post *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->otlp = o;
    p->signal = signal;
    p->work.data = p;
    buf_init(&p->body, OTLP_WAITING_MAX + sizeof ENDING);
    buf_init(&p->answer, ANSWER_MAX);
    TAILQ_INSERT_TAIL(&o->queue, p, link);
    if (add_text(p, beginning[signal][0]) || add_text(p, o->settings.resource) ||
        add_text(p, beginning[signal][1])) {
        post_remove(p);
        return NULL;
    }
    return p;
}

static int add_span(struct otlp *o, const char *json, size_t len)
{
    struct post *p = TAILQ_LAST(&o->queue, posts);
    if (o->n_spans >= o->settings.spans_max)
        return -ENOBUFS;
    if (!p || p->begun || is_full(p))
        p = new_post(o, OTLP_TRACES);
    if (!p)
        return -ENOBUFS;
    if (o->bytes + len + 1 > OTLP_WAITING_MAX || buf_reserve(&p->body, len + 1)) {
        if (!p->spans)
            post_remove(p);
        return -ENOBUFS;
    }
    if (p->spans)
        add_text(p, ",");
    add(p, json, len);
    p->spans++;
    o->n_spans++;
    return 0;
}

struct otlp *otlp_create(uv_loop_t *loop, struct otlp_settings *settings, struct error *err)
{
    const struct curl_library *curl = curl_library_load(err);
    if (curl && curl->curl_global_init(CURL_GLOBAL_SSL)) {
        error_set(err, -EIO, "libcurl does not start");
        curl = NULL;
    }
    if (!curl) {
        otlp_settings_finish(settings);
        return NULL;
    }
    struct otlp *o = mem_zalloc(sizeof *o);
    o->loop = loop;
    o->curl = curl;
    o->settings = *settings;
    *settings = (struct otlp_settings){0};
    TAILQ_INIT(&o->queue);
    uv_timer_init(loop, &o->timer);
    o->timer.data = o;
    return o;
}

const struct otlp_settings *otlp_settings(const struct otlp *o)
{
    return &o->settings;
}

void otlp_close(struct otlp *o, void (*closed)(void *ctx), void *ctx)
{
    o->closed = closed;
    o->closed_ctx = ctx;
    uv_timer_start(&o->timer, on_timer, CLOSING_MS, 0);
    if (o->posting)
        return;
    if (o->failures)
        end(o);
    else
        begin(o);
}

void otlp_add_span(struct otlp *o, const char *json, size_t len)
{
    if (!o->settings.url[OTLP_TRACES] || o->closed)
        return;
    if (add_span(o, json, len))
        o->dropped++;
    schedule(o);
}

bool otlp_send_metrics(struct otlp *o, const char *json, size_t len)
{
    const struct post *waiting;
    if (!o->settings.url[OTLP_METRICS] || o->closed)
        return false;
    TAILQ_FOREACH (waiting, &o->queue, link)
        if (waiting->signal == OTLP_METRICS)
            return false;
    struct post *p = new_post(o, OTLP_METRICS);
    if (!p)
        return false;
    if (add(p, json, len)) {
        post_remove(p);
        return false;
    }
    schedule(o);
    return true;
}

struct otlp_counts otlp_counts(const struct otlp *o)
{
    return (struct otlp_counts){.sent = o->sent,
                                .dropped = o->dropped,
                                .posts = o->posts,
                                .failed = o->failed,
                                .error = o->error};
}
