/* SPDX-License-Identifier: MIT */
/*
 * hostler ps: the engines. hostler tells all of it; of a stock router the models that are loaded
 * are listed, and what it does not tell is shown as `-`.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/peer/router.h"
#include "cli/terminal/format.h"
#include "cli/terminal/format_hold.h"
#include "cli/terminal/format_model.h"
#include "cli/terminal/format_prompts.h"
#include "cli/terminal/table.h"

static const struct table_column columns[] = {
    {"MODEL", TABLE_LEFT, TABLE_LAST},      {"STATE", TABLE_LEFT, TABLE_WHOLE},
    {"PID", TABLE_RIGHT, TABLE_SPARE},      {"MEMORY", TABLE_LEFT, TABLE_LATE},
    {"REQUESTS", TABLE_RIGHT, TABLE_WHOLE}, {"IDLE", TABLE_RIGHT, TABLE_SPARE},
    {"ENDS IN", TABLE_RIGHT, TABLE_SPARE},  {"LOADED", TABLE_LEFT, TABLE_SPARE},
    {"LOADED BY", TABLE_LEFT, TABLE_FIRST},
};

static void add_engine(struct table *t, json_t *engine)
{
    const char *state = cli_json_text_or(engine, "state", NULL);
    json_t *pid = json_object_get(engine, "pid");
    char text[FORMAT_SIZE];
    char *memory = format_model_footprint(json_object_get(engine, "memory"),
                                          cli_json_text_or(engine, "memory_source", NULL));
    table_row(t);
    table_cell(t, cli_json_text_or(engine, "model", NULL));
    table_styled(t, format_model_state_style(state ? state : ""), state);
    if (json_is_integer(pid))
        table_cellf(t, "%" JSON_INTEGER_FORMAT, json_integer_value(pid));
    else
        table_cell(t, NULL);
    table_cell(t, memory);
    table_cell(t, format_model_requests(engine, text, sizeof text));
    table_cell(t, format_model_idle(engine, text, sizeof text));
    table_cell(t, format_model_ends_in(engine, text, sizeof text));
    table_cell(t, format_model_loaded(engine, text, sizeof text));
    table_cell(t, cli_json_text_or(engine, "loaded_by", NULL));
    free(memory);
}

/* --- what stands below the table -------------------------------------------------
 */

static void print_queue(json_t *queue)
{
    size_t i;
    json_t *q;
    char oldest[FORMAT_SIZE];
    json_array_foreach (queue, i, q) {
        double ms = cli_json_number(q, "oldest_ms");
        json_int_t n = cli_json_integer(q, "waiting");
        cli_print("waiting: %s, %" JSON_INTEGER_FORMAT " request%s, the oldest for %s",
                  cli_json_text_or(q, "model", NULL) ? cli_json_text_or(q, "model", NULL) : "?", n,
                  n == 1 ? "" : "s",
                  format_elapsed(ms > 0 ? (uint64_t)ms : 0, oldest, sizeof oldest));
    }
}

static void print_below(const struct cli *cli, json_t *status)
{
    size_t i;
    json_t *hold, *figures;
    const char *device;
    print_queue(json_object_get(status, "queue"));
    json_array_foreach (json_object_get(status, "holds"), i, hold)
        format_hold_print(cli, hold);
    char *prompts = format_prompts_total(json_object_get(status, "prompt_cache"));
    if (*prompts)
        cli_print("saved prompts: %s", prompts);
    free(prompts);
    json_object_foreach (json_object_get(status, "memory"), device, figures) {
        char free_now[FORMAT_SIZE], total[FORMAT_SIZE];
        json_int_t available = cli_json_integer(figures, "available");
        json_int_t all = cli_json_integer(figures, "total");
        if (json_is_true(json_object_get(figures, "gone")))
            cli_print("memory: %s is gone", device);
        else if (all > 0 && available >= 0)
            cli_print("memory: %s, %s of %s available", device,
                      format_bytes((uint64_t)available, free_now, sizeof free_now),
                      format_bytes((uint64_t)all, total, sizeof total));
    }
}

/* --- the command --------------------------------------------------------------------------------
 */

/* In the shape of hostler's status, as far as it is known. */
static json_t *engines_of(const struct router_models *models)
{
    json_t *engines = json_array();
    for (size_t i = 0; i < models->n; i++) {
        const struct router_model *m = &models->v[i];
        json_t *memory = json_object_get(m->entry, "memory");
        if (router_is_active(m))
            json_array_append_new(
                engines, json_pack("{s:s, s:s, s:n, s:O?, s:n, s:n, s:n, s:n, s:n, s:n}", "model",
                                   m->id, "state", m->state, "pid", "memory", memory, "requests",
                                   "waiting", "idle_ms", "ttl_ms", "ends_in_ms", "loaded_by"));
    }
    return engines;
}

static int read_engines(struct router *r, json_t **engines)
{
    struct router_models models = {0};
    int status = CLI_OK;
    if (r->kind == ROUTER_HOSTLER) {
        *engines = json_incref(json_object_get(r->status, "engines"));
    } else {
        status = router_list(r, &models, false);
        *engines = status ? NULL : engines_of(&models);
    }
    router_models_finish(&models);
    return status;
}

static void print_table(const struct router *r, json_t *engines)
{
    size_t i;
    json_t *engine;
    struct table *t = table_create(columns, sizeof columns / sizeof *columns);
    json_array_foreach (engines, i, engine)
        add_engine(t, engine);
    table_print(t, stdout, r->cli->width, r->cli->out_colour);
    table_destroy(t);
    print_below(r->cli, r->status);
    if (r->cli->out_is_tty && !json_array_size(engines))
        cli_hint(r->cli, "no model is loaded: `hostler list` shows what there is");
}

static void print_json(const struct router *r, json_t *engines)
{
    json_t *o = r->status ? json_copy(r->status) : json_object();
    json_object_set(o, "engines", engines);
    cli_print_json(o);
}

int cli_ps(struct cli *cli, int argc, char **argv)
{
    struct cli_args a;
    struct router r = {0};
    json_t *engines = NULL;
    int status;
    if (cli_parse(&a, cli, "ps", argc, argv, &status)) {
        status = router_connect(&r, cli);
        if (!status)
            status = read_engines(&r, &engines);
        if (!status && cli->json)
            print_json(&r, engines);
        else if (!status)
            print_table(&r, engines);
        if (!status && !cli->json)
            router_report_problem(&r);
    }
    json_decref(engines);
    router_close(&r);
    cli_args_finish(&a);
    return status;
}
