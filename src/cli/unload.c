/* SPDX-License-Identifier: MIT */
/* hostler unload */
#include "cli/unload.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/memory.h"
#include "cli/cells.h"
#include "cli/format.h"
#include "cli/options.h"
#include "cli/progress.h"

/* How long hostler may take beyond the drain: stopping, and the devices' figures to settle. */
#define STOP_MS 120000ULL
/* Where the server's own drain timeout, which we are not told, decides. */
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

static json_t *wish(const struct unload_plan *p)
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
    return o;
}

struct wait {
    struct progress progress;
    uint64_t started;
};

static int on_tick(void *ctx)
{
    struct wait *w = ctx;
    char time[FORMAT_SIZE];
    uint64_t took = cli_now_ms() - w->started;
    if (took < 500)
        return 0;
    char *line = mem_printf("waiting for requests to finish and engines to stop, %s",
                            format_took(took, time, sizeof time));
    progress_draw(&w->progress, &line, 1);
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

/* *body is NULL with CLI_OK when the server has no such route. */
static int unload_hostler(struct router *r, const struct unload_plan *p, json_t **body)
{
    struct router_answer a;
    struct wait w = {.started = cli_now_ms()};
    unsigned long long drain = p->force ? 0 : p->has_drain ? p->drain_ms : UNKNOWN_DRAIN_MS;
    unsigned long long timeout = drain + STOP_MS;
    struct sigaction action = {.sa_handler = on_interrupt}, before;
    progress_init(&w.progress, r->cli);
    *body = NULL;
    if (!p->dry_run)
        sigaction(SIGINT, &action, &before);
    int status =
        router_ask_patiently(r, "POST", p->all ? "/models/unload-all" : "/models/unload", wish(p),
                             timeout < INT32_MAX ? (unsigned)timeout : 0, on_tick, &w, &a);
    progress_clear(&w.progress);
    if (!p->dry_run)
        sigaction(SIGINT, &before, NULL);
    bool done = json_is_array(json_object_get(a.body, "results"));
    if (!status && done) {
        *body = json_incref(a.body);
    } else if (!status && a.status != 404) {
        cli_error(r->cli, "nothing was unloaded: %s", router_message(&a));
        status = CLI_SOME_FAILED;
    }
    router_answer_finish(&a);
    return status;
}

/* --- telling ------------------------------------------------------------------------------------
 */

static const char *text_of(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* Why it is still there, and what to do. */
static void tell_failure(const struct router *r, json_t *result)
{
    const char *model = text_of(result, "model"), *reason = text_of(result, "reason"),
               *message = text_of(result, "message");
    bool busy = strcmp(text_of(result, "result"), "busy") == 0;
    char *word = format_shell(model);
    if (busy) {
        cli_error(r->cli, "model '%s' is still loaded: its requests did not end in time", model);
        cli_hint(r->cli, "wait longer: hostler unload --drain 10m -- %s; or end them: --force",
                 word);
    } else if (strcmp(reason, "loaded_again") == 0) {
        cli_error(r->cli, "model '%s' was unloaded, but a request loaded it again", model);
        cli_hint(r->cli, "stop its clients first, or serve it with hostler, whose --hold prevents "
                         "that");
    } else if (strcmp(reason, "timeout") == 0) {
        cli_error(r->cli, "model '%s' is still loaded: the server was asked and did not unload it",
                  model);
        cli_hint(r->cli, "look with `hostler ps`, and in the server's log");
    } else {
        cli_error(r->cli, "model '%s' was not unloaded: %s%s%s", model,
                  *reason ? reason : "no reason given", *message ? ": " : "", message);
    }
    free(word);
}

/* Requests that `model` has now, as the server said when it was asked first; 0 unknown. */
static json_int_t requests_of(const struct router *r, const char *model)
{
    size_t i;
    json_t *engine;
    json_array_foreach (json_object_get(r->status, "engines"), i, engine)
        if (strcmp(text_of(engine, "model"), model) == 0)
            return json_integer_value(json_object_get(engine, "requests"));
    return 0;
}

static void tell_preview(const struct router *r, json_t *result, const char *model)
{
    char *freed = cells_memory(json_object_get(result, "freed"));
    json_int_t requests = requests_of(r, text_of(result, "model"));
    printf("%s would be unloaded%s%s\n", model, *freed ? ", freeing " : "", freed);
    if (strcmp(text_of(result, "reason"), "would_wait_for_requests") == 0 && requests > 0)
        printf("%s would wait for %" JSON_INTEGER_FORMAT " request%s first\n", model, requests,
               requests == 1 ? "" : "s");
    else if (strcmp(text_of(result, "reason"), "would_wait_for_requests") == 0)
        printf("%s would wait for its requests first\n", model);
    free(freed);
}

static void tell_unloaded(json_t *result, const char *model)
{
    char took[FORMAT_SIZE];
    double ms = json_number_value(json_object_get(result, "drained_ms")) +
                json_number_value(json_object_get(result, "stopped_ms"));
    char *freed = cells_memory(json_object_get(result, "freed"));
    printf("%s unloaded in %s", model, format_took(ms > 0 ? (uint64_t)ms : 0, took, sizeof took));
    printf("%s%s\n", *freed ? ", freed " : "", freed);
    free(freed);
}

static void tell_result(const struct router *r, const struct unload_plan *p, json_t *result)
{
    const char *what = text_of(result, "result"), *reason = text_of(result, "reason");
    char *model = format_clean(mem_strdup(text_of(result, "model")), FORMAT_ONE_LINE);
    if (strcmp(what, "unloaded") == 0 && p->dry_run)
        tell_preview(r, result, model);
    else if (strcmp(what, "unloaded") == 0)
        tell_unloaded(result, model);
    else if (strcmp(what, "skipped") == 0 && strcmp(reason, "not_loaded") == 0 && !p->all)
        printf("%s not loaded\n", model);
    else if (strcmp(what, "skipped") == 0 && strcmp(reason, "not_loaded") != 0)
        printf("%s left alone%s%s\n", model, *reason ? ": " : "", reason);
    else if (strcmp(what, "skipped") != 0 && strcmp(reason, "not_found") != 0)
        tell_failure(r, result);
    free(model);
}

/* The names that the server does not know, with what is near. */
static int tell_unknown(struct router *r, json_t *results)
{
    struct router_models models = {0};
    size_t i;
    json_t *result;
    int status = CLI_OK;
    json_array_foreach (results, i, result)
        if (!status && strcmp(text_of(result, "reason"), "not_found") == 0) {
            if (!models.list)
                status = router_list(r, &models, false);
            if (!status)
                router_unknown(r, &models, text_of(result, "model"));
        }
    router_models_finish(&models);
    return status;
}

static void tell_memory(json_t *body, size_t unloaded)
{
    char *freed = cells_memory(json_object_get(body, "freed"));
    const char *device;
    json_t *figures;
    if (*freed && unloaded > 1) /* of one, it stands in its own line */
        printf("freed %s\n", freed);
    json_object_foreach (json_object_get(json_object_get(body, "memory"), "after"), device,
                         figures) {
        char available[FORMAT_SIZE], total[FORMAT_SIZE];
        json_int_t all = json_integer_value(json_object_get(figures, "total"));
        json_int_t now = json_integer_value(json_object_get(figures, "available"));
        if (all > 0 && now >= 0)
            printf("%s now has %s of %s available\n", device,
                   format_bytes((uint64_t)now, available, sizeof available),
                   format_bytes((uint64_t)all, total, sizeof total));
    }
    free(freed);
}

/* How many are held now: of those named, else of all that the server tells about. */
static size_t count_held(struct router *r, const struct unload_plan *p, json_t *results)
{
    size_t i, n = 0;
    json_t *o;
    if (!p->all) {
        json_array_foreach (results, i, o)
            n += strcmp(text_of(o, "reason"), "not_found") != 0;
        return n;
    }
    json_decref(r->status);
    r->status = NULL;
    if (router_detect(r))
        return 0;
    json_array_foreach (json_object_get(r->status, "holds"), i, o)
        n += !strv_has(&p->except, text_of(o, "model"));
    return n;
}

/* The arguments of `hostler release` that undo it. The caller frees it. */
static char *release_words(const struct unload_plan *p, json_t *results)
{
    size_t i;
    json_t *o;
    char *words = mem_strdup(p->all ? " --all" : "");
    json_array_foreach (results, i, o) {
        if (p->all || strcmp(text_of(o, "reason"), "not_found") == 0)
            continue;
        char *word = format_shell(text_of(o, "model"));
        char *more = mem_printf("%s%s%s", words, *word == '-' ? " -- " : " ", word);
        free(word);
        free(words);
        words = more;
    }
    return words;
}

static void tell_hold(struct router *r, const struct unload_plan *p, json_t *body, bool unloaded)
{
    json_t *results = json_object_get(body, "results");
    char time[FORMAT_SIZE] = "";
    size_t n = count_held(r, p, results);
    if (!n)
        return;
    char *words = release_words(p, results);
    if (p->hold_ms)
        duration_format(p->hold_ms, time, sizeof time);
    char *line = mem_printf("%s%zu model%s held %s%s%s%s%s; 'hostler release%s' ends it",
                            p->all && !unloaded ? "nothing was loaded; " : "", n, n == 1 ? "" : "s",
                            p->hold_ms ? "for " : "until released", time, p->reason ? " (" : "",
                            p->reason ? p->reason : "", p->reason ? ")" : "", words);
    puts(format_clean(line, FORMAT_ONE_LINE));
    free(line);
    free(words);
}

static int report(struct router *r, const struct unload_plan *p, json_t *body)
{
    json_t *results = json_object_get(body, "results"), *result;
    size_t i, unloaded = 0;
    int status = CLI_OK;
    json_array_foreach (results, i, result) {
        const char *what = text_of(result, "result");
        bool fine = strcmp(what, "unloaded") == 0;
        unloaded += fine;
        if (!fine && strcmp(what, "skipped") != 0)
            status = CLI_SOME_FAILED;
        if (!r->cli->json)
            tell_result(r, p, result);
    }
    bool held = json_is_true(json_object_get(body, "held")) && !p->dry_run;
    int listed = tell_unknown(r, results);
    if (r->cli->json)
        cli_print_json(json_incref(body));
    else if (unloaded && !p->dry_run)
        tell_memory(body, unloaded);
    else if (p->all && !unloaded && !status && !held)
        puts("nothing to unload");
    if (!r->cli->json && held)
        tell_hold(r, p, body, json_array_size(results) > 0);
    return listed ? listed : status;
}

/* --- the plan -----------------------------------------------------------------------------------
 */

static int usage(const struct cli *cli, const char *what)
{
    cli_error(cli, "unload: %s", what);
    cli_hint(cli, "usage: hostler unload [OPTION]... MODEL... | --all");
    return CLI_USAGE;
}

static void looks_like_time(const struct cli *cli, const char *text)
{
    cli_error(cli, "nothing was unloaded: '%s' looks like a time: write --hold=%s", text, text);
}

static int read_plan(struct unload_plan *p, const struct cli_args *a, const struct cli *cli)
{
    const char *hold = cli_arg(a, "--hold");
    *p = (struct unload_plan){.all = cli_arg(a, "--all"),
                              .has_drain = cli_arg(a, "--drain"),
                              .force = cli_arg(a, "--force"),
                              .hold = hold,
                              .reason = cli_arg(a, "--reason"),
                              .dry_run = cli_arg(a, "--dry-run")};
    for (size_t i = 0; i < a->n_operands; i++)
        strv_add(&p->models, a->operands[i]);
    /* A model may well be called `10m`; but not one beside --all. */
    uint64_t ms;
    for (size_t i = 0; hold && !*hold && p->all && i < p->models.n; i++)
        if (duration_parse(p->models.v[i], &ms) == 0) {
            looks_like_time(cli, p->models.v[i]);
            return CLI_USAGE;
        }
    if (p->all && p->models.n)
        return usage(cli, "either MODEL or --all, not both");
    if (!p->all && !p->models.n)
        return usage(cli, "which model? Or --all");
    if (!p->all && a->repeated.n)
        return usage(cli, "--except goes with --all");
    if (p->force && p->has_drain)
        return usage(cli, "either --drain or --force, not both");
    if (!cli_arg_time(a, cli, "--drain", &p->drain_ms) ||
        (hold && *hold && !cli_arg_time(a, cli, "--hold", &p->hold_ms)))
        return CLI_USAGE;
    if (hold && *hold && !p->hold_ms)
        return usage(cli, "--hold: a hold of no time");
    return CLI_OK;
}

/* A slip in --except would unload the very model that shall stay: so unknown names end it. */
static int resolve_except(struct unload_plan *p, const struct strv *names_given, struct router *r,
                          const struct router_models *models)
{
    for (size_t i = 0; i < names_given->n; i++) {
        const struct router_model *m = router_find(models, names_given->v[i]);
        if (!m) {
            router_unknown(r, models, names_given->v[i]);
            cli_error(r->cli, "nothing was unloaded, because --except names it");
            return CLI_USAGE;
        }
        strv_add(&p->except, m->id);
    }
    return CLI_OK;
}

/* `--hold 30m alpha` would hold for ever, and look for a model 30m. */
static int check_hold(const struct unload_plan *p, struct router *r,
                      const struct router_models *models)
{
    uint64_t ms;
    for (size_t i = 0; p->hold && !p->hold_ms && i < p->models.n; i++)
        if (duration_parse(p->models.v[i], &ms) == 0 && !router_find(models, p->models.v[i])) {
            looks_like_time(r->cli, p->models.v[i]);
            return CLI_USAGE;
        }
    return CLI_OK;
}

static int check_names(struct unload_plan *p, const struct cli_args *a, struct router *r)
{
    struct router_models models = {0};
    int status = CLI_OK;
    if (!a->repeated.n && !p->hold)
        return CLI_OK;
    status = router_list(r, &models, false);
    if (!status)
        status = resolve_except(p, &a->repeated, r, &models);
    if (!status)
        status = check_hold(p, r, &models);
    router_models_finish(&models);
    return status;
}

/* What only hostler can do is not done by halves. */
static int refuse_on_stock(const struct unload_plan *p, const struct router *r)
{
    const char *option = p->has_drain ? "--drain"
                         : p->force   ? "--force"
                         : p->hold    ? "--hold"
                         : p->reason  ? "--reason"
                                      : NULL;
    if (!option)
        return CLI_OK;
    cli_error(r->cli, "nothing was unloaded: %s is a stock llama.cpp router, which cannot do %s",
              r->url.shown, option);
    cli_hint(r->cli, "leave it out (requests in flight are cut off then), or serve with hostler");
    return CLI_USAGE;
}

static int unload(struct router *r, const struct unload_plan *p)
{
    json_t *body = NULL;
    int status = CLI_OK;
    if (r->kind == ROUTER_HOSTLER)
        status = unload_hostler(r, p, &body);
    if (!status && !body)
        status = refuse_on_stock(p, r);
    if (!status && !body)
        status = unload_stock(r, p, &body);
    if (!status)
        status = report(r, p, body);
    json_decref(body);
    return status;
}

int cli_unload(struct cli *cli, int argc, char **argv)
{
    struct cli_args a;
    struct unload_plan p = {0};
    struct router r = {0};
    int status;
    if (cli_parse(&a, cli, "unload", argc, argv, &status)) {
        status = read_plan(&p, &a, cli);
        if (!status)
            status = router_open(&r, cli);
        if (!status)
            status = router_detect(&r);
        if (!status && r.kind == ROUTER_STOCK)
            status = refuse_on_stock(&p, &r);
        if (!status)
            status = check_names(&p, &a, &r);
        if (!status)
            status = unload(&r, &p);
    }
    strv_finish(&p.models);
    strv_finish(&p.except);
    router_close(&r);
    cli_args_finish(&a);
    return status;
}
