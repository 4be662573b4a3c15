/* SPDX-License-Identifier: MIT */
/*
 * hostler load: requests all loads first and then waits for them together: hostler makes room once for all of them, and
 * a stock router loads them concurrently.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/peer/router.h"
#include "cli/terminal/format.h"
#include "cli/terminal/format_hold.h"
#include "cli/terminal/progress.h"

#define ASK_TIMEOUT_MS 120000 /* a stock router answers when it has made room */
#define FIRST_POLL_MS 100
#define LAST_POLL_MS 500
/* How long a requested model may be neither loading nor failed before it counts as unloaded again. */
#define NO_SIGN_MS 3000

enum target_state {
    TARGET_NEW,
    TARGET_WAITING,   /* requested, not ready yet */
    TARGET_REQUESTED, /* requested with --no-wait */
    TARGET_LOADED,
    TARGET_ALREADY, /* was loaded before */
    TARGET_FAILED,
};

struct target {
    char *model; /* its id; as given when there is none */
    enum target_state state;
    bool seen;      /* loading, since it was asked for */
    uint64_t asked; /* ms */
    uint64_t took;
    char *reason;  /* a word, when FAILED */
    char *message; /* more about it; NULL */
    struct progress_rate rate;
    double fraction; /* negative: unknown */
    char *stage;     /* NULL */
    json_t *hold;    /* that the load ended; owned, or NULL */
};

struct load {
    const struct cli *cli;
    struct router router;
    struct router_models models; /* the newest list */
    struct target *targets;
    size_t n;
    unsigned long long timeout_ms; /* 0: none */
    json_t *wanted; /* of these loads: members of the request beside `model`; empty: nothing */
    uint64_t started;
    struct progress progress;
};

static const char *state_name(enum target_state state)
{
    switch (state) {
    case TARGET_NEW:
    case TARGET_WAITING:
    case TARGET_REQUESTED:
        return "requested";
    case TARGET_LOADED:
        return "loaded";
    case TARGET_ALREADY:
        return "already_loaded";
    case TARGET_FAILED:
        return "failed";
    }
    return NULL;
}

/* --- telling ------------------------------------------------------------------------------------
 */

static void report_failure(const struct load *l, const struct target *t)
{
    char *message =
        format_failure(t->model, t->message ? t->message : "see the server's log for the reason");
    if (format_is_sentence(message))
        cli_error(l->cli, "%s", message);
    else if (strcmp(t->reason, "load_failed") == 0)
        cli_error(l->cli, "model '%s' failed to load: %s", t->model, message);
    else if (strcmp(t->reason, "evicted") == 0)
        cli_error(l->cli, "model '%s' %s", t->model, message);
    else
        cli_error(l->cli, "model '%s' is not loaded (%s): %s", t->model, t->reason, message);
    if (strcmp(t->reason, "timeout") == 0)
        cli_hint(l->cli, "`hostler load` again waits on; `hostler unload` ends the load");
    free(message);
}

/* The only setter of a target's state; prints the line about it. */
static void set_state(struct load *l, struct target *t, enum target_state state)
{
    char took[FORMAT_SIZE];
    t->state = state;
    if (state == TARGET_NEW || state == TARGET_WAITING)
        return;
    progress_clear(&l->progress);
    t->took = cli_now_ms() - t->asked;
    if (state == TARGET_FAILED && strcmp(t->reason, "not_found") == 0)
        router_report_unknown(&l->router, &l->models, t->model);
    else if (state == TARGET_FAILED)
        report_failure(l, t);
    if (state == TARGET_FAILED || l->cli->json)
        return;
    if (state == TARGET_LOADED)
        cli_print("%s loaded in %s", t->model, format_elapsed(t->took, took, sizeof took));
    else
        cli_print("%s %s", t->model, state == TARGET_ALREADY ? "already loaded" : "requested");
    fflush(stdout);
}

/* The load has ended `hold`: printed, since another operator may have set it. */
static void report_ended_hold(struct load *l, struct target *t, json_t *hold)
{
    t->hold = json_incref(hold);
    if (l->cli->json)
        return;
    char *hold_said = format_hold(hold);
    char *text = mem_printf("%s: the hold is over (%s)", t->model, hold_said);
    cli_print_wrapped(stdout, l->cli->width, 0, 2, text);
    free(text);
    free(hold_said);
}

/* Copies both texts. */
static void fail(struct load *l, struct target *t, const char *reason, const char *message)
{
    free(t->reason);
    free(t->message);
    t->reason = mem_strdup(reason);
    t->message = message ? mem_strdup(message) : NULL;
    set_state(l, t, TARGET_FAILED);
}

static char *live_line(const struct target *t, int width, uint64_t now)
{
    char time[FORMAT_SIZE];
    uint64_t left;
    char *name = format_sanitize(mem_strdup(t->model), FORMAT_ONE_LINE), *line;
    int pad = width - (int)format_width(name);
    format_elapsed(now - t->asked, time, sizeof time);
    if (t->fraction < 0) {
        line = mem_printf("%s%*s  %s %s", name, pad, "", t->seen ? "loading" : "waiting", time);
    } else {
        /* All is read, but the engine is not ready: warming up has no progress. */
        bool read = t->fraction >= 1;
        bool known = !read && progress_rate_left(&t->rate, now, &left);
        char *bar = progress_bar(t->fraction, 16);
        if (known)
            format_elapsed(left, time, sizeof time);
        line = mem_printf("%s%*s  %s  %s%s  %s", name, pad, "", bar, time, known ? " left" : "",
                          read       ? "warming up"
                          : t->stage ? t->stage
                                     : "");
        free(bar);
    }
    free(name);
    return line;
}

static void draw(struct load *l)
{
    struct strv lines = {0};
    size_t width = 0;
    for (size_t i = 0; i < l->n; i++)
        if (l->targets[i].state == TARGET_WAITING && format_width(l->targets[i].model) > width)
            width = format_width(l->targets[i].model);
    for (size_t i = 0; i < l->n; i++)
        if (l->targets[i].state == TARGET_WAITING)
            strv_add_take(&lines, live_line(&l->targets[i], (int)width, cli_now_ms()));
    progress_draw(&l->progress, lines.v, lines.n);
    strv_finish(&lines);
}

/* --- asking -------------------------------------------------------------------------------------
 */

static bool has_target(const struct load *l, const char *model)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->targets[i].model, model) == 0)
            return true;
    return false;
}

static void add_targets(struct load *l, const struct cli_args *a)
{
    l->targets = mem_zalloc(a->n_operands * sizeof *l->targets);
    for (size_t i = 0; i < a->n_operands; i++) {
        const struct router_model *m = router_find(&l->models, a->operands[i]);
        const char *model = m ? m->id : a->operands[i];
        if (!has_target(l, model))
            l->targets[l->n++] = (struct target){.model = mem_strdup(model), .fraction = -1};
    }
}

static json_t *request_for(const struct load *l, const struct target *t)
{
    json_t *body = json_pack("{s:o}", "model", cli_json_string(t->model));
    json_object_update(body, l->wanted);
    return body;
}

static int ask(struct load *l, struct target *t)
{
    struct router_answer a;
    const struct router_model *m = router_find(&l->models, t->model);
    t->asked = cli_now_ms();
    if (!m) {
        fail(l, t, "not_found", NULL);
        return CLI_OK;
    }
    bool ready = router_is_ready(m);
    json_t *hold = json_object_get(m->entry, "held"); /* which a load ends */
    if (ready && !json_is_object(hold) && !json_object_size(l->wanted)) {
        set_state(l, t, TARGET_ALREADY);
        return CLI_OK;
    }
    int status =
        router_ask(&l->router, "POST", "/models/load", request_for(l, t), ASK_TIMEOUT_MS, &a);
    /* Another client has just started the same load. */
    bool running = a.status == 400 && a.text && strstr(a.text, "already running");
    if (!status && a.status == 200 && json_is_object(hold))
        report_ended_hold(l, t, hold);
    if (!status && (a.status == 200 || running))
        set_state(l, t,
                  ready && !json_object_get(l->wanted, "args") ? TARGET_ALREADY : TARGET_WAITING);
    else if (!status && a.status == 404)
        fail(l, t, "refused", "this server cannot load on request (no POST /models/load)");
    else if (!status)
        fail(l, t, "refused", router_message(&a));
    router_answer_finish(&a);
    return status;
}

static int ask_all(struct load *l)
{
    int status = CLI_OK;
    for (size_t i = 0; !status && i < l->n; i++)
        status = ask(l, &l->targets[i]);
    return status;
}

/* --- waiting ------------------------------------------------------------------------------------
 */

static void fail_load(struct load *l, struct target *t, const struct router_model *m)
{
    const char *reason = json_string_value(router_status_get(m, "reason"));
    json_t *code = router_status_get(m, "exit_code");
    char *text = cli_json_failure(m->status);
    if (!text && json_is_integer(code))
        text = mem_printf("its engine ended with exit code %" JSON_INTEGER_FORMAT
                          "; see the server's log for the reason",
                          json_integer_value(code));
    fail(l, t, reason ? reason : "load_failed", text);
    free(text);
}

static void fail_gone(struct load *l, struct target *t, const struct router_model *m)
{
    const char *reason = json_string_value(router_status_get(m, "reason"));
    json_int_t max = cli_json_integer(l->router.status, "models_max");
    char *evicted = max > 0 ? mem_printf("was evicted for another model: --models-max is "
                                         "%" JSON_INTEGER_FORMAT,
                                         max)
                            : mem_strdup("was evicted for another model");
    bool known = reason && strcmp(reason, "evicted") == 0;
    fail(l, t, reason ? reason : "unloaded",
         known ? evicted
               : "it was unloaded again, by somebody or to make room for another (--models-max)");
    free(evicted);
}

/*
 * For a model that is neither loading nor failed: whether it was unloaded again. On hostler a load may wait for room, and
 * the status has no `reason` meanwhile; a stock router lists it as loading before it answers.
 */
static bool is_gone(const struct load *l, const struct target *t, const struct router_model *m)
{
    bool late = cli_now_ms() - t->asked > NO_SIGN_MS;
    if (t->seen)
        return true;
    return late && (l->router.kind != ROUTER_HOSTLER || router_status_get(m, "reason"));
}

static void note_progress(struct target *t, const struct router_model *m)
{
    json_t *progress = router_status_get(m, "progress");
    const char *stage = cli_json_text_or(progress, "current", NULL);
    t->seen = true;
    t->fraction = progress_fraction(progress);
    if (t->fraction >= 0)
        progress_rate_add(&t->rate, t->fraction, cli_now_ms());
    free(t->stage);
    t->stage = stage ? format_sanitize(mem_strdup(stage), FORMAT_ONE_LINE) : NULL;
}

/* hostler: nothing is wrong with the model. */
static bool found_no_room(const struct router_model *m)
{
    const char *reason = json_string_value(router_status_get(m, "reason"));
    return reason && strcmp(reason, "no_room") == 0;
}

static void update_target(struct load *l, struct target *t)
{
    const struct router_model *m = router_find(&l->models, t->model);
    if (!m)
        fail(l, t, "removed", "the server no longer lists it");
    else if (router_is_ready(m))
        set_state(l, t, TARGET_LOADED);
    else if (router_is_active(m))
        note_progress(t, m);
    else if (m->failed || found_no_room(m))
        fail_load(l, t, m);
    else if (is_gone(l, t, m))
        fail_gone(l, t, m);
}

static bool any_waiting(const struct load *l)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->targets[i].state == TARGET_WAITING)
            return true;
    return false;
}

static void settle_waiting(struct load *l, bool late)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->targets[i].state == TARGET_WAITING && late)
            fail(l, &l->targets[i], "timeout", "it was not ready in time, and goes on loading");
        else if (l->targets[i].state == TARGET_WAITING)
            set_state(l, &l->targets[i], TARGET_REQUESTED);
}

static int wait_all(struct load *l)
{
    unsigned pause = FIRST_POLL_MS;
    while (any_waiting(l)) {
        if (l->timeout_ms && cli_now_ms() - l->started >= l->timeout_ms) {
            settle_waiting(l, true);
            return CLI_OK;
        }
        draw(l);
        cli_sleep_ms(pause);
        pause = pause * 3 / 2 < LAST_POLL_MS ? pause * 3 / 2 : LAST_POLL_MS;
        router_models_finish(&l->models);
        int status = router_list(&l->router, &l->models, false);
        if (status) {
            progress_clear(&l->progress);
            return status;
        }
        for (size_t i = 0; i < l->n; i++)
            if (l->targets[i].state == TARGET_WAITING)
                update_target(l, &l->targets[i]);
    }
    return CLI_OK;
}

/* Loading the last model may have evicted the first. */
static void recheck_loaded(struct load *l)
{
    for (size_t i = 0; i < l->n; i++) {
        struct target *t = &l->targets[i];
        const struct router_model *m = router_find(&l->models, t->model);
        bool loaded = t->state == TARGET_LOADED || t->state == TARGET_ALREADY;
        if (loaded && m && !router_is_active(m))
            fail_gone(l, t, m);
    }
}

/* --- the command --------------------------------------------------------------------------------
 */

static json_t *results(const struct load *l)
{
    json_t *list = json_array();
    for (size_t i = 0; i < l->n; i++) {
        const struct target *t = &l->targets[i];
        json_t *o = json_pack("{s:o, s:s, s:I}", "model", cli_json_string(t->model), "result",
                              state_name(t->state), "ms", (json_int_t)t->took);
        if (t->reason)
            json_object_set_new(o, "reason", json_string(t->reason));
        if (t->message)
            json_object_set_new(o, "message", cli_json_string(t->message));
        if (t->hold)
            json_object_set(o, "ended_hold", t->hold);
        json_array_append_new(list, o);
    }
    return json_pack("{s:o, s:I}", "results", list, "elapsed_ms",
                     (json_int_t)(cli_now_ms() - l->started));
}

static int load(struct load *l, const struct cli_args *a)
{
    bool wait = !cli_arg(a, "--no-wait");
    int status = router_connect_llama_cpp(&l->router, l->cli, &l->models);
    if (status)
        return status;
    if (l->router.kind != ROUTER_HOSTLER && json_object_size(l->wanted)) {
        cli_error(
            l->cli,
            "this server is no hostler: it would load without --ttl and the engine's options");
        cli_hint(l->cli, "set them in its presets");
        return CLI_USAGE;
    }
    l->started = cli_now_ms();
    add_targets(l, a);
    status = ask_all(l);
    if (!status && wait)
        status = wait_all(l);
    if (!status && wait)
        recheck_loaded(l);
    if (!status && !wait)
        settle_waiting(l, false);
    if (!status && l->cli->json)
        cli_print_json(results(l));
    for (size_t i = 0; i < l->n && !status; i++)
        if (l->targets[i].state == TARGET_FAILED)
            status = CLI_SOME_FAILED;
    return status;
}

/* An option that is given more than once has a list. */
static void add_argument(json_t *args, const char *name, const char *value)
{
    json_t *before = json_object_get(args, name), *text = cli_json_string(value);
    if (json_is_array(before))
        json_array_append_new(before, text);
    else if (before)
        json_object_set_new(args, name, json_pack("[O, o]", before, text));
    else
        json_object_set_new(args, name, text);
}

static json_t *wanted_of(const struct cli_args *a)
{
    json_t *wanted = json_object(), *args = json_object();
    for (size_t i = 0; i + 1 < a->engine.n; i += 2)
        add_argument(args, a->engine.v[i], a->engine.v[i + 1]);
    if (json_object_size(args))
        json_object_set(wanted, "args", args);
    json_decref(args);
    if (cli_arg(a, "--ttl"))
        json_object_set_new(wanted, "ttl", cli_json_string(cli_arg(a, "--ttl")));
    return wanted;
}

static void load_finish(struct load *l)
{
    json_decref(l->wanted);
    for (size_t i = 0; i < l->n; i++) {
        free(l->targets[i].model);
        free(l->targets[i].reason);
        free(l->targets[i].message);
        free(l->targets[i].stage);
        json_decref(l->targets[i].hold);
    }
    free(l->targets);
    router_models_finish(&l->models);
    router_close(&l->router);
}

int cli_load(struct cli *cli, int argc, char **argv)
{
    struct cli_args a;
    struct load l = {.cli = cli};
    int status;
    if (cli_parse(&a, cli, "load", argc, argv, &status)) {
        status = CLI_USAGE;
        progress_init(&l.progress, cli);
        l.wanted = wanted_of(&a);
        if (cli_arg_time(&a, cli, "--timeout", &l.timeout_ms))
            status = load(&l, &a);
    }
    load_finish(&l);
    cli_args_finish(&a);
    return status;
}
