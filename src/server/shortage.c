/* SPDX-License-Identifier: MIT */
#include "server/shortage.h"

#include "base/container_of.h"
#include "base/log.h"
#include "server/host_core.h"

#define MIB ((uint64_t)1 << 20)
#define STALL_SPAN_MS 500 /* a share of less time says little */

static const struct memory_device *host_memory(const struct host *host)
{
    return &host->budget.snapshot->figures.device[0];
}

/* Since the reading before, or a longer one. */
static bool is_stalled(struct shortage *s, const struct snapshot *snapshot)
{
    uint64_t span = snapshot->began_at - s->read_at, stalled = snapshot->stalled - s->stalled;
    bool first = !s->read_at;
    if (!first && span < STALL_SPAN_MS)
        return false;
    s->read_at = snapshot->began_at;
    s->stalled = snapshot->stalled;
    return !first && stalled / 1000 >= span / 10;
}

static void note_begin(struct shortage *s, const struct memory_device *d)
{
    s->is_short = true;
    log_warn(
        "the host runs short of memory: %llu of %llu MiB are available; idle engines are unloaded",
        (unsigned long long)(d->available / MIB), (unsigned long long)(d->total / MIB));
}

static void update(struct host *host)
{
    struct shortage *s = &host->shortage;
    const struct memory_device *d = host_memory(host);
    uint64_t margin = memory_margin(d);
    bool stalled = is_stalled(s, host->budget.snapshot);
    if (!s->is_short && (d->available < margin / 4 || (stalled && d->available < margin / 2)))
        note_begin(s, d);
    if (!s->is_short || d->available < margin / 2)
        return;
    s->is_short = false;
    log_info("the host is no longer short of memory: %llu MiB are available",
             (unsigned long long)(d->available / MIB));
}

static uint64_t pace(const struct host *host)
{
    const struct memory_device *d = host_memory(host);
    if (host->shortage.is_short || host->shortage.alarmed)
        return SHORTAGE_NOW_MS;
    return d->available < 2 * memory_margin(d) ? SHORTAGE_NEAR_MS : SHORTAGE_FAR_MS;
}

static void on_timer(uv_timer_t *timer)
{
    struct host *host = timer->data;
    host->shortage.alarmed = false;
    sampler_refresh(host->sampler);
}

static void on_pressure(struct pressure *p)
{
    struct shortage *s = container_of(p, struct shortage, pressure);
    struct host *host = s->timer.data;
    s->alarmed = true;
    log_debug("the kernel reports pressure on memory: the figures are read");
    sampler_refresh(host->sampler);
}

static void stand_down(struct shortage *s)
{
    uv_timer_stop(&s->timer);
    pressure_ignore(&s->pressure);
    s->is_short = s->alarmed = false;
}

void shortage_check(struct host *host)
{
    struct shortage *s = &host->shortage;
    if (!host->budget.devices || !host_memory(host)->total || TAILQ_EMPTY(&host->sched.instances)) {
        stand_down(s);
        return;
    }
    update(host);
    if (!s->alarmed)
        pressure_listen(&s->pressure);
    uv_timer_start(&s->timer, on_timer, pace(host), 0);
    if (s->is_short && host->budget.snapshot->began_at >= s->freed_at)
        host_sched_event(host, &(struct sched_event){.type = SCHED_EV_SHORT});
}

void shortage_note_end(struct host *host)
{
    host->shortage.freed_at = uv_now(host->loop);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct host *host = handle->data;
    host->shortage.closed(host);
}

static void on_pressure_closed(struct pressure *p)
{
    struct shortage *s = container_of(p, struct shortage, pressure);
    uv_close((uv_handle_t *)&s->timer, on_timer_closed);
}

void shortage_init(struct host *host)
{
    struct shortage *s = &host->shortage;
    uv_timer_init(host->loop, &s->timer);
    s->timer.data = host;
    bool counts = host->budget.devices; /* else no engine is unloaded for it */
    pressure_init(&s->pressure, host->loop, counts ? memory_pressure_open() : -1,
                  counts ? memory_events_file() : NULL, on_pressure);
}

void shortage_close(struct host *host, void (*closed)(struct host *host))
{
    host->shortage.closed = closed;
    pressure_close(&host->shortage.pressure, on_pressure_closed);
}
