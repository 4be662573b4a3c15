/* SPDX-License-Identifier: MIT */
#include "api/engine_end.h"

#include <stdlib.h>

#include "base/container_of.h"
#include "base/memory.h"
#include "server/model.h"

static bool ended_by_itself(const struct model *m)
{
    return !model_engine(m) && m->outcome.failure && m->outcome.log;
}

static char *sentence(const struct model *m)
{
    const char *id = m->entry->id;
    const char *reason = outcome_reason_name(m->outcome.reason);
    if (model_engine(m))
        return mem_printf("the engine of model '%s' closed the connection without an answer; try "
                          "again",
                          id);
    if (m->outcome.failure)
        return mem_strdup(m->outcome.failure);
    return mem_printf("the engine of model '%s' was stopped (%s) while it answered; try again", id,
                      reason ? reason : "unloaded");
}

static const char *state_of(const struct model *m)
{
    const char *reason = outcome_reason_name(m->outcome.reason);
    return model_engine(m) || !reason ? "broken_off" : reason;
}

static void on_closed(uv_handle_t *handle)
{
    struct engine_end *e = handle->data;
    e->known(e);
}

/* The model's record tells of this engine until the next one starts, so all is copied now. */
void engine_end_hurry(struct engine_end *e)
{
    if (uv_is_closing((uv_handle_t *)&e->timer))
        return;
    host_unlisten(e->host, &e->listener);
    e->by_itself = ended_by_itself(e->model);
    e->state = state_of(e->model);
    e->text = sentence(e->model);
    e->log = e->by_itself ? mem_strdup(e->model->outcome.log) : NULL;
    uv_close((uv_handle_t *)&e->timer, on_closed);
}

static void on_timeout(uv_timer_t *timer)
{
    engine_end_hurry(timer->data);
}

static void on_host_event(struct host_listener *l, enum host_event event, struct model *m,
                          struct instance *instance)
{
    struct engine_end *e = container_of(l, struct engine_end, listener);
    (void)m;
    if (event == HOST_EV_GONE && instance == e->instance)
        engine_end_hurry(e);
}

void engine_end_await(struct engine_end *e)
{
    e->listener = (struct host_listener){.on_event = on_host_event};
    host_listen(e->host, &e->listener);
    uv_timer_init(host_loop(e->host), &e->timer);
    e->timer.data = e;
    if (model_engine(e->model))
        uv_timer_start(&e->timer, on_timeout, ENGINE_END_MS, 0);
    else
        engine_end_hurry(e);
}

void engine_end_finish(struct engine_end *e)
{
    free(e->text);
    free(e->log);
}
