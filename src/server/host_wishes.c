/* SPDX-License-Identifier: MIT */
/* What operators ask for: to load and unload, holds, pins. Holds and pins belong to the name: they
 * outlast a file that is replaced, and the daemon. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "server/host_core.h"

#define KEPT_MAX 20000 /* names that have a hold, or a pin */
#define LATEST 1e12    /* Unix time of a hold's end that is still one; the file may say anything */

/* `event`: of the history, static. */
static void record_wish(struct model *h, const char *event, const char *why)
{
    host_record(h, event, why);
    host_announce(h->host, HOST_EV_WISHED, h);
}

void host_load(struct model *h, const char *by)
{
    if (h->sched.state == SCHED_UNLOADED) {
        host_set_failure(h, NULL);
        h->reason = HOST_NEVER;
    }
    mem_replace(&h->wanted_by, by);
    host_release(h, by);
    host_tell(h->host, &(struct sched_event){.type = SCHED_EV_LOAD, .model = &h->sched});
}

void host_unload(struct model *h, uint64_t drain_until, const char *reason, const char *by)
{
    if (by) {
        free(h->unload_by);
        h->unload_by = mem_printf("%s%s%s", by, reason ? ": " : "", reason ? reason : "");
    }
    host_tell(h->host, &(struct sched_event){.type = SCHED_EV_UNLOAD,
                                             .model = &h->sched,
                                             .drain_until = drain_until});
}

void host_keep(struct model *h)
{
    log_warn("model %s is still busy: it stays loaded", h->entry->id);
    host_tell(h->host, &(struct sched_event){.type = SCHED_EV_KEEP, .model = &h->sched});
}

/* --- holds --------------------------------------------------------------------------------------
 */

static void keep_hold(struct model *h)
{
    uint64_t now = uv_now(h->host->loop), until = h->sched.held_until;
    uint64_t left = until > now ? until - now : 0; /* the loop's clock may have gone on since */
    json_t *kept = json_object();
    json_object_set_new(kept, "until",
                        until == SCHED_NEVER ? json_null()
                                             : json_real(clock_unix() + (double)left / 1000));
    json_object_set_new(kept, "reason", h->held_reason ? json_string(h->held_reason) : NULL);
    json_object_set_new(kept, "by", h->held_by ? json_string(h->held_by) : NULL);
    state_set(h->host->state, "holds", h->entry->id, kept, KEPT_MAX);
}

static void begin_hold(struct model *h, uint64_t until, const char *reason, const char *by)
{
    mem_replace(&h->held_reason, reason);
    mem_replace(&h->held_by, by);
    if (until < h->host->hold_ends)
        h->host->hold_ends = until;
    host_tell(h->host, &(struct sched_event){
                           .type = SCHED_EV_HOLD, .model = &h->sched, .hold_until = until});
}

void host_hold(struct model *h, uint64_t until, const char *reason, const char *by)
{
    log_info("model %s is held by %s%s%s", h->entry->id, by ? by : "an operator",
             reason ? ": " : "", reason ? reason : "");
    begin_hold(h, until, reason, by);
    keep_hold(h);
    record_wish(h, "hold", h->held_by);
}

bool host_is_held(const struct model *h)
{
    return h->sched.held_until > uv_now(h->host->loop);
}

/* host_pump() is to follow. */
static void end_hold(struct model *h, const char *why)
{
    state_set(h->host->state, "holds", h->entry->id, NULL, KEPT_MAX);
    sched_event(&h->host->sched,
                &(struct sched_event){.type = SCHED_EV_RELEASE, .model = &h->sched},
                uv_now(h->host->loop));
    record_wish(h, "release", why);
}

void host_release(struct model *h, const char *by)
{
    if (!host_is_held(h))
        return;
    log_info("model %s is released by %s", h->entry->id, by ? by : "an operator");
    end_hold(h, by);
    host_pump(h->host);
}

static void end_hold_in_time(struct model *h)
{
    log_info("model %s is held no more: the time is up", h->entry->id);
    end_hold(h, "its time is up");
}

void host_end_holds(struct host *host)
{
    struct model *h;
    uint64_t now = uv_now(host->loop);
    if (now < host->hold_ends)
        return;
    host->hold_ends = SCHED_NEVER;
    TAILQ_FOREACH (h, &host->all, link) {
        uint64_t until =
            h->entry->removed ? 0 : h->sched.held_until; /* then it is the next record's */
        if (until && until <= now)
            end_hold_in_time(h);
        else if (until && until < host->hold_ends)
            host->hold_ends = until;
    }
}

static void restore_hold(struct model *h)
{
    json_t *kept = state_get(h->host->state, "holds", h->entry->id);
    json_t *until = json_object_get(kept, "until");
    double left = json_number_value(until) - clock_unix();
    bool ends = json_is_number(until) && json_number_value(until) < LATEST;
    if (!kept)
        return;
    if (ends && left <= 0) {
        state_set(h->host->state, "holds", h->entry->id, NULL, KEPT_MAX);
        return;
    }
    begin_hold(h, ends ? uv_now(h->host->loop) + (uint64_t)(left * 1000) + 1 : SCHED_NEVER,
               json_string_value(json_object_get(kept, "reason")),
               json_string_value(json_object_get(kept, "by")));
}

/* --- pins ---------------------------------------------------------------------------------------
 */

bool host_is_pinned(const struct model *h)
{
    if (h->host->config->classic || h->pin == PIN_ON)
        return true;
    return h->settings.pinned && h->pin != PIN_OFF;
}

void host_pin(struct model *h, bool on, const char *by)
{
    bool before = host_is_pinned(h);
    h->pin = on ? PIN_ON : PIN_OFF;
    h->sched.pinned = host_is_pinned(h);
    state_set(h->host->state, "pins", h->entry->id, json_boolean(on), KEPT_MAX);
    if (before == h->sched.pinned)
        return;
    log_info("model %s is %s by %s", h->entry->id, on ? "pinned" : "unpinned", by);
    record_wish(h, on ? "pin" : "unpin", by);
    host_tell(h->host, &(struct sched_event){.type = SCHED_EV_TICK});
}

void host_restore_wishes(struct model *h)
{
    json_t *pin = state_get(h->host->state, "pins", h->entry->id);
    if (pin)
        h->pin = json_is_true(pin) ? PIN_ON : PIN_OFF;
    h->sched.pinned = host_is_pinned(h);
    restore_hold(h);
}
