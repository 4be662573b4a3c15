/* SPDX-License-Identifier: MIT */
/*
 * GET /metrics, and /hostler/v1/metrics, which is there in classic mode too: hostler's figures, and with `?engines=1` those
 * of its engines. No engine is loaded or woken for it. What must be read before (/proc, memory, the engines' own
 * figures) is read side by side, and who has not answered after WAIT_MS is left out.
 */
#include "api/metrics.h"

#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/engine_figures.h"
#include "api/exposition.h"
#include "api/figures.h"
#include "api/meter.h"
#include "api/query.h"
#include "api/reply.h"
#include "api/slices.h"
#include "base/container_of.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/kind.h"
#include "http/fetch.h"
#include "http/target.h"
#include "server/own_usage.h"
#include "server/sampler.h"

#define WAIT_MS 250

/* An engine that is asked. */
struct asked {
    struct scrape *scrape;
    struct http_fetch *fetch; /* NULL: it has answered */
    char *model;
};

struct scrape {
    struct api *api;
    struct http_exchange *x;
    bool open_metrics;
    struct own_usage_question own;
    struct sampler_question memory;
    uv_timer_t timer;
    struct asked *asked;
    size_t n_asked;
    struct engine_figures_list *engines; /* NULL: they are not asked */
    struct figures figures;
    bool ended; /* all of hostler's own is written */
};

static void on_closed(uv_handle_t *timer)
{
    struct scrape *s = timer->data;
    engine_figures_destroy(s->engines);
    free(s->asked);
    free(s);
}

static void end_asked(struct asked *a)
{
    if (a->fetch)
        http_fetch_cancel(a->fetch);
    a->fetch = NULL;
    free(a->model);
    a->model = NULL;
}

/* Nothing that it waits for comes any more. */
static void stop_waiting(struct scrape *s)
{
    uv_timer_stop(&s->timer);
    own_usage_cancel(s->api->own, &s->own);
    sampler_cancel(host_sampler(s->api->host), &s->memory);
    for (size_t i = 0; i < s->n_asked; i++) {
        if (s->asked[i].fetch)
            s->api->meter->engines_silent++;
        end_asked(&s->asked[i]);
    }
    s->n_asked = 0;
}

static void destroy(void *ctx)
{
    struct scrape *s = ctx;
    stop_waiting(s);
    uv_close((uv_handle_t *)&s->timer, on_closed);
}

/* --- writing -------------------------------------------------------------------------------------
 */

static int write_some(void *ctx, struct buf *out, bool *more)
{
    struct scrape *s = ctx;
    struct exposition e = {.out = out, .open_metrics = s->open_metrics};
    if (!s->ended)
        s->ended = !figures_write(&s->figures, &e);
    else if (!s->engines || !engine_figures_write(s->engines, &e))
        *more = false;
    if (!*more)
        exposition_end(&e);
    return e.rc;
}

static void answer(struct scrape *s)
{
    stop_waiting(s);
    meter_take_models(s->api->meter);
    slices_reply_list(
        s->api, s->x,
        &(struct slices_list){.status = 200,
                              .append = write_some,
                              .type = s->open_metrics ? EXPOSITION_OPEN : EXPOSITION_TEXT,
                              .finish = destroy,
                              .ctx = s});
}

/* --- what it waits for ---------------------------------------------------------------------------
 */

static bool is_waiting(const struct scrape *s)
{
    for (size_t i = 0; i < s->n_asked; i++)
        if (s->asked[i].fetch)
            return true;
    return s->own.waits || s->memory.waits;
}

static void answer_if_complete(struct scrape *s)
{
    if (!is_waiting(s))
        answer(s);
}

static void on_own(struct own_usage_question *q)
{
    answer_if_complete(container_of(q, struct scrape, own));
}

static void on_memory(struct sampler_question *q)
{
    answer_if_complete(container_of(q, struct scrape, memory));
}

static void on_time(uv_timer_t *timer)
{
    answer(timer->data);
}

static void on_engine(int status, const char *body, size_t len, void *ctx)
{
    struct asked *a = ctx;
    struct scrape *s = a->scrape;
    char *text = status == 200 ? mem_try_realloc(NULL, len + 1) : NULL;
    a->fetch = NULL;
    if (text) {
        memcpy(text, body, len + 1);
        text_mend(text, len);
        engine_figures_add(s->engines, a->model, text);
        free(text);
    } else if (status > 0) {
        s->api->meter->engines_refused++;
    } else {
        s->api->meter->engines_silent++;
    }
    answer_if_complete(s);
}

/* A kind whose engines have no such route is not asked, and so is one that sleeps or does not serve yet. */
static bool may_be_asked(const struct model *m)
{
    const struct engine_route *route = api_engine_route("GET", "/metrics");
    const struct instance *i = model_instance(m);
    return i && route && i->client && i->sched.state == SCHED_READY &&
           strcmp(instance_status(i), "loaded") == 0 && engine_launch_route(i->launch, route);
}

static void ask_engine(struct scrape *s, const struct model *m)
{
    const struct instance *i = model_instance(m);
    const struct engine_route *r =
        engine_launch_route(i->launch, api_engine_route("GET", "/metrics"));
    struct asked *a = &s->asked[s->n_asked++];
    a->scrape = s;
    a->model = mem_strdup(m->entry->id);
    a->fetch =
        http_fetch(host_loop(s->api->host), i->client,
                   &(struct http_fetch_request){.method = "GET",
                                                .target = r->engine_path ? r->engine_path : r->path,
                                                .max = ENGINE_FIGURES_MAX,
                                                .timeout_ms = WAIT_MS},
                   on_engine, a);
}

static void ask_engines(struct scrape *s)
{
    const struct sched_instance *i;
    size_t most = 0;
    TAILQ_FOREACH (i, &host_sched(s->api->host)->instances, link)
        most++;
    s->engines = engine_figures_create();
    s->asked = mem_zalloc((most + 1) * sizeof *s->asked);
    TAILQ_FOREACH (i, &host_sched(s->api->host)->instances, link) {
        const struct instance *instance = container_of(i, struct instance, sched);
        if (instance->model && model_instance(instance->model) == instance &&
            may_be_asked(instance->model))
            ask_engine(s, instance->model);
    }
}

/* Cards that may sleep while no engine runs are not woken: their figures are those of the last reading. */
static bool may_read_memory(const struct host *host)
{
    return host_sched(host)->running || host_snapshot(host)->figures.n == 1;
}

static void ask_memory(struct scrape *s)
{
    struct sampler *sampler = host_sampler(s->api->host);
    if (may_read_memory(s->api->host) && !sampler_is_current(sampler))
        (void)sampler_ask(sampler, &s->memory, on_memory);
}

/* --- the request ---------------------------------------------------------------------------------
 */

static void on_gone(struct http_exchange *x, void *ctx)
{
    (void)x;
    destroy(ctx);
}

static void on_make_way(struct http_exchange *x, void *ctx)
{
    (void)x;
    answer(ctx);
}

static void scrape(struct api *api, struct http_exchange *x)
{
    static const struct http_exchange_events events = {.gone = on_gone, .make_way = on_make_way};
    struct scrape *s = mem_zalloc(sizeof *s);
    const char *accept = http_head_get(http_exchange_head(x), "accept");
    bool engines = query_has(x, "engines") ? query_flag(x, "engines")
                                           : host_config(api->host)->metrics_engines;
    *s = (struct scrape){.api = api,
                         .x = x,
                         .open_metrics = exposition_wants_open_metrics(accept),
                         .own.answered = on_own,
                         .figures.api = api};
    http_exchange_server_load(x, &s->figures.load);
    uv_timer_init(host_loop(api->host), &s->timer);
    s->timer.data = s;
    uv_timer_start(&s->timer, on_time, WAIT_MS, 0);
    http_exchange_take(x, &events, s);
    own_usage_ask(api->own, &s->own);
    ask_memory(s);
    if (engines && !http_exchange_lacks_memory(x))
        ask_engines(s);
}

void api_own_metrics(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    (void)caller;
    scrape(api, x);
}

/* Who names a model asks its engine, as in llama.cpp's router. */
void api_metrics(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    char *model = target_query(http_exchange_target(x), "model");
    if (!model)
        scrape(api, x);
    else if (http_exchange_lacks_memory(x))
        reply_no_memory(x);
    else if (http_exchange_is_over_limit(x))
        http_exchange_refuse_over_limit(x);
    else
        api_inference(api, x, caller, api_engine_route("GET", "/metrics"));
    free(model);
}
