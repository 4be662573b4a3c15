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
    struct model *h = ctx;
    (void)body;
    (void)len;
    h->pulse.question = NULL;
    if (status) {
        h->pulse.heard = uv_now(host_loop(h->host));
        h->pulse.unanswered = 0;
    } else {
        h->pulse.unanswered++;
    }
}

static void ask(struct pulse_clock *c, struct model *h)
{
    struct http_fetch_request request = {
        .method = "GET", .target = "/health", .max = ANSWER_MAX, .timeout_ms = part_of(c)};
    h->pulse.question = http_fetch(host_loop(c->host), h->client, &request, on_answer, h);
}

/* Whether it has requests, so that somebody must look again. */
static bool look(struct pulse_clock *c, struct model *h)
{
    struct pulse *p = &h->pulse;
    uint64_t silent = uv_now(host_loop(c->host)) - p->heard;
    p->busy = h->sched.leases > h->sched.stale;
    if (!p->watched || !p->busy)
        return false;
    if (silent < part_of(c)) {
        p->unanswered = 0;
    } else if (p->unanswered >= QUESTIONS) {
        log_error("model %s: its engine has requests, and has neither sent anything nor answered "
                  "/health for %llu ms (--health-timeout): it hangs",
                  h->entry->id, (unsigned long long)silent);
        c->hangs(h);
    } else if (!p->question) {
        ask(c, h);
    }
    return true;
}

static void on_tick(uv_timer_t *timer)
{
    struct pulse_clock *c = timer->data;
    struct sched_model *m, *next;
    bool again = false;
    for (m = TAILQ_FIRST(&host_sched(c->host)->running_models); m; m = next) {
        next = TAILQ_NEXT(m, link);
        again |= look(c, container_of(m, struct model, sched));
    }
    if (!again)
        uv_timer_stop(timer);
}

void pulse_init(struct pulse_clock *c, struct host *host, uint64_t timeout_ms,
                void (*hangs)(struct model *h))
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

void pulse_begin(const struct pulse_clock *c, struct model *h)
{
    h->pulse = (struct pulse){.watched = c->timeout_ms && h->composed.connections > HTTP_RESERVED};
}

void pulse_end(struct model *h)
{
    if (h->pulse.question)
        http_fetch_cancel(h->pulse.question);
    h->pulse = (struct pulse){0};
}

/* Its silence is counted from when it had nothing to do: others that come hide nothing. */
void pulse_expect(struct pulse_clock *c, struct model *h)
{
    uint64_t ms = part_of(c) / TICKS;
    if (!h->pulse.busy)
        h->pulse.heard = uv_now(host_loop(c->host));
    h->pulse.busy = true;
    if (h->pulse.watched && !uv_is_active((uv_handle_t *)&c->timer))
        uv_timer_start(&c->timer, on_tick, ms, ms ? ms : 1);
}
