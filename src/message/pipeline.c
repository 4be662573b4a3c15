/* SPDX-License-Identifier: MIT */
#include "message/pipeline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* Where a stage's output goes: after stage `index`. */
struct message_out {
    struct pipeline *pipeline;
    unsigned index;
};

void pipeline_init(struct pipeline *p, message_sink *sink, void *ctx)
{
    *p = (struct pipeline){.sink = sink, .ctx = ctx};
}

int pipeline_add(struct pipeline *p, const struct message_transform *t, const void *options)
{
    if (p->n == PIPELINE_STAGES_MAX)
        return -ENOSPC;
    void *state = mem_try_zalloc(t->state_size);
    if (!state)
        return -ENOMEM;
    p->stage[p->n++] = (struct pipeline_stage){.transform = t, .options = options, .state = state};
    return t->init ? t->init(state, options) : 0;
}

static void finish_stage(const struct pipeline_stage *s)
{
    if (s->transform->finish)
        s->transform->finish(s->state);
}

int pipeline_restart(struct pipeline *p)
{
    p->error = 0;
    for (unsigned i = 0; i < p->n && !p->error; i++) {
        const struct pipeline_stage *s = &p->stage[i];
        finish_stage(s);
        memset(s->state, 0, s->transform->state_size);
        if (s->transform->init)
            p->error = s->transform->init(s->state, s->options);
    }
    return p->error;
}

/* To stage `index`, or to the sink after the last. */
static int deliver(struct pipeline *p, unsigned index, const char *data, size_t len)
{
    struct message_out out = {.pipeline = p, .index = index};
    if (index == p->n)
        return p->sink(p->ctx, data, len);
    const struct pipeline_stage *s = &p->stage[index];
    return s->transform->chunk(s->state, data, len, &out);
}

int message_emit(struct message_out *out, const char *data, size_t len)
{
    struct pipeline_stage *s = &out->pipeline->stage[out->index];
    if (!len)
        return 0;
    if (len > s->budget)
        return -ENOBUFS;
    s->budget -= len;
    return deliver(out->pipeline, out->index + 1, data, len);
}

static void renew_budgets(struct pipeline *p)
{
    for (unsigned i = 0; i < p->n; i++)
        p->stage[i].budget = PIPELINE_OUT_MAX;
}

int pipeline_push(struct pipeline *p, const char *data, size_t len)
{
    if (p->error || !len)
        return p->error;
    renew_budgets(p);
    p->error = deliver(p, 0, data, len);
    return p->error;
}

/* In order, so that what a stage held back still passes those after it. */
int pipeline_end(struct pipeline *p)
{
    renew_budgets(p);
    for (unsigned i = 0; i < p->n && !p->error; i++) {
        struct message_out out = {.pipeline = p, .index = i};
        if (p->stage[i].transform->end)
            p->error = p->stage[i].transform->end(p->stage[i].state, &out);
    }
    return p->error;
}

void pipeline_finish(struct pipeline *p)
{
    for (unsigned i = 0; i < p->n; i++) {
        finish_stage(&p->stage[i]);
        free(p->stage[i].state);
    }
    p->n = 0;
}
