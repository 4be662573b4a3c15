/* SPDX-License-Identifier: MIT */
/* hostler unload: arguments are checked completely before anything is unloaded. */
#include "cli/unload/unload.h"

#include <string.h>

#include "base/duration.h"
#include "base/memory.h"
#include "cli/options.h"
#include "cli/peer/peer.h"

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
                              .has_timeout = cli_arg(a, "--timeout"),
                              .force = cli_arg(a, "--force"),
                              .hold = hold,
                              .reason = cli_arg(a, "--reason"),
                              .forget = cli_arg(a, "--forget"),
                              .dry_run = cli_arg(a, "--dry-run")};
    for (size_t i = 0; i < a->n_operands; i++)
        strv_add(&p->models, a->operands[i]);
    /* A model may be named `10m`, but with --all no operand is a model. */
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
    if (!p->all && cli_arg(a, "--except"))
        return usage(cli, "--except goes with --all");
    if (p->force && p->has_drain)
        return usage(cli, "either --drain or --force, not both");
    if (!cli_arg_time(a, cli, "--drain", &p->drain_ms) ||
        !cli_arg_time(a, cli, "--timeout", &p->timeout_ms) ||
        (hold && *hold && !cli_arg_time(a, cli, "--hold", &p->hold_ms)))
        return CLI_USAGE;
    if (hold && *hold && !p->hold_ms)
        return usage(cli, "--hold: a hold of no time");
    return CLI_OK;
}

/* An unknown name in --except is an error: a typing mistake would unload the model that is to stay. */
static int resolve_except(struct unload_plan *p, const struct strv *names_given, struct router *r,
                          const struct router_models *models)
{
    for (size_t i = 0; i < names_given->n; i++) {
        const struct router_model *m = router_find(models, names_given->v[i]);
        if (!m) {
            router_report_unknown(r, models, names_given->v[i]);
            cli_error(r->cli, "nothing was unloaded, because --except names it");
            return CLI_USAGE;
        }
        strv_add(&p->except, m->id);
    }
    return CLI_OK;
}

/* `--hold 30m alpha` would hold without an end and unload a model named 30m. */
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
    if (!cli_arg(a, "--except") && !p->hold)
        return CLI_OK;
    status = router_list(r, &models, false);
    if (!status)
        status = resolve_except(p, cli_arg_all(a, "--except"), r, &models);
    if (!status)
        status = check_hold(p, r, &models);
    router_models_finish(&models);
    return status;
}

/* Options that only hostler supports are refused elsewhere, not ignored. */
static int refuse_what_is_hostlers(const struct unload_plan *p, const struct router *r)
{
    const char *option = p->has_drain ? "--drain"
                         : p->force   ? "--force"
                         : p->hold    ? "--hold"
                         : p->reason  ? "--reason"
                         : p->forget  ? "--forget"
                                      : NULL;
    if (!option)
        return CLI_OK;
    cli_error(r->cli, "nothing was unloaded: %s is %s, which cannot do %s", r->url.shown,
              r->peer->name, option);
    cli_hint(r->cli, "leave it out (requests in flight %s), or serve with hostler",
             r->peer->in_flight);
    return CLI_USAGE;
}

static int unload(struct router *r, const struct unload_plan *p)
{
    json_t *body = NULL;
    int status = CLI_OK;
    if (r->kind == ROUTER_HOSTLER)
        status = unload_hostler(r, p, &body);
    if (!status && !body)
        status = refuse_what_is_hostlers(p, r);
    if (!status && !body)
        status = unload_one_by_one(r, p, &body);
    if (body) {
        int told = unload_report(r, p, body);
        status = status ? status : told;
    }
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
            status = router_connect(&r, cli);
        if (!status && r.kind != ROUTER_HOSTLER)
            status = refuse_what_is_hostlers(&p, &r);
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
