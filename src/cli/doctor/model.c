/* SPDX-License-Identifier: MIT */
/* Doctor's checks of models: the one given, those that failed to load, those that are loaded again and again. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/duration.h"
#include "base/memory.h"
#include "cli/doctor/doctor.h"
#include "cli/hostler_command.h"
#include "cli/json.h"
#include "cli/peer/router.h"
#include "cli/terminal/format.h"
#include "cli/terminal/format_hold.h"
#include "cli/terminal/format_model.h"

#define OFTEN 3          /* loads … */
#define OFTEN_WITHIN 600 /* … in so many seconds are too many */
#define RETURNED_WITHIN 60
#define CONTEXT_MIN 2048

/* `hostler WHAT -- MODEL`; `remark` may be NULL. */
static struct doctor_remedy command(const char *what, const char *model, const char *remark)
{
    char *word = format_shell(model);
    char *line = mem_printf("hostler %s%s %s", what, *word == '-' ? " --" : "", word);
    free(word);
    return doctor_remedy(line, remark);
}

/* --- room ---------------------------------------------------------------------------------------
 */

/* *answer is an estimate, or NULL when the server gives none. */
static void ask_estimate(struct doctor *d, const char *model, json_int_t context,
                         struct router_answer *a)
{
    char *own = hostler_path("estimate", model);
    char *path = context ? mem_printf("%s&ctx-size=%" JSON_INTEGER_FORMAT, own, context) : NULL;
    if (router_ask(&d->router, "GET", path ? path : own, NULL, d->router.timeout_ms, a) ||
        a->status != 200) {
        router_answer_finish(a);
        *a = (struct router_answer){0};
    }
    free(path);
    free(own);
}

static bool fits(const struct router_answer *a)
{
    return cli_json_true(a->body, "fits");
}

/* The context that is in force, in tokens. */
struct context {
    json_int_t tokens;    /* 0: unknown */
    bool of_command_line; /* which goes before the presets */
};

static struct context context_of(struct doctor *d, const struct router_model *m)
{
    struct context c = {.tokens = router_context(m)};
    struct router_answer a;
    size_t i;
    json_t *argument;
    char *path = hostler_path("show", m->id);
    if (router_ask(&d->router, "GET", path, NULL, d->router.timeout_ms, &a) == CLI_OK)
        json_array_foreach (json_object_get(a.body, "arguments"), i, argument) {
            long long given = strtoll(cli_json_text(argument, "value"), NULL, 10);
            if (strcmp(cli_json_text(argument, "option"), "--ctx-size") != 0)
                continue;
            c.tokens = given > 0 ? given : c.tokens; /* 0: the model's own */
            c.of_command_line = strcmp(cli_json_text(argument, "origin"), "command line") == 0;
        }
    router_answer_finish(&a);
    free(path);
    return c;
}

/* The largest half, quarter, … of a context with which it fits; 0 when none does. */
static json_int_t fitting_context(struct doctor *d, const char *model, json_int_t context)
{
    for (context /= 2; context >= CONTEXT_MIN; context /= 2) {
        struct router_answer a;
        ask_estimate(d, model, context, &a);
        bool yes = fits(&a);
        router_answer_finish(&a);
        if (yes)
            return context;
    }
    return 0;
}

/* It cannot be evicted now: it is busy or pinned. */
static bool cannot_be_evicted(json_t *engine)
{
    return cli_json_true(engine, "pinned") || cli_json_number(engine, "requests") > 0;
}

/* The names of these engines' models as words of a command; "" without any. */
static char *unevictable_engines(const struct doctor *d, const char *but)
{
    struct buf b;
    size_t i;
    json_t *engine;
    buf_init(&b, BUF_UNBOUNDED);
    json_array_foreach (json_object_get(d->router.status, "engines"), i, engine) {
        const char *id = cli_json_text(engine, "model");
        char *word = format_shell(id);
        if (strcmp(id, but) != 0 && cannot_be_evicted(engine))
            buf_printf(&b, " %s", word);
        free(word);
    }
    return buf_take(&b);
}

/* No remedy where unloading them cannot suffice, or there are none. */
static struct doctor_remedy make_room(const struct doctor *d, const struct router_model *m,
                                      json_t *estimate)
{
    char *loaded = unevictable_engines(d, m->id);
    bool never = cli_json_true(estimate, "never");
    char *unload = !never && loaded && *loaded ? mem_printf("hostler unload --%s", loaded) : NULL;
    free(loaded);
    return doctor_remedy(unload, NULL);
}

static char *advice_on_room(struct doctor *d, const struct router_model *m, json_t *estimate)
{
    struct context now = context_of(d, m);
    json_int_t context = fitting_context(d, m->id, now.tokens);
    if (context && now.of_command_line)
        return mem_printf("start the server with --ctx-size %" JSON_INTEGER_FORMAT
                          ": it fits then; that overrides every preset",
                          context);
    if (context)
        return mem_printf("ctx-size = %" JSON_INTEGER_FORMAT
                          " in its section of --models-preset: it fits then",
                          context);
    return mem_strdup(cli_json_true(estimate, "never")
                          ? "use a smaller quantization of it, or raise --memory"
                          : "end what else uses the memory: see `memory` below");
}

/* `; 2.0 GiB is left`; of several memories with their names. The caller frees it. */
static char *what_is_left(json_t *available)
{
    char *left = format_model_memory(available);
    const char *blank = json_object_size(available) == 1 ? strchr(left, ' ') : NULL;
    char *text = *left ? mem_printf("; %s is left", blank ? blank + 1 : left) : mem_strdup("");
    free(left);
    return text;
}

static char *figures(json_t *estimate)
{
    char *needs = format_model_memory(json_object_get(estimate, "memory"));
    char *budget = format_model_memory(json_object_get(estimate, "budget"));
    char *left = what_is_left(json_object_get(estimate, "available"));
    const char *message = cli_json_text(estimate, "message");
    char *text = mem_printf("it takes %s (%s)%s%s%s%s%s", *needs ? needs : "an unknown amount",
                            cli_json_text(estimate, "source"), *budget ? "\nengines may have " : "",
                            budget, *budget ? left : "", *message ? "\n" : "", message);
    free(needs);
    free(budget);
    free(left);
    return text;
}

static json_t *hold_of(const struct router_model *m)
{
    json_t *held = json_object_get(m->entry, "held");
    return json_is_object(held) ? held : NULL;
}

static void add_fit(struct doctor *d, const struct router_model *m, json_t *estimate)
{
    size_t evicted = json_array_size(json_object_get(estimate, "evicts"));
    const char *may = hold_of(m) ? "would fit" : "can be loaded";
    char *what = evicted ? mem_printf("'%s' %s; %zu other%s must be evicted for it", m->id, may,
                                      evicted, evicted == 1 ? "" : "s")
                         : mem_printf("'%s' %s", m->id, may);
    doctor_add(d, DOCTOR_OK, "room", what, NULL);
}

static void add_no_room(struct doctor *d, const struct router_model *m, json_t *estimate)
{
    struct doctor_remedy remedy = make_room(d, m, estimate);
    char *advice = remedy.command ? NULL : advice_on_room(d, m, estimate);
    doctor_add(d, DOCTOR_WRONG, "room", mem_printf("there is no room for '%s'", m->id),
               figures(estimate));
    doctor_add_remedy(d, remedy);
    doctor_set_advice(d, advice);
}

static void check_room(struct doctor *d, const struct router_model *m)
{
    struct router_answer a;
    ask_estimate(d, m->id, 0, &a);
    if (a.body && fits(&a))
        add_fit(d, m, a.body);
    else if (a.body)
        add_no_room(d, m, a.body);
    router_answer_finish(&a);
}

/* --- the one that is asked about ----------------------------------------------------------------
 */

static void check_held(struct doctor *d, const struct router_model *m)
{
    json_t *held = hold_of(m);
    if (held)
        doctor_add(d, DOCTOR_WRONG, "hold",
                   mem_printf("'%s' is held: requests do not load it", m->id), format_hold(held));
    if (held)
        doctor_add_remedy(d, command("release", m->id, NULL));
}

static void unknown(struct doctor *d)
{
    const char *near = router_nearest(&d->models, d->model);
    router_report_unknown(&d->router, &d->models, d->model);
    doctor_add_captured(d, "model", mem_printf("the server lists %zu", d->models.n),
                        near ? command("doctor", near, "the nearest name")
                             : (struct doctor_remedy){0});
}

void doctor_model(struct doctor *d)
{
    if (d->reached)
        return;
    const struct router_model *m = router_find(&d->models, d->model);
    if (!m) {
        unknown(d);
        return;
    }
    bool failed = m->failed && !router_is_active(m); /* which doctor_failed() has told */
    if (!failed)
        doctor_add(d, DOCTOR_OK, "model", mem_printf("'%s' is %s", m->id, m->state), NULL);
    check_held(d, m);
    if (!router_is_active(m) && !failed && d->router.kind == ROUTER_HOSTLER)
        check_room(d, m);
}

/* --- those that failed --------------------------------------------------------------------------
 */

void doctor_failed(struct doctor *d)
{
    for (size_t i = 0; i < d->models.n; i++) {
        const struct router_model *m = &d->models.v[i];
        if (!m->failed || router_is_active(m))
            continue;
        char *message = cli_json_failure(m->status);
        char *state = format_model_state_reason(m->state, m->status);
        doctor_add(d, DOCTOR_WRONG, "model", mem_printf("'%s' is %s", m->id, state),
                   message ? format_failure(m->id, message)
                           : mem_strdup("see the server's log for the reason"));
        free(message);
        doctor_add_remedy(d, command("load", m->id, "tries again, after fixing that"));
        doctor_set_model(d, mem_printf("'%s'", m->id));
        free(state);
    }
}

/* --- reloads --------------------------------------------------------------------------------
 */

/* What the last changes say of one model; texts are borrowed from the status. */
struct changes {
    unsigned loads;
    double loaded_at, ended_at;
    const char *loaded_by, *ended_by; /* of the last load, and of the end before it */
    bool stopped;                     /* it did not end by itself */
};

static bool starts_with(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* An operator loaded it: that is no reload by a request. */
static bool is_manual_load(json_t *load)
{
    return starts_with(cli_json_text(load, "why"), "POST /models/load");
}

/* Records why the model was not loaded before its last load: its `end` or `failed`, or the `stop` that caused it. */
static void note_end(struct changes *c, const char *event, double at, const char *why)
{
    bool end = strcmp(event, "end") == 0 || strcmp(event, "failed") == 0;
    if (end && c->ended_at <= 0)
        c->ended_at = at;
    bool stop = strcmp(event, "stop") == 0 && !c->stopped;
    if (stop || (end && !*c->ended_by))
        c->ended_by = why;
    c->stopped |= stop;
}

/* `recent` is newest first. */
static struct changes changes_of(json_t *recent, const char *model, double now)
{
    struct changes c = {.loaded_by = "", .ended_by = ""};
    size_t i;
    json_t *change;
    json_array_foreach (recent, i, change) {
        double at = cli_json_number(change, "at");
        const char *event = cli_json_text(change, "event");
        if (strcmp(cli_json_text(change, "model"), model) != 0 || now - at > OFTEN_WITHIN)
            continue;
        if (strcmp(event, "load") == 0 && !is_manual_load(change) && c.loads++ == 0)
            c.loaded_at = at, c.loaded_by = cli_json_text(change, "why");
        else if (c.loads == 1)
            note_end(&c, event, at, cli_json_text(change, "why"));
    }
    return c;
}

static struct doctor_remedy stop_reloads(const struct changes *c, const char *model)
{
    if (starts_with(c->ended_by, "evicted"))
        return command("pin", model, "or allow more at once: serve --models-max, --memory");
    if (starts_with(c->ended_by, "idle"))
        return (struct doctor_remedy){0};
    if (starts_with(c->ended_by, "unloaded"))
        return command("unload --hold", model, NULL);
    return command("logs", model, "why it ends");
}

static void add_reload(struct doctor *d, const char *model, const struct changes *c)
{
    char within[32];
    bool often = c->loads >= OFTEN;
    duration_format(OFTEN_WITHIN * 1000ULL, within, sizeof within);
    char *what =
        often ? mem_printf("'%s' was loaded %u times in the last %s", model, c->loads, within)
              : mem_printf("'%s' was loaded again %.1f s after it was unloaded", model,
                           c->loaded_at - c->ended_at);
    char *evidence = mem_printf("last by %s%s%s", *c->loaded_by ? c->loaded_by : "an operator",
                                *c->ended_by ? "\nbefore that it was " : "", c->ended_by);
    doctor_add(d, DOCTOR_WRONG, "reload", what, evidence);
    doctor_add_remedy(d, stop_reloads(c, model));
    if (starts_with(c->ended_by, "idle"))
        doctor_set_advice(
            d, mem_strdup("ttl = 30m in its section of --models-preset, or serve --ttl 30m"));
}

static bool was_evicted_for(const struct doctor *d, const struct changes *all, size_t i, size_t j)
{
    char *why = mem_printf("evicted to make room for '%s'", d->models.v[j].id);
    bool went = i != j && starts_with(all[i].ended_by, why);
    free(why);
    return went;
}

/* Whether it and another model are reloaded often because each evicts the other. Pinning is no remedy then: there is not
 * room for both. */
static bool alternates(const struct doctor *d, const struct changes *all, size_t i)
{
    for (size_t j = 0; j < d->models.n && all[i].loads >= OFTEN; j++)
        if (all[j].loads >= OFTEN &&
            (was_evicted_for(d, all, i, j) || was_evicted_for(d, all, j, i)))
            return true;
    return false;
}

static void add_alternation(struct doctor *d, const struct changes *all)
{
    struct buf names, evidence;
    char within[32];
    size_t n = 0;
    buf_init(&names, BUF_UNBOUNDED);
    buf_init(&evidence, BUF_UNBOUNDED);
    for (size_t i = 0; i < d->models.n; i++) {
        if (!alternates(d, all, i))
            continue;
        buf_printf(&names, "%s'%s'", n ? ", " : "", d->models.v[i].id);
        buf_printf(&evidence, "%s'%s' was loaded %u times, and %s", n ? "\n" : "",
                   d->models.v[i].id, all[i].loads, all[i].ended_by);
        n++;
    }
    char *all_names = buf_take(&names), *seen = buf_take(&evidence);
    duration_format(OFTEN_WITHIN * 1000ULL, within, sizeof within);
    if (n)
        doctor_add(
            d, DOCTOR_WRONG, "reload",
            mem_printf("%s took turns in the last %s: each load evicts another", all_names, within),
            mem_strdup(seen));
    if (n)
        doctor_set_advice(d, mem_strdup("allow them at once: serve --models-max, --memory; or give "
                                        "them less: a smaller --ctx-size"));
    free(all_names);
    free(seen);
}

void doctor_reloads(struct doctor *d)
{
    json_t *recent = json_object_get(d->router.status, "recent");
    double now = (double)time(NULL);
    size_t before = d->n;
    struct changes *all = mem_zalloc((d->models.n + 1) * sizeof *all);
    for (size_t i = 0; i < d->models.n; i++)
        all[i] = changes_of(recent, d->models.v[i].id, now);
    add_alternation(d, all);
    for (size_t i = 0; i < d->models.n; i++) {
        const struct router_model *m = &d->models.v[i];
        const struct changes *c = &all[i];
        bool returned = router_is_active(m) && starts_with(c->ended_by, "unloaded") &&
                        *c->loaded_by && c->loaded_at - c->ended_at < RETURNED_WITHIN;
        if ((c->loads >= OFTEN || returned) && !alternates(d, all, i))
            add_reload(d, m->id, c);
    }
    free(all);
    if (recent && d->n == before)
        doctor_add(d, DOCTOR_OK, "reload", mem_strdup("no model is loaded again and again"), NULL);
}
