/* SPDX-License-Identifier: MIT */
#include "server/pending_load.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/model_name.h"
#include "server/host_core.h"

struct pending_load {
    char *id, *by;
    bool operators;       /* an operator asked for it, no request */
    bool waits;           /* the log says so */
    uint64_t given_up_at; /* ms; SCHED_NEVER */
    TAILQ_ENTRY(pending_load) link;
};

static void destroy(struct host *host, struct pending_load *p)
{
    TAILQ_REMOVE(&host->pending_loads, p, link);
    free(p->id);
    free(p->by);
    free(p);
}

static bool is_of(const struct pending_load *p, const char *name)
{
    return strcmp(p->id, name) == 0 || model_name_same(p->id, name);
}

static struct pending_load *find(const struct host *host, const char *name)
{
    struct pending_load *p;
    TAILQ_FOREACH (p, &host->pending_loads, link)
        if (is_of(p, name))
            return p;
    return NULL;
}

static void keep(struct model *m, bool operators, const char *by)
{
    struct host *host = m->host;
    struct pending_load *p = find(host, m->entry->id);
    uint64_t most = host->config->load_timeout_ms;
    if (p)
        destroy(host, p);
    p = mem_zalloc(sizeof *p);
    p->id = mem_strdup(m->entry->id);
    p->by = by ? mem_strdup(by) : NULL;
    p->operators = operators;
    p->given_up_at = most ? uv_now(host->loop) + most : SCHED_NEVER;
    TAILQ_INSERT_TAIL(&host->pending_loads, p, link);
}

void pending_load_keep(struct model *m)
{
    const struct instance *i = model_instance(m);
    if (m->sched.wanted)
        keep(m, true, m->intent.load_by);
    else if (i && i->sched.state == SCHED_LOADING)
        keep(m, i->sched.wanted_since != SCHED_NEVER, i->loaded_by);
}

static void note_waiting(struct pending_load *p)
{
    if (!p->waits)
        log_info("model %s: its load waits for its file", p->id);
    p->waits = true;
}

static void begin(struct host *host, struct pending_load *p, struct model *m)
{
    free(m->intent.load_by);
    m->intent.load_by = mem_printf("%s%sa change of its file while it was loaded",
                                   p->by ? p->by : "", p->by ? ", after " : "");
    destroy(host, p);
    host_sched_event(host, &(struct sched_event){.type = SCHED_EV_LOAD, .model = &m->sched});
    if (!m->sched.wanted) /* it is held */
        mem_replace(&m->intent.load_by, NULL);
}

void pending_load_begin(struct host *host)
{
    struct pending_load *p, *next;
    for (p = TAILQ_FIRST(&host->pending_loads); p; p = next) {
        next = TAILQ_NEXT(p, link);
        struct model *m = host_find(host, p->id);
        if (m && !m->entry->missing)
            begin(host, p, m);
        else if (p->operators)
            note_waiting(p);
        else
            destroy(host, p);
    }
}

const char *pending_load_at(const struct host *host, size_t index)
{
    const struct pending_load *p = TAILQ_FIRST(&host->pending_loads);
    while (p && index--)
        p = TAILQ_NEXT(p, link);
    return p ? p->id : NULL;
}

bool pending_load_has(const struct host *host, const char *name)
{
    return find(host, name);
}

bool pending_load_cancel(struct host *host, const char *name)
{
    struct pending_load *p = find(host, name);
    if (p)
        destroy(host, p);
    return p;
}

void pending_load_cancel_all(struct host *host)
{
    struct pending_load *p, *next;
    for (p = TAILQ_FIRST(&host->pending_loads); p; p = next) {
        next = TAILQ_NEXT(p, link);
        destroy(host, p);
    }
}

void pending_load_expire(struct host *host)
{
    struct pending_load *p, *next;
    for (p = TAILQ_FIRST(&host->pending_loads); p && p->given_up_at <= uv_now(host->loop);
         p = next) {
        next = TAILQ_NEXT(p, link);
        log_warn("model %s: its load is given up: its file has not come back", p->id);
        history_add(&host->history, p->id, "failed", "its file has not come back");
        destroy(host, p);
    }
}

uint64_t pending_load_deadline(const struct host *host)
{
    const struct pending_load *p = TAILQ_FIRST(&host->pending_loads);
    return p ? p->given_up_at : SCHED_NEVER;
}
