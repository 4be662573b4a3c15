/* SPDX-License-Identifier: MIT */
/* hostler events: what happens to models, a line each, as it happens. From GET /models/sse, which a
 * stock llama.cpp router has, too. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "cli/facts.h"
#include "cli/format.h"
#include "cli/options.h"
#include "cli/sse.h"

struct follower {
    const struct cli *cli;
    const char *model; /* only of this one; NULL: of all */
    struct cli_sse sse;
    bool out_failed;
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

/* `loading 42%`, `unloaded (evicted)`. */
static char *describe(json_t *event)
{
    json_t *data = json_object_get(event, "data");
    json_t *progress = json_object_get(data, "progress");
    json_t *value = json_object_get(progress, "value");
    const char *status = facts_text(data, "status"), *kind = facts_text(event, "event");
    const char *reason = facts_text(data, "reason");
    if (json_is_number(value))
        return mem_printf("%s %.0f%%", status ? status : kind, json_number_value(value) * 100);
    return mem_printf("%s%s%s%s",
                      status ? status
                      : kind ? kind
                             : "?",
                      reason ? " (" : "", reason ? reason : "", reason ? ")" : "");
}

static void print_event(json_t *event)
{
    char when[FORMAT_SIZE];
    const char *model = facts_text(event, "model");
    const char *cause = facts_text(json_object_get(event, "data"), "cause");
    char *what = describe(event);
    char *text = mem_printf("%s  %s  %s%s%s", facts_time((double)time(NULL), when, sizeof when),
                            model ? model : "?", what, cause ? "  " : "", cause ? cause : "");
    puts(format_clean(text, FORMAT_ONE_LINE));
    free(text);
    free(what);
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
        printf("%s\n", data);
    else if (wanted)
        print_event(event);
    json_decref(event);
    f->out_failed = fflush(stdout) != 0;
    return f->out_failed;
}

static int on_data(const char *data, size_t len, void *ctx)
{
    struct follower *f = ctx;
    return cli_sse_feed(&f->sse, data, len, on_event, f);
}

static int on_tick(void *ctx)
{
    (void)ctx;
    return interrupted;
}

static int follow(struct router *r, struct follower *f)
{
    struct error err;
    struct client_answer a;
    struct client_request request = {
        .method = "GET", .path = "/models/sse", .data = on_data, .tick = on_tick, .ctx = f};
    int rc = client_do(r->client, &request, &a, &err), status = CLI_OK;
    if (rc && !interrupted && !f->out_failed)
        status = router_unreachable(r, rc, &err);
    else if (!rc && (a.status == 401 || a.status == 403))
        status = router_refused(r);
    else if (!rc && a.status != 200) {
        cli_error(r->cli, "%s has no events: it answers %d to GET /models/sse", r->url.shown,
                  a.status);
        cli_hint(r->cli, "hostler and routers of llama.cpp since build 8600 have");
        status = CLI_NO_SERVER;
    } else if (!rc && !interrupted) {
        cli_error(r->cli, "%s ended the events: it shuts down", r->url.shown);
        status = CLI_NO_SERVER;
    }
    client_answer_finish(&a);
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
        f.model = a.n_operands ? a.operands[0] : NULL;
        sigaction(SIGINT, &(struct sigaction){.sa_handler = on_interrupt}, NULL);
        sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_interrupt}, NULL);
        status = router_open(&r, cli);
        if (!status)
            status = follow(&r, &f);
    }
    cli_sse_finish(&f.sse);
    router_close(&r);
    cli_args_finish(&a);
    return status;
}
