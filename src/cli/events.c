/* SPDX-License-Identifier: MIT */
/* hostler events: what happens to models, a line each, as it happens. From GET /models/sse, which a
 * stock llama.cpp router has, too; only hostler tells of holds and pins. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cli/facts.h"
#include "cli/format.h"
#include "cli/hold.h"
#include "cli/options.h"
#include "cli/sse.h"

struct follower {
    const struct cli *cli;
    char *model; /* only of this one; NULL: of all */
    struct cli_sse sse;
};

/* `loading 42%`, `unloaded (evicted)`, `hold until released: backup`. */
static char *describe(json_t *event)
{
    json_t *data = json_object_get(event, "data");
    json_t *progress = json_object_get(data, "progress");
    json_t *value = json_object_get(progress, "value");
    const char *status = facts_text(data, "status"), *reason = facts_text(data, "reason");
    const char *what = status ? status : facts_word(event, "event");
    if (strcmp(what, "hold") == 0) {
        char *hold = hold_text(data), *line = mem_printf("hold %s", hold);
        free(hold);
        return line;
    }
    if (json_is_number(value))
        return mem_printf("%s %.0f%%", what, json_number_value(value) * 100);
    return mem_printf("%s%s%s%s", what, reason ? " (" : "", reason ? reason : "",
                      reason ? ")" : "");
}

static void print_event(json_t *event)
{
    char when[FORMAT_SIZE];
    const char *cause = facts_text(json_object_get(event, "data"), "cause");
    char *what = describe(event);
    cli_print("%s  %s  %s%s%s", facts_time((double)time(NULL), when, sizeof when),
              facts_word(event, "model"), what, cause ? "  " : "", cause ? cause : "");
    free(what);
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
    const char *model = facts_text(event, "model");
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
    return cli_sse_feed(&f->sse, data, len, on_event, f);
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
        router_unknown(r, &models, name);
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
    cli_sse_init(&f.sse);
    if (cli_parse(&a, cli, "events", argc, argv, &status)) {
        status = facts_open_any(&r, cli);
        if (!status)
            status = router_wants_llama_cpp(&r);
        if (!status && a.n_operands)
            status = find_model(&f, &r, a.operands[0]);
        if (!status)
            status = facts_stream(&r, "/models/sse", NULL, on_data, &f, true);
    }
    cli_sse_finish(&f.sse);
    free(f.model);
    router_close(&r);
    cli_args_finish(&a);
    return status;
}
