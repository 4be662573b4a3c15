/* SPDX-License-Identifier: MIT */
#include "server/load_request.h"

#include <errno.h>
#include <stdlib.h>
#include <uv.h>

#include "base/log.h"
#include "base/memory.h"
#include "server/host_core.h"

#define REQUESTS_MAX 16 /* that are checked at once */

struct load_request {
    struct host *host;
    char *model; /* id: its record may go meanwhile */
    char *by;
    struct load_options options;
    struct engine_launch *launch; /* what the engine would be started with */
    load_request_done *done;      /* NULL: cancelled */
    void *ctx;
    struct load_request *
        *handle; /* the caller's, while load_request_begin() has not returned; else NULL */
    struct footprint computed; /* the estimate of what it takes */
    bool fitting;              /* the dry run is asked */
    uv_work_t work;
    struct engine_args tried; /* a copy for the pool's thread */
    int rc;
    struct error err;
};

static void destroy(struct load_request *r)
{
    struct host *host = r->host;
    if (r->handle)
        *r->handle = NULL;
    engine_launch_release(r->launch);
    load_options_finish(&r->options);
    engine_args_finish(&r->tried);
    free(r->model);
    free(r->by);
    free(r);
    host->load_requests--;
    host_operation_end(host);
}

static void finish(struct load_request *r, int error, const char *why)
{
    if (r->done)
        r->done(error, why, r->ctx);
    destroy(r);
}

/* --- beginning ----------------------------------------------------------------------------------
 */

/* Its engine goes on: nothing else tells of a new ttl. */
static void record_ttl(struct model *m, const char *by)
{
    log_info("model %s has another ttl by %s", m->entry->id, by);
    host_record(m, "ttl", by);
    host_announce(m->host, HOST_EV_INTENT, m, NULL);
}

static void begin(struct load_request *r, struct model *m)
{
    char *with = load_options_describe(&r->options);
    char *by = mem_printf("%s%s", r->by, with);
    uint64_t ttl = m->sched.ttl_ms;
    mem_replace(&m->intent.load_by, by); /* its replacement may begin to load at once */
    model_set_load_options(m, &r->options);
    bool runs = m->load_instance && ttl != m->sched.ttl_ms;
    intent_load(m, by);
    if (runs)
        record_ttl(m, by);
    free(by);
    free(with);
    finish(r, 0, NULL);
}

/* --- whether it can fit -------------------------------------------------------------------------
 */

static bool never_fits(struct model *m, const struct footprint *f)
{
    struct model *evicted[PLACEMENT_VICTIMS_MAX];
    unsigned n;
    bool never;
    placement_would_fit(m, f, evicted, PLACEMENT_VICTIMS_MAX, &n, &never);
    return never;
}

static void refuse(struct load_request *r, const struct model *m, const struct footprint *f)
{
    char *advice = placement_advice(m, f);
    char *why = mem_printf("model '%s' can never fit with these arguments: %s", r->model, advice);
    finish(r, -ENOSPC, why);
    free(why);
    free(advice);
}

static struct model *find(struct load_request *r)
{
    struct model *m = host_find(r->host, r->model);
    if (m && !m->entry->missing)
        return m;
    finish(r, -ENOENT, "the model is gone meanwhile");
    return NULL;
}

/* Without an answer the estimate counts, as for the scheduler. */
static void on_fitted(const struct engine_estimate *result, const char *why, void *ctx)
{
    struct load_request *r = ctx;
    r->fitting = false;
    struct footprint f = r->computed;
    struct model *m = find(r);
    (void)why;
    if (!m)
        return;
    if (result)
        footprint_from_dry_run(&f, result);
    if (never_fits(m, &f))
        refuse(r, m, &f);
    else
        begin(r, m);
}

/* The estimate errs to the high side: before it refuses, the dry run is asked. */
static void weigh(struct load_request *r)
{
    struct model *m = find(r);
    struct footprint *f = &r->computed;
    if (!m)
        return;
    const struct engine_kind *kind = r->launch->program->kind;
    struct engine_question q = footprint_question(m->entry, &r->launch->args, &r->launch->env,
                                                  budget_machine(&r->host->budget));
    q.options = r->launch->program->options;
    if (!r->host->budget.devices || m->entry->header == MODEL_HEADER_PENDING ||
        m->settings.memory) {
        begin(r, m);
        return;
    }
    footprint_estimate(f, kind, &q);
    if (!never_fits(m, f)) {
        begin(r, m);
        return;
    }
    r->fitting = kind->dry_run && m->entry->path &&
                 fitter_ask(r->host->fitter, r->launch->program, &q, FITTER_LATER, on_fitted, r);
    if (!r->fitting)
        refuse(r, m, f);
}

/* --- whether the engine takes the values --------------------------------------------------------
 */

static void check_values(uv_work_t *work)
{
    struct load_request *r = work->data;
    const struct engine_program *program = r->launch->program;
    r->rc = program->kind->values_check(program->path, &r->tried, &r->err);
}

static void on_checked(uv_work_t *work, int status)
{
    struct load_request *r = work->data;
    (void)status;
    if (!r->done)
        destroy(r);
    else if (r->rc)
        finish(r, -EINVAL, r->err.text);
    else
        weigh(r);
}

/* --- the whole ----------------------------------------------------------------------------------
 */

/* Without what a trial must not do: show a secret among the arguments, open a log. */
static void copy_tried(struct load_request *r)
{
    engine_args_merge(&r->tried, &r->options.args);
    engine_args_unset_role(&r->tried, ENGINE_OPTION_TOKEN);
    const struct engine_arg *log = engine_args_find(&r->tried, "--log-file");
    if (log)
        engine_args_unset(&r->tried, log->option);
}

static void check(struct load_request *r, struct model *m)
{
    const struct engine_kind *kind = r->launch->program->kind;
    if (!r->options.args.n || engine_launch_equal(r->launch, m->launch)) {
        begin(r, m);
        return;
    }
    copy_tried(r);
    r->work.data = r;
    if (!kind->values_check || !r->tried.n ||
        uv_queue_work(r->host->loop, &r->work, check_values, on_checked))
        weigh(r);
}

int load_request_begin(struct load_request **out, struct model *m, struct load_options *o,
                       const char *by, load_request_done *done, void *ctx)
{
    struct host *host = m->host;
    *out = NULL;
    if (host->load_requests >= REQUESTS_MAX) {
        load_options_finish(o);
        return -EBUSY;
    }
    struct load_request *r = mem_zalloc(sizeof *r);
    *r = (struct load_request){.host = host,
                               .model = mem_strdup(m->entry->id),
                               .by = mem_strdup(by),
                               .options = *o,
                               .launch = model_compose(m, o),
                               .done = done,
                               .ctx = ctx};
    *o = (struct load_options){0};
    host->load_requests++;
    host_operation_begin(host);
    *out = r;
    r->handle = out;
    check(r, m);
    if (*out) /* it goes on */
        (*out)->handle = NULL;
    return 0;
}

void load_request_cancel(struct load_request *r)
{
    r->done = NULL;
    if (!r->fitting)
        return; /* on_checked() frees it */
    fitter_cancel(r->host->fitter, r);
    destroy(r);
}
