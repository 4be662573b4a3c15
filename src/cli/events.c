/* SPDX-License-Identifier: MIT */
/* hostler events: what happens to models, a line each, as it happens. From GET /models/sse, which a
 * stock llama.cpp router has, too; only hostler tells of holds and pins. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/peer/router.h"
#include "cli/peer/sse.h"
#include "cli/terminal/format.h"
#include "cli/terminal/format_hold.h"
#include "cli/terminal/format_prompts.h"
#include "cli/terminal/format_time.h"

struct follower {
    const struct cli *cli;
    char *model; /* only of this one; NULL: of all */
    struct sse_reader sse;
};

/* `hold until released, by POST …: backup`, as `hostler ps` has it. */
static char *describe_hold(json_t *data)
{
    json_t *hold = json_copy(data);
    if (hold)
        json_object_set(hold, "by", json_object_get(data, "cause"));
    char *text = format_hold(hold), *line = mem_printf("hold %s", text);
    json_decref(hold);
    free(text);
    return line;
}

/* `unloaded by POST …` after `unloaded`: without what was said already. */
static const char *without(const char *cause, const char *what)
{
    size_t n = strlen(what);
    return cause && strncmp(cause, what, n) == 0 && cause[n] == ' ' ? cause + n + 1 : cause;
}

/* ` 42%` after `loading`, ` (evicted)` after `unloaded`; empty where there is no more. The caller
 * frees it. */
static char *details(const char *what, json_t *data)
{
    json_t *value = json_object_get(json_object_get(data, "progress"), "value");
    const char *reason = cli_json_text_or(data, "reason", NULL);
    if (json_is_number(value))
        return mem_printf(" %.0f%%", json_number_value(value) * 100);
    return reason && strcmp(reason, what) != 0 ? mem_printf(" (%s)", reason) : mem_strdup("");
}

static char *describe(const char *what, json_t *data)
{
    const char *why = without(cli_json_text_or(data, "cause", NULL), what);
    char *more = details(what, data), *saved = format_prompts_saved(json_object_get(data, "saved"));
    char *text = mem_printf("%s%s%s%s%s%s", what, more, why ? "  " : "", why ? why : "",
                            *saved ? "; saved " : "", saved);
    free(saved);
    free(more);
    return text;
}

static void print_event(json_t *event)
{
    char when[FORMAT_SIZE];
    json_t *data = json_object_get(event, "data");
    const char *status = cli_json_text_or(data, "status", NULL);
    const char *what = status ? status : cli_json_text_or(event, "event", "?");
    char *text = strcmp(what, "hold") == 0 ? describe_hold(data) : describe(what, data);
    cli_print("%s  %s  %s", format_time((double)time(NULL), when, sizeof when),
              cli_json_text_or(event, "model", "?"), text);
    free(text);
}

/* As it came, and when: the server tells no time. */
static void print_json(json_t *event)
{
    char when[CLOCK_SIZE];
    json_object_set_new(event, "time", json_string(clock_stamp(when, sizeof when)));
    cli_print_json_line(json_incref(event));
}

static int on_event(const char *data, size_t len, bool error, void *ctx)
{
    struct follower *f = ctx;
    json_t *event = json_loadb(data, len, 0, NULL);
    const char *model = cli_json_text_or(event, "model", NULL);
    (void)error;
    bool wanted = json_is_object(event) &&
                  (!f->model || (model && (strcmp(model, f->model) == 0 || *model == '*')));
    if (wanted && f->cli->json)
        print_json(event);
    else if (wanted)
        print_event(event);
    json_decref(event);
    return fflush(stdout) != 0;
}

static int on_data(const char *data, size_t len, void *ctx)
{
    struct follower *f = ctx;
    return sse_feed(&f->sse, data, len, on_event, f);
}

/* `name`, which may be an alias, as events have it. */
static int find_model(struct follower *f, struct router *r, const char *name)
{
    struct router_models models;
    int status = router_list(r, &models, false);
    const struct router_model *m = status ? NULL : router_find(&models, name);
    if (m)
        f->model = mem_strdup(m->id);
    else if (!status) {
        router_report_unknown(r, &models, name);
        status = CLI_SOME_FAILED;
    }
    router_models_finish(&models);
    return status;
}

int cli_events(struct cli *cli, int argc, char **argv)
{
    struct cli_args a;
    struct router r = {0};
    struct follower f = {.cli = cli};
    int status;
    sse_init(&f.sse);
    if (cli_parse(&a, cli, "events", argc, argv, &status)) {
        status = router_connect_router(&r, cli);
        if (!status)
            status = router_require_llama_cpp(&r);
        if (!status && a.n_operands)
            status = find_model(&f, &r, a.operands[0]);
        if (!status)
            status = router_stream(&r, "/models/sse", NULL, on_data, &f, true);
    }
    sse_finish(&f.sse);
    free(f.model);
    router_close(&r);
    cli_args_finish(&a);
    return status;
}
