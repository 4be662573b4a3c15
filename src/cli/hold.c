/* SPDX-License-Identifier: MIT */
/* hostler hold and release: keeps models from loading, and lets them again. Only hostler has that. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/duration.h"
#include "base/memory.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/peer/router.h"
#include "cli/terminal/format.h"
#include "cli/terminal/format_hold.h"

struct hold_request {
    const char *path;
    json_t *body; /* owned until it is sent */
    bool all;
    bool unknown;     /* one of the names; the others are done */
    json_t *ids;      /* owned; of the models named */
    json_t *not_held; /* owned; of those the ones that were not held */
};

static bool has_id(json_t *ids, json_t *wanted)
{
    size_t i;
    json_t *id;
    json_array_foreach (ids, i, id)
        if (json_equal(id, wanted))
            return true;
    return false;
}

static bool is_named(const struct hold_request *w, json_t *hold)
{
    return w->all || has_id(w->ids, json_object_get(hold, "model"));
}

static int read_names(struct hold_request *w, const struct cli_args *a, struct router *r)
{
    struct router_models models = {0};
    int status = w->all ? CLI_OK : router_list(r, &models, false);
    for (size_t i = 0; !status && i < a->n_operands; i++) {
        const struct router_model *m = router_find(&models, a->operands[i]);
        if (m && !json_is_object(json_object_get(m->entry, "held")))
            json_array_append_new(w->not_held, cli_json_string(m->id));
        if (m)
            json_array_append_new(w->ids, cli_json_string(m->id));
        else
            router_report_unknown(r, &models, a->operands[i]);
        w->unknown |= !m;
    }
    router_models_finish(&models);
    if (w->all)
        json_object_set_new(w->body, "all", json_true());
    else
        json_object_set(w->body, "models", w->ids);
    return status;
}

static void tell(const struct cli *cli, const struct hold_request *w, json_t *held, bool hold)
{
    size_t i;
    json_t *h, *id;
    if (cli->json) {
        cli_print_json(json_pack("{s:O}", "held", held));
        return;
    }
    json_array_foreach (held, i, h)
        if (hold && is_named(w, h))
            format_hold_print(cli, h);
    if (!hold && w->all)
        puts("no model is held any more");
    if (!hold)
        json_array_foreach (w->ids, i, id)
            cli_print("%s %s", json_string_value(id),
                      has_id(w->not_held, id) ? "is not held" : "released");
}

static int send(struct router *r, struct hold_request *w, bool hold)
{
    struct router_answer a;
    int status = router_ask(r, "POST", w->path, json_incref(w->body), r->timeout_ms, &a);
    json_t *held = json_object_get(a.body, "held");
    if (!status && json_is_array(held)) {
        tell(r->cli, w, held, hold);
    } else if (!status) {
        cli_error(r->cli, "nothing was %s: %s", hold ? "held" : "released", router_message(&a));
        status = CLI_SOME_FAILED;
    }
    router_answer_finish(&a);
    return status;
}

static int hold_or_release(struct hold_request *w, const struct cli_args *a, struct router *r,
                           bool hold)
{
    int status = router_connect_hostler(r, r->cli, "has no holds");
    if (!status)
        status = read_names(w, a, r);
    if (!status && (w->all || json_array_size(w->ids)))
        status = send(r, w, hold);
    return status ? status : w->unknown ? CLI_SOME_FAILED : CLI_OK;
}

static int usage(const struct cli *cli, const char *name, const char *what)
{
    cli_error(cli, "%s: %s", name, what);
    cli_hint(cli, "usage: hostler %s [OPTION]... MODEL... | --all", name);
    return CLI_USAGE;
}

/* `10m`: more likely that than a model's name. */
static bool is_time(const char *word)
{
    uint64_t ms;
    size_t digits = strspn(word, "0123456789");
    return digits && word[digits] && duration_parse(word, &ms) == 0;
}

static int read_arguments(struct hold_request *w, const struct cli_args *a, const struct cli *cli,
                          bool hold)
{
    unsigned long long ms = 0;
    w->all = cli_arg(a, "--all");
    if (w->all && a->n_operands)
        return usage(cli, a->command->name, "either MODEL or --all, not both");
    if (!w->all && !a->n_operands)
        return usage(cli, a->command->name, "which model? Or --all");
    if (!hold)
        return CLI_OK;
    for (size_t i = 0; i < a->n_operands; i++)
        if (is_time(a->operands[i]))
            return usage(cli, "hold", "a time stands after --for: --for 10m");
    if (!cli_arg_time(a, cli, "--for", &ms))
        return CLI_USAGE;
    if (cli_arg(a, "--for") && !ms)
        return usage(cli, "hold",
                     "--for 0 holds nothing: write 5m, or leave it out to hold until released");
    if (ms)
        json_object_set_new(w->body, "for", json_real((double)ms / 1000));
    if (cli_arg(a, "--reason"))
        json_object_set_new(w->body, "reason", cli_json_string(cli_arg(a, "--reason")));
    return CLI_OK;
}

static int command(struct cli *cli, int argc, char **argv, bool hold)
{
    struct cli_args a;
    struct router r = {.cli = cli};
    struct hold_request w = {.path = hold ? "/models/hold" : "/models/release",
                             .body = json_object(),
                             .ids = json_array(),
                             .not_held = json_array()};
    int status;
    if (cli_parse(&a, cli, hold ? "hold" : "release", argc, argv, &status)) {
        status = read_arguments(&w, &a, cli, hold);
        if (!status)
            status = hold_or_release(&w, &a, &r, hold);
    }
    json_decref(w.body);
    json_decref(w.ids);
    json_decref(w.not_held);
    router_close(&r);
    cli_args_finish(&a);
    return status;
}

int cli_hold(struct cli *cli, int argc, char **argv)
{
    return command(cli, argc, argv, true);
}

int cli_release(struct cli *cli, int argc, char **argv)
{
    return command(cli, argc, argv, false);
}
