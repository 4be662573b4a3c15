/* SPDX-License-Identifier: MIT */
#include "engine/download.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/container_of.h"
#include "base/log.h"
#include "base/memory.h"
#include "engine/environment.h"
#include "engine/process.h"

#define STOP_MS 5000

struct download {
    const struct engine_kind *kind;
    char *repo;
    struct download_events events;
    void *ctx;
    struct process process;
    bool fetched;   /* it has begun to fetch a file */
    bool finished;  /* it reported that it has finished, */
    bool failed;    /* or that it failed */
    bool cancelled; /* before either report */
};

static struct download *download_of(struct process *p)
{
    return container_of(p, struct download, process);
}

const char *download_outcome_name(enum download_outcome outcome)
{
    switch (outcome) {
    case DOWNLOAD_DONE:
        return "done";
    case DOWNLOAD_NOTHING:
        return "nothing";
    case DOWNLOAD_FAILED:
        return "failed";
    case DOWNLOAD_CANCELLED:
        return "cancelled";
    }
    return "?";
}

static enum download_outcome outcome_of(const struct download *d)
{
    if (d->finished && d->fetched)
        return DOWNLOAD_DONE;
    if (d->cancelled)
        return DOWNLOAD_CANCELLED;
    return d->finished ? DOWNLOAD_NOTHING : DOWNLOAD_FAILED;
}

/* --- the end */

static void stop(struct download *d)
{
    const struct engine_downloading *k = d->kind->downloading;
    struct process_stop early = {
        .steps = k->stop_early, .n = k->n_stop_early, .timeout_ms = STOP_MS};
    struct process_stop late = {.steps = k->stop, .n = k->n_stop, .timeout_ms = STOP_MS};
    process_stop(&d->process, d->fetched || d->finished || d->failed ? &late : &early, false);
}

void download_cancel(struct download *d)
{
    if (!d->process.running || d->finished || d->failed)
        return;
    d->cancelled = true;
    stop(d);
}

static void on_gone(struct process *p)
{
    struct download *d = download_of(p);
    enum download_outcome outcome = outcome_of(d);
    log_info("download %s (pid %d): %s", d->repo, (int)p->pid, download_outcome_name(outcome));
    d->events.done(d, outcome, d->ctx); /* may destroy it */
}

static void on_closed(struct process *p)
{
    struct download *d = download_of(p);
    free(d->repo);
    free(d);
}

void download_destroy(struct download *d)
{
    if (d)
        process_close(&d->process, on_closed);
}

/* --- what it reports */

static uint64_t bytes(const json_t *payload, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(payload, key));
    return value > 0 ? (uint64_t)value : 0;
}

static void take_progress(struct download *d, const json_t *payload)
{
    const char *url = json_string_value(json_object_get(payload, "url"));
    if (!url)
        return;
    d->fetched = true;
    if (d->events.progress && !d->cancelled)
        d->events.progress(d, url, bytes(payload, "downloaded"), bytes(payload, "total"), d->ctx);
}

static void take_result(struct download *d, bool finished)
{
    d->finished = finished;
    d->failed = !finished;
    stop(d); /* it waits for the line that ends it */
}

static void refuse_serving(struct download *d)
{
    log_warn("download %s (pid %d): this %s is too old, it has no download mode", d->repo,
             (int)d->process.pid, d->kind->program);
    stop(d);
    d->failed = true;
}

static void on_report(struct process *p, const struct engine_report *report)
{
    struct download *d = download_of(p);
    if (d->finished || d->failed)
        return;
    switch (report->type) {
    case ENGINE_REPORT_DOWNLOADING:
        take_progress(d, report->payload);
        return;
    case ENGINE_REPORT_DOWNLOADED:
    case ENGINE_REPORT_NOT_DOWNLOADED:
        take_result(d, report->type == ENGINE_REPORT_DOWNLOADED);
        return;
    case ENGINE_REPORT_LOADING: /* it serves the model instead of fetching it */
    case ENGINE_REPORT_READY:
    case ENGINE_REPORT_SLEEPING:
        refuse_serving(d);
        return;
    }
}

/* --- the start */

static const struct process_events process_events = {.report = on_report, .gone = on_gone};

static int start_process(struct download *d, uv_loop_t *loop, const struct download_spec *spec,
                         struct error *err)
{
    const struct engine_kind *k = spec->kind;
    char *argv[] = {mem_strdup(spec->binary), NULL};
    struct strv extra = {0}, env = {0};
    if (k->hub_environment)
        k->hub_environment(&extra, environ);
    if (spec->env)
        strv_copy(&extra, spec->env);
    int rc = k->downloading->compose(&extra, d->repo, err);
    environment_compose(&env, environ, &extra);
    if (k->environment)
        k->environment(&env);
    if (!rc) {
        rc = process_start(&d->process, loop, argv, env.v, NULL);
        if (rc)
            error_set(err, rc, "cannot start %s: %s", spec->binary, strerror(-rc));
    }
    free(argv[0]);
    strv_finish(&extra);
    strv_finish(&env);
    return rc;
}

int download_start(struct download **out, uv_loop_t *loop, const struct download_spec *spec,
                   const struct download_events *events, void *ctx, struct error *err)
{
    struct download *d = mem_zalloc(sizeof *d);
    d->kind = spec->kind;
    d->repo = mem_strdup(spec->repo);
    d->events = *events;
    d->ctx = ctx;
    process_init(&d->process, "download", d->repo, spec->kind->parse, &process_events);
    int rc = start_process(d, loop, spec, err);
    if (rc) {
        download_destroy(d);
        return rc;
    }
    log_info("download %s (pid %d): started", d->repo, (int)d->process.pid);
    *out = d;
    return 0;
}

/* --- reading */

const char *download_repo(const struct download *d)
{
    return d->repo;
}

pid_t download_pid(const struct download *d)
{
    return d->process.pid;
}

char *download_log_tail(const struct download *d, size_t lines)
{
    return logring_tail(&d->process.log, lines);
}
