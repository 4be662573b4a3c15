/* SPDX-License-Identifier: MIT */
#include "api/otlp_metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "api/api.h"
#include "api/exposition.h"
#include "api/figures.h"
#include "api/meter.h"
#include "base/clock.h"
#include "base/container_of.h"
#include "base/log.h"
#include "base/memory.h"
#include "server/otlp.h"
#include "server/own_usage.h"

#define SLICE_NS 1000000 /* of a turn of the loop */

struct otlp_metrics {
    struct api *api;
    uv_timer_t interval, turn;
    struct own_usage_question own;
    bool writing;
    struct figures figures;
    struct exposition exposition;
    struct buf out;
    char started[24], now[24]; /* Unix time, ns */
    unsigned open;             /* timers that are not closed */
};

static void print_time(char *out, size_t size, double seconds)
{
    snprintf(out, size, "%" PRIu64, (uint64_t)(seconds * 1e6) * 1000);
}

static void begin(struct otlp_metrics *m)
{
    meter_take_models(m->api->meter);
    print_time(m->started, sizeof m->started, own_usage_started(m->api->own));
    print_time(m->now, sizeof m->now, clock_unix());
    buf_clear(&m->out);
    m->figures = (struct figures){.api = m->api};
    m->exposition = (struct exposition){
        .out = &m->out, .form = &exposition_otlp, .started = m->started, .now = m->now};
    m->writing = true;
}

static void end(struct otlp_metrics *m)
{
    m->writing = false;
    exposition_end(&m->exposition);
    if (m->exposition.rc)
        log_warn_once("OpenTelemetry: the figures take more than %zu MiB: they are not sent",
                      OTLP_WAITING_MAX >> 20);
    else
        otlp_send_metrics(m->api->otlp, m->out.data, m->out.len);
    buf_finish(&m->out);
}

static void on_turn(uv_timer_t *timer)
{
    struct otlp_metrics *m = timer->data;
    const uint64_t until = uv_hrtime() + SLICE_NS;
    do
        if (m->exposition.rc || !figures_write(&m->figures, &m->exposition)) {
            end(m);
            return;
        }
    while (uv_hrtime() < until);
    uv_timer_start(&m->turn, on_turn, 0, 0);
}

static void on_own(struct own_usage_question *q)
{
    struct otlp_metrics *m = container_of(q, struct otlp_metrics, own);
    begin(m);
    on_turn(&m->turn);
}

static void on_interval(uv_timer_t *timer)
{
    struct otlp_metrics *m = timer->data;
    if (!m->writing && !m->own.waits) {
        m->own.answered = on_own;
        own_usage_ask(m->api->own, &m->own);
    }
}

struct otlp_metrics *otlp_metrics_create(struct api *api)
{
    const struct otlp_settings *s = otlp_settings(api->otlp);
    if (!s->url[OTLP_METRICS])
        return NULL;
    struct otlp_metrics *m = mem_zalloc(sizeof *m);
    m->api = api;
    buf_init(&m->out, OTLP_WAITING_MAX);
    uv_timer_init(host_loop(api->host), &m->interval);
    uv_timer_init(host_loop(api->host), &m->turn);
    m->interval.data = m->turn.data = m;
    m->open = 2;
    uv_timer_start(&m->interval, on_interval, s->metrics_interval_ms, s->metrics_interval_ms);
    return m;
}

static void on_closed(uv_handle_t *timer)
{
    struct otlp_metrics *m = timer->data;
    if (--m->open)
        return;
    buf_finish(&m->out);
    free(m);
}

void otlp_metrics_destroy(struct otlp_metrics *m)
{
    if (!m)
        return;
    own_usage_cancel(m->api->own, &m->own);
    begin(m);
    while (!m->exposition.rc && figures_write(&m->figures, &m->exposition))
        ;
    end(m);
    uv_close((uv_handle_t *)&m->interval, on_closed);
    uv_close((uv_handle_t *)&m->turn, on_closed);
}
