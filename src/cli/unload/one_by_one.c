/* SPDX-License-Identifier: MIT */
/* Unloading on other routers: one request per model, then polling the list until all have ended. */
#include "cli/unload/unload.h"

#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "base/memory.h"
#include "cli/json.h"
#include "cli/peer/peer.h"
#include "cli/unload/wait.h"

#define ASK_TIMEOUT_MS 60000
#define FIRST_POLL_MS 50
#define LAST_POLL_MS 500
/* Without --timeout: a stock router kills an engine after 10 s by default, and a preset may set another time. */
#define GONE_TIMEOUT_MS 30000

struct target {
    char *model;                /* its id; as given when there is none */
    json_t *entry;              /* keeps what `before` borrows */
    struct router_model before; /* as listed when it was asked to go */
    enum { WAITING, UNLOADED, SKIPPED, FAILED } state;
    const char *reason; /* static; NULL */
    char *message;      /* the server's; NULL */
    uint64_t asked, took;
};

struct operation {
    struct router *router;
    const struct unload_plan *plan;
    struct router_models models; /* the newest list */
    struct target *targets;
    size_t n;
    struct unload_wait wait;
};

static json_t *unload_result(const char *model, const char *result, const char *reason)
{
    json_t *o = json_pack("{s:o, s:s}", "model", cli_json_string(model), "result", result);
    if (reason)
        json_object_set_new(o, "reason", json_string(reason));
    return o;
}

static struct target *find_target(const struct operation *op, const char *model)
{
    for (size_t i = 0; i < op->n; i++)
        if (strcmp(op->targets[i].model, model) == 0)
            return &op->targets[i];
    return NULL;
}

static void add_target(struct operation *op, const char *name)
{
    const struct router_model *m = router_find(&op->models, name);
    struct target t = {.model = mem_strdup(m ? m->id : name), .asked = cli_now_ms()};
    if (!m)
        t.state = FAILED, t.reason = "not_found";
    else if (!router_is_active(m))
        t.state = SKIPPED, t.reason = "not_loaded";
    else
        t.before = *m, t.entry = json_incref(m->entry);
    op->targets = mem_realloc(op->targets, (op->n + 1) * sizeof *op->targets);
    op->targets[op->n++] = t;
}

/* Adds the models to unload that are no targets yet. */
static void add_targets(struct operation *op)
{
    for (size_t i = 0; !op->plan->all && i < op->plan->models.n; i++) {
        const struct router_model *m = router_find(&op->models, op->plan->models.v[i]);
        if (!find_target(op, m ? m->id : op->plan->models.v[i]))
            add_target(op, op->plan->models.v[i]);
    }
    for (size_t i = 0; op->plan->all && i < op->models.n; i++) {
        const struct router_model *m = &op->models.v[i];
        if (router_is_active(m) && !strv_has(&op->plan->except, m->id) && !find_target(op, m->id))
            add_target(op, m->id);
    }
}

/* --- asking -------------------------------------------------------------------------------------
 */

static void refused(const struct operation *op, struct target *t, const struct router_answer *a)
{
    bool gone = a->text && strstr(a->text, "not running");
    t->state = gone ? UNLOADED : FAILED;
    if (gone)
        return;
    t->reason = "refused";
    t->message = op->router->peer == &peer_llama_cpp && a->status == 404
                     ? mem_strdup("this server has no POST /models/unload")
                     : mem_strdup(router_message(a));
}

static void set_unloaded(struct target *t)
{
    t->state = UNLOADED;
    t->took = cli_now_ms() - t->asked;
}

/* How long all may take. */
static uint64_t timeout_of(const struct operation *op)
{
    uint64_t ms = op->plan->has_timeout ? op->plan->timeout_ms : GONE_TIMEOUT_MS;
    return ms ? ms : UINT64_MAX;
}

static void on_answer(const struct operation *op, struct target *t, const struct router_answer *a)
{
    if (a->status != 200)
        refused(op, t, a);
    else if (op->router->peer->unload_waits)
        set_unloaded(t);
}

/* Some answer when the model is gone. */
static unsigned ask_timeout(const struct operation *op)
{
    if (!op->plan->has_timeout)
        return ASK_TIMEOUT_MS;
    return op->plan->timeout_ms < INT32_MAX ? (unsigned)op->plan->timeout_ms : 0;
}

static int ask(struct operation *op, struct target *t)
{
    struct router_answer a;
    struct peer_request request;
    op->router->peer->unload(t->model, &request);
    t->asked = cli_now_ms();
    int status =
        router_ask(op->router, request.method, request.path, request.body, ask_timeout(op), &a);
    if (!status)
        on_answer(op, t, &a);
    router_answer_finish(&a);
    free(request.path);
    return status;
}

/* Unloads all with the server's one route for that. */
static int ask_at_once(struct operation *op)
{
    struct router_answer a;
    int status =
        router_ask(op->router, "GET", op->router->peer->unload_all, NULL, ask_timeout(op), &a);
    for (size_t i = 0; !status && i < op->n; i++)
        if (op->targets[i].state == WAITING)
            on_answer(op, &op->targets[i], &a);
    router_answer_finish(&a);
    return status;
}

static bool any_waiting(const struct operation *op)
{
    for (size_t i = 0; i < op->n; i++)
        if (op->targets[i].state == WAITING)
            return true;
    return false;
}

/* Those from `from` on. */
static int ask_all(struct operation *op, size_t from)
{
    int status = CLI_OK;
    if (op->plan->all && !op->plan->except.n && op->router->peer->unload_all)
        return any_waiting(op) ? ask_at_once(op) : CLI_OK;
    for (size_t i = from; !status && i < op->n; i++)
        if (op->targets[i].state == WAITING)
            status = ask(op, &op->targets[i]);
    return status;
}

/* --- waiting ------------------------------------------------------------------------------------
 */

static void update_target(struct operation *op, struct target *t)
{
    const struct router_model *m = router_find(&op->models, t->model);
    bool active = m && router_is_active(m);
    bool another = active && t->entry && op->router->peer->is_another &&
                   op->router->peer->is_another(&t->before, m);
    if (t->state == WAITING && (!active || another))
        set_unloaded(t);
    if (t->state == UNLOADED && active && strcmp(m->state, "stopping") != 0) {
        t->state = FAILED;
        t->reason = "loaded_again";
    }
}

static bool any_requested(const struct operation *op)
{
    for (size_t i = 0; i < op->n; i++)
        if (op->targets[i].state == WAITING || op->targets[i].state == UNLOADED)
            return true;
    return false;
}

/* `a, b`: those that are waited for. The caller frees. */
static char *names_waited_for(const struct operation *op)
{
    char *all = NULL;
    for (size_t i = 0; i < op->n; i++) {
        if (op->targets[i].state != WAITING)
            continue;
        char *more = mem_printf("%s%s'%s'", all ? all : "", all ? ", " : "", op->targets[i].model);
        free(all);
        all = more;
    }
    return all;
}

static void say(struct operation *op)
{
    char time[32] = "without a limit";
    char *names = names_waited_for(op);
    if (timeout_of(op) != UINT64_MAX)
        duration_format(timeout_of(op), time, sizeof time);
    cli_error(op->wait.cli, "waiting for %s to end, as the server was asked (--timeout: %s)", names,
              time);
    free(names);
}

static void draw(struct operation *op)
{
    struct strv lines = {0};
    if (any_waiting(op) && unload_wait_is_due(&op->wait))
        say(op);
    for (size_t i = 0; i < op->n; i++)
        if (op->targets[i].state == WAITING)
            strv_addf(&lines, "%s  unloading, %.1f s", op->targets[i].model,
                      (double)(cli_now_ms() - op->targets[i].asked) / 1000);
    progress_draw(&op->wait.progress, lines.v, lines.n);
    strv_finish(&lines);
}

static int poll_once(struct operation *op)
{
    size_t before = op->n;
    router_models_finish(&op->models);
    int status = router_list(op->router, &op->models, false);
    for (size_t i = 0; !status && i < op->n; i++)
        update_target(op, &op->targets[i]);
    if (!status && op->plan->all) {
        add_targets(op);
        status = ask_all(op, before);
    }
    return status;
}

/* Polls until all targets have ended, and once more after UNLOAD_SETTLE_MS, to notice models that are loaded again.
 */
static int wait_all(struct operation *op)
{
    unsigned pause = FIRST_POLL_MS;
    int status = CLI_OK;
    bool quiet = !any_requested(op); /* no target waited at the last poll */
    while (!status && !quiet && cli_now_ms() - op->wait.started < timeout_of(op)) {
        quiet = !any_waiting(op);
        draw(op);
        cli_sleep_ms(quiet ? UNLOAD_SETTLE_MS : pause);
        pause = pause * 3 / 2 < LAST_POLL_MS ? pause * 3 / 2 : LAST_POLL_MS;
        status = poll_once(op);
        quiet = quiet && !any_waiting(op);
    }
    progress_clear(&op->wait.progress);
    for (size_t i = 0; i < op->n; i++)
        if (op->targets[i].state == WAITING)
            op->targets[i].state = FAILED, op->targets[i].reason = "timeout";
    return status;
}

/* --- the result ---------------------------------------------------------------------------------
 */

static json_t *result_of(const struct target *t)
{
    static const char *const names[] = {"unloaded", "unloaded", "skipped", "failed"};
    json_t *o = unload_result(t->model, names[t->state], t->reason);
    if (t->message)
        json_object_set_new(o, "message", cli_json_string(t->message));
    if (t->state == UNLOADED)
        json_object_set_new(o, "stopped_ms", json_integer((json_int_t)t->took));
    return o;
}

static json_t *body_of(const struct operation *op)
{
    json_t *results = json_array();
    for (size_t i = 0; i < op->n; i++)
        json_array_append_new(results, result_of(&op->targets[i]));
    return json_pack("{s:o, s:b, s:I}", "results", results, "held", 0, "elapsed_ms",
                     (json_int_t)(cli_now_ms() - op->wait.started));
}

static void operation_finish(struct operation *op)
{
    for (size_t i = 0; i < op->n; i++) {
        free(op->targets[i].model);
        free(op->targets[i].message);
        json_decref(op->targets[i].entry);
    }
    free(op->targets);
    router_models_finish(&op->models);
}

int unload_one_by_one(struct router *r, const struct unload_plan *plan, json_t **body)
{
    struct operation op = {.router = r, .plan = plan};
    unload_wait_begin(&op.wait, r->cli);
    int status = router_list(r, &op.models, false);
    if (!status)
        add_targets(&op);
    if (!status && !plan->dry_run)
        status = ask_all(&op, 0);
    if (!status && !plan->dry_run)
        status = wait_all(&op);
    *body = status ? NULL : body_of(&op);
    operation_finish(&op);
    return status;
}
