/* SPDX-License-Identifier: MIT */
/* hostler requests: who asks, how long they waited, and which of them caused a load. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/hostler_command.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/peer/router.h"
#include "cli/terminal/format.h"
#include "cli/terminal/format_model.h"
#include "cli/terminal/format_prompts.h"
#include "cli/terminal/format_time.h"
#include "cli/terminal/table.h"

static const struct table_column columns[] = {
    {"WHEN", TABLE_LEFT, TABLE_WHOLE},   {"MODEL", TABLE_LEFT, TABLE_LAST},
    {"STATE", TABLE_LEFT, TABLE_WHOLE},  {"WAITED", TABLE_RIGHT, TABLE_WHOLE},
    {"TOOK", TABLE_RIGHT, TABLE_WHOLE},  {"TOKENS", TABLE_RIGHT, TABLE_SPARE},
    {"TOK/S", TABLE_RIGHT, TABLE_SPARE}, {"LOADED IT", TABLE_LEFT, TABLE_LATE},
    {"PROMPT", TABLE_LEFT, TABLE_SPARE}, {"REQUEST", TABLE_LEFT, TABLE_FIRST},
    {"FROM", TABLE_LEFT, TABLE_FIRST},
};

static void time_cell(struct table *t, json_t *ms)
{
    char text[FORMAT_SIZE];
    double n = json_number_value(ms);
    table_cell(t, json_is_number(ms) ? format_elapsed(n > 0 ? (uint64_t)n : 0, text, sizeof text)
                                     : NULL);
}

/* `running`, `waiting, 3 before it`, `running, unread`, `200`, `503 held`. */
static void state_cell(struct table *t, json_t *r)
{
    const char *state = cli_json_text_or(r, "state", NULL),
               *error = cli_json_text_or(r, "error", NULL);
    json_int_t status = cli_json_integer(r, "status");
    json_int_t before = cli_json_integer(r, "position");
    bool bad = status >= 400 || (error && !status);
    char text[96];
    if (status)
        snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT "%s%.40s", status, error ? " " : "",
                 error ? error : "");
    else if (before > 0)
        snprintf(text, sizeof text, "waiting, %" JSON_INTEGER_FORMAT " before it", before);
    else
        snprintf(text, sizeof text, "%.40s%s",
                 error   ? error
                 : state ? state
                         : "",
                 cli_json_true(r, "unread") ? ", unread" : "");
    table_styled(t, bad ? TABLE_BAD : status ? TABLE_PLAIN : TABLE_BUSY, text);
}

static void number_cell(struct table *t, json_t *n)
{
    if (json_is_integer(n))
        table_cellf(t, "%" JSON_INTEGER_FORMAT, json_integer_value(n));
    else if (json_is_number(n))
        table_cellf(t, "%.1f", json_number_value(n));
    else
        table_cell(t, NULL);
}

static void from_cell(struct table *t, json_t *r)
{
    const char *client = cli_json_text_or(r, "client", NULL),
               *key = cli_json_text_or(r, "key", NULL);
    const char *agent = cli_json_text_or(r, "user_agent", NULL);
    table_cellf(t, "%s%s%s%s%s", client ? client : "", key ? ", key " : "", key ? key : "",
                agent ? ", " : "", agent ? agent : "");
}

static void add_request(struct table *t, json_t *r)
{
    char when[FORMAT_SIZE];
    table_row(t);
    table_cell(t, format_ago(cli_json_number(r, "at"), when, sizeof when));
    table_cell(t, cli_json_text_or(r, "model", NULL));
    state_cell(t, r);
    time_cell(t, json_object_get(r, "waited_ms"));
    time_cell(t, json_object_get(r, "elapsed_ms"));
    number_cell(t, json_object_get(r, "tokens"));
    number_cell(t, json_object_get(r, "tokens_per_second"));
    table_styled(t, TABLE_BUSY, cli_json_true(r, "loaded") ? "yes" : NULL);
    char *restored = format_prompts_restored(r);
    table_cell(t, restored);
    free(restored);
    table_cell(t, cli_json_text_or(r, "request", NULL));
    from_cell(t, r);
}

static void print_table(const struct cli *cli, json_t *requests)
{
    size_t i;
    json_t *r;
    struct table *t = table_create(columns, sizeof columns / sizeof *columns);
    json_array_foreach (requests, i, r)
        add_request(t, r);
    table_print(t, stdout, cli->width, cli->out_colour);
    table_destroy(t);
    if (cli->out_is_tty && !json_array_size(requests))
        cli_hint(cli, "no request yet, or none of that kind");
}

static bool is_state(const struct cli *cli, const char *text)
{
    static const char *const states[] = {"waiting", "running", "done"};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (!text || strcmp(states[i], text) == 0)
            return true;
    cli_error(cli, "--state: '%s' is none of waiting, running, done", text);
    return false;
}

static int show(struct router *r, const struct cli_args *a, void *ctx)
{
    (void)ctx;
    json_t *answer = NULL;
    unsigned limit = 20;
    const char *state = cli_arg(a, "--state");
    if (!is_state(r->cli, state) || !cli_arg_count(a, r->cli, "-n", 1, 1000, &limit))
        return CLI_USAGE;
    char *base = hostler_path("requests", a->n_operands ? a->operands[0] : NULL);
    char *path = mem_printf("%s%slimit=%u%s%s", base, a->n_operands ? "&" : "?", limit,
                            state ? "&state=" : "", state ? state : "");
    int status = router_get(r, path, NULL, &answer);
    json_t *requests = json_object_get(answer, "requests");
    /* A model that is no longer listed may still have requests on record: only without any is its name unknown. */
    if (!status && a->n_operands && !json_array_size(requests) &&
        router_report_if_unknown(r, a->operands[0]))
        status = CLI_SOME_FAILED;
    else if (!status && r->cli->json)
        cli_print_json(json_incref(answer));
    else if (!status)
        print_table(r->cli, requests);
    json_decref(answer);
    free(base);
    free(path);
    return status;
}

int cli_requests(struct cli *cli, int argc, char **argv)
{
    static const struct hostler_command command = {"requests", "keeps no list of requests", show};
    return hostler_command(cli, argc, argv, &command, NULL);
}
