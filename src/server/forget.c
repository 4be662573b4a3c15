/* SPDX-License-Identifier: MIT */
#include "server/forget.h"

#include <stdlib.h>
#include <string.h>

#include "base/container_of.h"
#include "base/memory.h"
#include "server/host_core.h"
#include "server/prompt_store.h"
#include "server/prompt_trust.h"
#include "server/prompts.h"

struct forget {
    struct host *host;
    struct forgotten result;
    unsigned pending;  /* removals of the store that go on */
    forget_done *done; /* NULL before forget_end() */
    void *ctx;
};

struct forget *forget_begin(struct host *host)
{
    struct forget *f = mem_zalloc(sizeof *f);
    f->host = host;
    host_operation_begin(host);
    return f;
}

static void finish_if_over(struct forget *f)
{
    struct host *host = f->host;
    if (f->pending || !f->done)
        return;
    f->done(&f->result, f->ctx);
    free(f);
    host_operation_end(host);
}

static void on_cleared(int rc, uint64_t files, uint64_t bytes, void *ctx)
{
    struct forget *f = ctx;
    f->pending--;
    f->result.files += files;
    f->result.bytes += bytes;
    if (!f->result.rc)
        f->result.rc = rc;
    finish_if_over(f);
}

static void tell_engines(struct host *host, const char *model)
{
    struct sched_instance *s;
    TAILQ_FOREACH (s, &host->sched.instances, link) {
        struct instance *i = container_of(s, struct instance, sched);
        if (!model || strcmp(i->model->entry->id, model) == 0)
            prompts_note_cleared(i);
    }
}

void forget_model(struct forget *f, const char *model)
{
    struct prompt_store *store = prompts_store(f->host->prompts);
    if (!store)
        return;
    f->pending++;
    prompt_store_clear(store, model, on_cleared, f);
    prompt_trust_reset(f->host->state, model);
    tell_engines(f->host, model);
}

void forget_others(struct forget *f, bool (*keeps)(const char *model, void *ctx), void *ctx)
{
    const struct prompt_store *store = prompts_store(f->host->prompts);
    const struct prompt_file *file;
    size_t i = 0;
    /* A removal keeps the order of the others: those before `i` stay. */
    while (store && (file = prompt_store_at(store, i))) {
        if (keeps(file->model, ctx)) {
            i++;
            continue;
        }
        char *model = mem_strdup(file->model);
        forget_model(f, model);
        free(model);
    }
}

void forget_end(struct forget *f, forget_done *done, void *ctx)
{
    f->done = done;
    f->ctx = ctx;
    finish_if_over(f);
}
