/* SPDX-License-Identifier: MIT */
/* What operators ask for: to load and unload, holds, pins. Holds and pins belong to the name: they
 * outlast a file that is replaced, and the daemon. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "server/host_core.h"

#define KEPT_MAX 20000 /* names that have a hold, or a pin, in the state folder */
#define LATEST 1e12    /* Unix time of a hold's end that is still one; the file may say anything */

/* `event`: of the history, static. */
static void record(struct model *m, const char *event, const char *why)
{
    host_record(m, event, why);
    host_announce(m->host, HOST_EV_INTENT, m, NULL);
}

void intent_load(struct model *m, const char *by)
{
    bool was_to_go = model_is_to_go(m);
    if (model_state(m) == SCHED_UNLOADED) {
        outcome_set_failure(&m->outcome, NULL, NULL);
        m->outcome.reason = OUTCOME_NONE;
    }
    mem_replace(&m->intent.load_by, by);
    intent_release(m, by);
    host_sched_event(m->host, &(struct sched_event){.type = SCHED_EV_LOAD, .model = &m->sched});
    if (!m->sched.wanted &&
        !model_waits(m)) /* it loads or is loaded: the next load is somebody else's */
        mem_replace(&m->intent.load_by, NULL);
    if (was_to_go && !model_is_to_go(m)) {
        mem_replace(&m->intent.unload_by, NULL);
        host_announce(m->host, HOST_EV_STAYS, m, NULL);
    }
}

static void note_unloader(struct model *m, const char *reason, const char *by)
{
    if (!by)
        return;
    free(m->intent.unload_by);
    m->intent.unload_by = mem_printf("%s%s%s", by, reason ? ": " : "", reason ? reason : "");
}

void intent_unload_when_idle(struct model *m, const char *reason, const char *by)
{
    bool listed = !m->entry->removed; /* else it may be freed by the event */
    note_unloader(m, reason, by);
    host_sched_event(m->host,
                     &(struct sched_event){.type = SCHED_EV_UNLOAD_IDLE, .model = &m->sched});
    if (listed)
        model_drop_load(m);
}

void intent_unload(struct model *m, uint64_t drain_until, const char *reason, const char *by)
{
    bool listed = !m->entry->removed;
    note_unloader(m, reason, by);
    host_sched_event(m->host, &(struct sched_event){.type = SCHED_EV_UNLOAD,
                                                    .model = &m->sched,
                                                    .drain_until = drain_until});
    if (listed)
        model_drop_load(m);
}

void intent_cancel_unload(struct model *m)
{
    log_warn("model %s is still busy: it stays loaded", m->entry->id);
    mem_replace(&m->intent.unload_by, NULL);
    host_sched_event(m->host, &(struct sched_event){.type = SCHED_EV_KEEP, .model = &m->sched});
    host_announce(m->host, HOST_EV_STAYS, m, NULL);
}

/* --- holds --------------------------------------------------------------------------------------
 */

struct hold_order *hold_order_create(uint64_t until, const char *reason, const char *by)
{
    struct hold_order *order = mem_zalloc(sizeof *order);
    *order = (struct hold_order){.until = until,
                                 .reason = reason ? mem_strdup(reason) : NULL,
                                 .by = by ? mem_strdup(by) : NULL,
                                 .users = 1};
    return order;
}

void hold_order_release(struct hold_order *order)
{
    if (!order || --order->users)
        return;
    free(order->reason);
    free(order->by);
    free(order);
}

static void set_order(struct model *m, struct hold_order *order)
{
    if (order)
        order->users++;
    hold_order_release(m->intent.hold);
    m->intent.hold = order;
}

static void store_hold(struct model *m)
{
    const struct hold_order *order = m->intent.hold;
    uint64_t now = uv_now(m->host->loop);
    uint64_t left = order->until > now ? order->until - now : 0; /* the loop's clock goes on */
    json_t *kept = json_object();
    json_object_set_new(
        kept, "until",
        order->until == SCHED_NEVER ? json_null() : json_real(clock_unix() + (double)left / 1000));
    json_object_set_new(kept, "reason", order->reason ? json_string(order->reason) : NULL);
    json_object_set_new(kept, "by", order->by ? json_string(order->by) : NULL);
    state_set(m->host->state, "holds", m->entry->id, kept, KEPT_MAX);
}

void intent_begin_hold(struct model *m, struct hold_order *order)
{
    set_order(m, order);
    pending_load_cancel(m->host, m->entry->id);
    if (order->until < m->host->hold_ends)
        m->host->hold_ends = order->until;
    sched_event(&m->host->sched,
                &(struct sched_event){
                    .type = SCHED_EV_HOLD, .model = &m->sched, .hold_until = order->until},
                uv_now(m->host->loop));
    model_drop_load(m);
}

void intent_perform_holds(struct host *host)
{
    host_pump(host);
}

void intent_record_hold(struct model *m, const struct hold_order *order)
{
    if (m->intent.hold != order)
        return;
    log_info("model %s is held by %s%s%s", m->entry->id, order->by ? order->by : "an operator",
             order->reason ? ": " : "", order->reason ? order->reason : "");
    store_hold(m);
    record(m, "hold", order->by);
}

void intent_leave(struct model *m)
{
    if (m->intent.hold && intent_is_held(m))
        store_hold(m);
}

void intent_hold(struct model *m, uint64_t until, const char *reason, const char *by)
{
    struct hold_order *order = hold_order_create(until, reason, by);
    intent_begin_hold(m, order);
    intent_record_hold(m, order);
    host_pump(m->host);
    hold_order_release(order);
}

const char *intent_hold_reason(const struct model *m)
{
    return m->intent.hold ? m->intent.hold->reason : NULL;
}

const char *intent_hold_by(const struct model *m)
{
    return m->intent.hold ? m->intent.hold->by : NULL;
}

bool intent_is_held(const struct model *m)
{
    return m->sched.held_until > uv_now(m->host->loop);
}

/* The caller calls host_pump() afterwards. */
static void end_hold(struct model *m, const char *why)
{
    state_set(m->host->state, "holds", m->entry->id, NULL, KEPT_MAX);
    set_order(m, NULL);
    sched_event(&m->host->sched,
                &(struct sched_event){.type = SCHED_EV_RELEASE, .model = &m->sched},
                uv_now(m->host->loop));
    record(m, "release", why);
}

void intent_release(struct model *m, const char *by)
{
    if (!intent_is_held(m))
        return;
    log_info("model %s is released by %s", m->entry->id, by ? by : "an operator");
    end_hold(m, by);
    host_pump(m->host);
}

static void end_hold_in_time(struct model *m)
{
    log_info("model %s is not held any more: its time is over", m->entry->id);
    end_hold(m, "its time is up");
}

void intent_end_holds(struct host *host)
{
    struct model *m;
    uint64_t now = uv_now(host->loop);
    if (now < host->hold_ends)
        return;
    host->hold_ends = SCHED_NEVER;
    TAILQ_FOREACH (m, &host->models, link) {
        uint64_t until =
            m->entry->removed ? 0 : m->sched.held_until; /* the hold is the next record's then */
        if (until && until <= now)
            end_hold_in_time(m);
        else if (until && until < host->hold_ends)
            host->hold_ends = until;
    }
}

/* What is kept of the model. An earlier version kept it under the name of the model's section as written, which may
 * be another spelling of the id: it is moved. */
static json_t *take_kept(struct model *m, const char *section)
{
    struct state *state = m->host->state;
    const char *id = m->entry->id, *written = presets_of(&m->host->presets, id)->name;
    json_t *kept = state_get(state, section, id);
    if (kept || strcmp(written, id) == 0 || !(kept = state_get(state, section, written)))
        return kept;
    state_set(state, section, id, json_incref(kept), KEPT_MAX);
    state_set(state, section, written, NULL, KEPT_MAX);
    return state_get(state, section, id);
}

static void restore_hold(struct model *m)
{
    json_t *kept = take_kept(m, "holds");
    json_t *until = json_object_get(kept, "until");
    double left = json_number_value(until) - clock_unix();
    bool ends = json_is_number(until) && json_number_value(until) < LATEST;
    if (!kept)
        return;
    if (ends && left <= 0) {
        state_set(m->host->state, "holds", m->entry->id, NULL, KEPT_MAX);
        return;
    }
    struct hold_order *order =
        hold_order_create(ends ? uv_now(m->host->loop) + (uint64_t)(left * 1000) + 1 : SCHED_NEVER,
                          json_string_value(json_object_get(kept, "reason")),
                          json_string_value(json_object_get(kept, "by")));
    intent_begin_hold(m, order);
    hold_order_release(order);
}

/* --- pins ---------------------------------------------------------------------------------------
 */

bool intent_is_pinned(const struct model *m)
{
    if (m->host->config->classic || m->intent.pin == PIN_ON)
        return true;
    return m->settings.pinned && m->intent.pin != PIN_OFF;
}

void intent_pin(struct model *m, bool on, const char *by)
{
    bool before = intent_is_pinned(m);
    m->intent.pin = on ? PIN_ON : PIN_OFF;
    m->sched.pinned = intent_is_pinned(m);
    state_set(m->host->state, "pins", m->entry->id, json_boolean(on), KEPT_MAX);
    if (before == m->sched.pinned)
        return;
    log_info("model %s is %s by %s", m->entry->id, on ? "pinned" : "unpinned", by);
    record(m, on ? "pin" : "unpin", by);
    host_sched_event(m->host, &(struct sched_event){.type = SCHED_EV_TICK});
}

void intent_restore(struct model *m)
{
    json_t *pin = take_kept(m, "pins");
    if (pin)
        m->intent.pin = json_is_true(pin) ? PIN_ON : PIN_OFF;
    m->sched.pinned = intent_is_pinned(m);
    restore_hold(m);
}

void intent_finish(struct intent *i)
{
    hold_order_release(i->hold);
    free(i->load_by);
    free(i->unload_by);
}
