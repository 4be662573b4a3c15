/* SPDX-License-Identifier: MIT */
#include "engine/download.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/container_of.h"
#include "base/log.h"
#include "base/memory.h"
#include "engine/environment.h"
#include "engine/process.h"

/* How long it gets to notice that it is to end, which it does each time a thousandth of the file
 * has come, and to remove what it has fetched of it. */
#define NUDGE_MS 2000
#define STOP_MS 5000

struct download {
    char *repo;
    struct download_events events;
    void *ctx;
    struct process process;
    bool fetched;   /* a file was at least begun */
    bool finished;  /* it said so, */
    bool failed;    /* or so */
    bool cancelled; /* before it said either */
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

static void stop(struct download *d, int signal)
{
    struct process_stop how = {.signal = signal, .nudge_ms = NUDGE_MS, .timeout_ms = STOP_MS};
    process_stop(&d->process, &how, false);
}

/* By the line alone while it fetches, as a signal would leave unfinished files behind. Before that
 * there are none, and it may not read the line at all: it asks the hub first, for up to ten
 * minutes. */
void download_cancel(struct download *d)
{
    if (!d->process.running || d->finished || d->failed)
        return;
    d->cancelled = true;
    stop(d, d->fetched ? 0 : SIGTERM);
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

/* --- what it says */

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

static void take_result(struct download *d, const char *result)
{
    d->finished = strcmp(result, "download_finished") == 0;
    d->failed = !d->finished;
    stop(d, 0); /* it waits for the line */
}

static void on_report(struct process *p, const struct protocol_report *report)
{
    struct download *d = download_of(p);
    const char *result = json_string_value(json_object_get(report->payload, "result"));
    if (d->finished || d->failed)
        return;
    if (report->state == PROTOCOL_DOWNLOADING && result) {
        take_result(d, result);
    } else if (report->state == PROTOCOL_DOWNLOADING) {
        take_progress(d, report->payload);
    } else { /* it is about to serve the model */
        log_warn("download %s (pid %d): this llama-server is too old, it has no download mode",
                 d->repo, (int)p->pid);
        d->failed = true;
        stop(d, SIGTERM);
    }
}

/* --- the start */

static const struct process_events process_events = {.report = on_report, .gone = on_gone};

static int start_process(struct download *d, uv_loop_t *loop, const struct download_spec *spec)
{
    char *argv[] = {mem_strdup(spec->binary), NULL};
    struct strv extra = {0}, env = {0};
    environment_add_hub(&extra, environ);
    if (spec->env)
        strv_copy(&extra, spec->env);
    strv_add(&extra, "LLAMA_SERVER_CHILD_MODE=download");
    strv_addf(&extra, "LLAMA_ARG_HF_REPO=%s", d->repo);
    environment_compose(&env, environ, &extra);
    int rc = process_start(&d->process, loop, argv, env.v);
    free(argv[0]);
    strv_finish(&extra);
    strv_finish(&env);
    return rc;
}

int download_start(struct download **out, uv_loop_t *loop, const struct download_spec *spec,
                   const struct download_events *events, void *ctx, struct error *err)
{
    if (!strchr(spec->repo, '/')) /* the empty one would start a router */
        return error_set(err, -EINVAL, "%s cannot be downloaded: give it as user/repo:TAG",
                         spec->repo);
    struct download *d = mem_zalloc(sizeof *d);
    d->repo = mem_strdup(spec->repo);
    d->events = *events;
    d->ctx = ctx;
    process_init(&d->process, "download", d->repo, &process_events);
    int rc = start_process(d, loop, spec);
    if (rc) {
        download_destroy(d);
        return error_set(err, rc, "cannot start %s: %s", spec->binary, strerror(-rc));
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
