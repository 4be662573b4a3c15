/* SPDX-License-Identifier: MIT */
#include "server/pulse.h"

#include "base/container_of.h"
#include "base/log.h"
#include "server/host.h"

#define QUESTIONS 2
#define TICKS 3          /* in the time between two questions */
#define ANSWER_MAX 65536 /* bytes */

static uint64_t part_of(const struct pulse_clock *c)
{
    return c->timeout_ms / (QUESTIONS + 1);
}

static void on_answer(int status, const char *body, size_t len, void *ctx)
{
    struct instance *i = ctx;
    (void)body;
    (void)len;
    i->pulse.question = NULL;
    if (status > 0) {
        i->pulse.heard = uv_now(host_loop(i->model->host));
        i->pulse.unanswered = 0;
    } else if (status == 0) { /* negative: we could not ask, which is no evidence */
        i->pulse.unanswered++;
    }
}

/* After a reload of presets it may have no such path any more. */
static void ask(struct pulse_clock *c, struct instance *i)
{
    const char *path = engine_launch_health_path(i->launch);
    if (!path)
        return;
    struct http_fetch_request request = {
        .method = "GET", .target = path, .max = ANSWER_MAX, .timeout_ms = part_of(c)};
    i->pulse.question = http_fetch(host_loop(c->host), i->client, &request, on_answer, i);
}

/* Whether it has requests, so that it must be checked again. */
static bool check(struct pulse_clock *c, struct instance *i)
{
    struct pulse *p = &i->pulse;
    uint64_t silent = uv_now(host_loop(c->host)) - p->heard;
    p->busy = i->sched.leases;
    if (!p->watched || !p->busy)
        return false;
    if (silent < part_of(c)) {
        p->unanswered = 0;
    } else if (p->unanswered >= QUESTIONS) {
        log_error("model %s: its engine has requests, and has neither sent anything nor answered "
                  "/health for %llu ms (--health-timeout): it hangs",
                  i->model->entry->id, (unsigned long long)silent);
        c->hangs(i);
    } else if (!p->question) {
        ask(c, i);
    }
    return true;
}

static void on_tick(uv_timer_t *timer)
{
    struct pulse_clock *c = timer->data;
    struct sched_instance *i, *next;
    bool again = false;
    for (i = TAILQ_FIRST(&host_sched(c->host)->instances); i; i = next) {
        next = TAILQ_NEXT(i, link);
        again |= check(c, container_of(i, struct instance, sched));
    }
    if (!again)
        uv_timer_stop(timer);
}

void pulse_init(struct pulse_clock *c, struct host *host, uint64_t timeout_ms,
                void (*hangs)(struct instance *i))
{
    *c = (struct pulse_clock){.host = host, .timeout_ms = timeout_ms, .hangs = hangs};
    uv_timer_init(host_loop(host), &c->timer);
    c->timer.data = c;
}

static void on_closed(uv_handle_t *handle)
{
    struct pulse_clock *c = handle->data;
    c->closed(c->host);
}

void pulse_close(struct pulse_clock *c, void (*closed)(struct host *host))
{
    c->closed = closed;
    uv_close((uv_handle_t *)&c->timer, on_closed);
}

void pulse_begin(const struct pulse_clock *c, struct instance *i)
{
    i->pulse = (struct pulse){.watched = c->timeout_ms && engine_launch_health_path(i->launch) &&
                                         i->launch->connections > HTTP_RESERVED};
}

void pulse_end(struct instance *i)
{
    if (i->pulse.question)
        http_fetch_cancel(i->pulse.question);
    i->pulse = (struct pulse){0};
}

/* Starts the clock on idle → busy; later grants must not reset it. */
void pulse_expect(struct pulse_clock *c, struct instance *i)
{
    uint64_t ms = part_of(c) / TICKS;
    if (!i->pulse.busy)
        i->pulse.heard = uv_now(host_loop(c->host));
    i->pulse.busy = true;
    if (i->pulse.watched && !uv_is_active((uv_handle_t *)&c->timer))
        uv_timer_start(&c->timer, on_tick, ms, ms ? ms : 1);
}
