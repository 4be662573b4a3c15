/* SPDX-License-Identifier: MIT */
/* hostler pin and unpin: keeps models from being evicted, and lets them again. */
#include "cli/hostler_command.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/peer/router.h"

struct pinning {
    const char *path, *done;
    const char *idle;            /* printed for a model that was not pinned before; NULL: `done` */
    struct router_models models; /* as they were before */
    json_t *results;             /* for --json */
    bool failed;
};

static const char *words(const struct pinning *p, const char *model)
{
    const struct router_model *m = router_find(&p->models, model);
    bool was_pinned = m && cli_json_true(m->entry, "pinned");
    return p->idle && !was_pinned ? p->idle : p->done;
}

static int pin_one(struct router *r, struct pinning *p, const char *model)
{
    struct router_answer a;
    int status = router_ask(r, "POST", p->path, json_pack("{s:o}", "model", cli_json_string(model)),
                            r->timeout_ms, &a);
    if (status)
        return status;
    bool done = a.status == 200;
    p->failed |= !done;
    json_array_append_new(p->results, json_pack("{s:o, s:s}", "model", cli_json_string(model),
                                                "result", done ? p->done : "failed"));
    bool unknown = a.status == 400 && router_report_if_unknown(r, model);
    if (!done && !unknown)
        cli_error(r->cli, "%s", router_message(&a));
    else if (done && !r->cli->json)
        cli_print("%s %s", model, words(p, model));
    router_answer_finish(&a);
    return CLI_OK;
}

static int pin_all(struct router *r, const struct cli_args *a, void *ctx)
{
    struct pinning *p = ctx;
    p->results = json_array();
    int status = router_list(r, &p->models, false);
    for (size_t i = 0; !status && i < a->n_operands; i++)
        status = pin_one(r, p, a->operands[i]);
    if (!status && r->cli->json)
        cli_print_json(json_pack("{s:O}", "results", p->results));
    json_decref(p->results);
    router_models_finish(&p->models);
    return status ? status : p->failed ? CLI_SOME_FAILED : CLI_OK;
}

int cli_pin(struct cli *cli, int argc, char **argv)
{
    static const struct hostler_command command = {"pin", "has no pins", pin_all};
    struct pinning p = {.path = "/models/pin", .done = "pinned"};
    return hostler_command(cli, argc, argv, &command, &p);
}

int cli_unpin(struct cli *cli, int argc, char **argv)
{
    static const struct hostler_command command = {"unpin", "has no pins", pin_all};
    struct pinning p = {.path = "/models/unpin", .done = "unpinned", .idle = "is not pinned"};
    return hostler_command(cli, argc, argv, &command, &p);
}
