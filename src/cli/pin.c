/* SPDX-License-Identifier: MIT */
/* hostler pin and unpin: keeps models from being evicted, and lets them again. */
#include "cli/facts.h"
#include "cli/options.h"

struct pinning {
    const char *name, *path, *done;
    const char *idle;            /* of a model that was not pinned before; NULL: the same */
    struct router_models models; /* as they were before */
    json_t *results;             /* for --json */
    bool failed;
};

static const char *words(const struct pinning *p, const char *model)
{
    const struct router_model *m = router_find(&p->models, model);
    bool was_pinned = m && json_is_true(json_object_get(m->entry, "pinned"));
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
    bool unknown = a.status == 400 && router_tell_unknown(r, model);
    if (!done && !unknown)
        cli_error(r->cli, "%s", router_message(&a));
    else if (done && !r->cli->json)
        cli_print("%s %s", model, words(p, model));
    router_answer_finish(&a);
    return CLI_OK;
}

static int command(struct cli *cli, int argc, char **argv, struct pinning *p)
{
    struct cli_args a;
    struct router r = {0};
    int status;
    p->results = json_array();
    if (cli_parse(&a, cli, p->name, argc, argv, &status)) {
        status = facts_open(&r, cli, "has no pins");
        if (!status)
            status = router_list(&r, &p->models, false);
        for (size_t i = 0; !status && i < a.n_operands; i++)
            status = pin_one(&r, p, a.operands[i]);
        if (!status && cli->json)
            cli_print_json(json_pack("{s:O}", "results", p->results));
        if (!status && p->failed)
            status = CLI_SOME_FAILED;
    }
    json_decref(p->results);
    router_models_finish(&p->models);
    router_close(&r);
    cli_args_finish(&a);
    return status;
}

int cli_pin(struct cli *cli, int argc, char **argv)
{
    struct pinning p = {.name = "pin", .path = "/models/pin", .done = "pinned"};
    return command(cli, argc, argv, &p);
}

int cli_unpin(struct cli *cli, int argc, char **argv)
{
    struct pinning p = {
        .name = "unpin", .path = "/models/unpin", .done = "unpinned", .idle = "is not pinned"};
    return command(cli, argc, argv, &p);
}
