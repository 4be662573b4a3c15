/* SPDX-License-Identifier: MIT */
/* Unloading on hostler, whose route does all of it at once. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli/json.h"
#include "cli/terminal/format.h"
#include "cli/unload/unload.h"
#include "cli/unload/wait.h"

/* How long hostler may take beyond the drain: stopping, and the devices' figures to settle. */
#define STOP_MS 120000ULL
/* Without --drain the server's --drain-timeout decides, which is not known here. */
#define UNKNOWN_DRAIN_MS 900000ULL

/* --- hostler ------------------------------------------------------------------------------------
 */

static json_t *names(const struct strv *v)
{
    json_t *list = json_array();
    for (size_t i = 0; i < v->n; i++)
        json_array_append_new(list, cli_json_string(v->v[i]));
    return list;
}

static json_t *request_body(const struct unload_plan *p)
{
    json_t *o = json_object();
    if (!p->all)
        json_object_set_new(o, "models", names(&p->models));
    if (p->except.n)
        json_object_set_new(o, "except", names(&p->except));
    if (p->has_drain)
        json_object_set_new(o, "drain", json_real((double)p->drain_ms / 1000));
    if (p->force)
        json_object_set_new(o, "force", json_true());
    if (p->hold)
        json_object_set_new(o, "hold",
                            p->hold_ms ? json_real((double)p->hold_ms / 1000) : json_true());
    if (p->reason)
        json_object_set_new(o, "reason", cli_json_string(p->reason));
    if (p->dry_run)
        json_object_set_new(o, "dry_run", json_true());
    if (p->forget)
        json_object_set_new(o, "forget", json_true());
    return o;
}

static const char goes_on[] = "the unload goes on at the server";

struct wait {
    struct unload_wait shown;
    uint64_t timeout_ms; /* of --timeout; 0: none */
    bool timed_out;
};

static int on_tick(void *ctx)
{
    struct wait *w = ctx;
    char time[FORMAT_SIZE];
    uint64_t took = cli_now_ms() - w->shown.started;
    w->timed_out = w->timeout_ms && took >= w->timeout_ms;
    if (unload_wait_is_due(&w->shown))
        cli_error(w->shown.cli, "waiting for requests to finish and engines to stop");
    if (took < 500 || w->timed_out)
        return w->timed_out;
    char *line = mem_printf("waiting for requests to finish and engines to stop, %s",
                            format_elapsed(took, time, sizeof time));
    progress_draw(&w->shown.progress, &line, 1);
    free(line);
    return 0;
}

/* Ctrl-C ends this program, not the operation. 130 is what shells call that end. */
static void on_interrupt(int signal_number)
{
    static const char text[] = "\nhostler: the unload goes on at the server\n";
    (void)signal_number;
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
        _exit(130);
    _exit(130);
}

/* --- who comes back ------------------------------------------------------------------------------
 */

static json_t *engine_of(const struct router *r, json_t *model)
{
    size_t i;
    json_t *engine;
    json_array_foreach (json_object_get(r->status, "engines"), i, engine)
        if (json_equal(json_object_get(engine, "model"), model))
            return engine;
    return NULL;
}

static void mark_reloaded(json_t *result, json_t *engine)
{
    json_object_set_new(result, "result", json_string("failed"));
    json_object_set_new(result, "reason", json_string("loaded_again"));
    json_object_set(result, "loaded_by", json_object_get(engine, "loaded_by"));
}

/* Marks models that requests have loaded again since: the operator's intent failed, though the server did unload them. */
static int mark_reloaded_models(struct router *r, json_t *results)
{
    size_t i;
    json_t *result, *engine;
    cli_sleep_ms(UNLOAD_SETTLE_MS);
    int status = router_detect(r);
    json_array_foreach (results, i, result) {
        const char *what = cli_json_text_or(result, "result", NULL);
        bool unloaded = what && strcmp(what, "unloaded") == 0;
        engine = unloaded && !status ? engine_of(r, json_object_get(result, "model")) : NULL;
        if (engine)
            mark_reloaded(result, engine);
    }
    return status;
}

static bool unloaded_any(json_t *results)
{
    size_t i;
    json_t *result;
    json_array_foreach (results, i, result) {
        const char *what = cli_json_text_or(result, "result", NULL);
        if (what && strcmp(what, "unloaded") == 0)
            return true;
    }
    return false;
}

/* --- asking --------------------------------------------------------------------------------------
 */

int unload_hostler(struct router *r, const struct unload_plan *p, json_t **body)
{
    struct router_answer a;
    struct wait w = {.timeout_ms = p->timeout_ms};
    unsigned long long drain = p->force ? 0 : p->has_drain ? p->drain_ms : UNKNOWN_DRAIN_MS;
    unsigned long long timeout = drain + STOP_MS;
    struct sigaction action = {.sa_handler = on_interrupt}, before;
    unload_wait_begin(&w.shown, r->cli);
    *body = NULL;
    if (!p->dry_run)
        sigaction(SIGINT, &action, &before);
    int status = router_ask_with_tick(r, "POST", p->all ? "/models/unload-all" : "/models/unload",
                                      request_body(p), timeout < INT32_MAX ? (unsigned)timeout : 0,
                                      on_tick, &w, &a);
    progress_clear(&w.shown.progress);
    if (w.timed_out) {
        cli_error(r->cli, "models are still loaded after --timeout: %s", goes_on);
        status = CLI_SOME_FAILED;
    }
    if (!p->dry_run)
        sigaction(SIGINT, &before, NULL);
    bool done = json_is_array(json_object_get(a.body, "results"));
    if (!status && done) {
        json_t *results = json_object_get(a.body, "results");
        if (!p->dry_run && !p->hold && unloaded_any(results))
            status = mark_reloaded_models(r, results);
        *body = json_incref(a.body); /* printed even where the check for reloads failed */
    } else if (!status && a.status != 404) {
        cli_error(r->cli, "nothing was unloaded: %s", router_message(&a));
        status = CLI_SOME_FAILED;
    }
    router_answer_finish(&a);
    return status;
}
