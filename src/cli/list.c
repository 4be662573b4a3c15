/* SPDX-License-Identifier: MIT */
/* hostler list */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/memory.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/peer/router.h"
#include "cli/terminal/format.h"
#include "cli/terminal/format_model.h"
#include "cli/terminal/table.h"

static char *joined(json_t *strings)
{
    struct buf b;
    size_t i;
    json_t *s;
    buf_init(&b, BUF_UNBOUNDED);
    json_array_foreach (strings, i, s)
        if (json_is_string(s))
            buf_printf(&b, "%s%s", b.len ? "," : "", json_string_value(s));
    char *text = buf_take(&b);
    return text ? text : mem_strdup("");
}

/* --- as JSON ------------------------------------------------------------------------------------
 */

static json_t *number_or_null(json_int_t n)
{
    return n > 0 ? json_integer(n) : json_null();
}

static void copy(json_t *to, const char *key, json_t *value)
{
    json_object_set_new(to, key, value ? json_incref(value) : json_null());
}

/* As `ps` calls it. */
static const char *state_of(const struct router_model *m)
{
    if (!m->draining || !router_is_active(m))
        return m->state;
    return m->saving ? "saving" : "draining";
}

static json_t *model_json(const struct router_model *m)
{
    json_t *o = json_object();
    json_object_set_new(o, "id", json_string(m->id));
    json_object_set_new(o, "state", json_string(state_of(m)));
    json_object_set_new(o, "failed", json_boolean(m->failed));
    copy(o, "reason", router_status_get(m, "reason"));
    copy(o, "message", router_status_get(m, "message"));
    copy(o, "log", router_status_get(m, "log"));
    copy(o, "exit_code", router_status_get(m, "exit_code"));
    json_object_set_new(o, "size", number_or_null(router_size(m)));
    json_object_set_new(o, "context", number_or_null(router_context(m)));
    copy(o, "memory", json_object_get(m->entry, "memory"));
    copy(o, "memory_source", json_object_get(m->entry, "memory_source"));
    copy(o, "source", json_object_get(m->entry, "source"));
    copy(o, "aliases", json_object_get(m->entry, "aliases"));
    copy(o, "tags", json_object_get(m->entry, "tags"));
    copy(o, "held", json_object_get(m->entry, "held"));
    json_object_set_new(o, "pinned", json_boolean(cli_json_true(m->entry, "pinned")));
    return o;
}

static void print_json(const struct router_models *models)
{
    json_t *list = json_array();
    for (size_t i = 0; i < models->n; i++)
        json_array_append_new(list, model_json(&models->v[i]));
    cli_print_json(json_pack("{s:o}", "models", list));
}

/* --- as a table ---------------------------------------------------------------------------------
 */

static const struct table_column columns[] = {
    {"MODEL", TABLE_LEFT, TABLE_LAST},    {"STATE", TABLE_LEFT, TABLE_WHOLE},
    {"SIZE", TABLE_RIGHT, TABLE_WHOLE},   {"CONTEXT", TABLE_RIGHT, TABLE_WHOLE},
    {"MEMORY", TABLE_LEFT, TABLE_LATE},   {"SOURCE", TABLE_LEFT, TABLE_SPARE},
    {"ALIASES", TABLE_LEFT, TABLE_FIRST},
};

static void add_state(struct table *t, const struct router_model *m)
{
    bool failed = m->failed && !router_is_active(m);
    bool held = json_is_object(json_object_get(m->entry, "held"));
    bool pinned = cli_json_true(m->entry, "pinned");
    char *text = format_model_state(state_of(m), failed, held, pinned);
    table_styled(t, format_model_state_style(text), text);
    free(text);
}

static void add_model(struct table *t, const struct router_model *m)
{
    char size[FORMAT_SIZE] = "", context[FORMAT_SIZE] = "";
    char *memory = format_model_footprint(json_object_get(m->entry, "memory"),
                                          cli_json_text_or(m->entry, "memory_source", NULL));
    char *aliases = joined(json_object_get(m->entry, "aliases"));
    if (router_size(m))
        format_bytes((uint64_t)router_size(m), size, sizeof size);
    if (router_context(m))
        snprintf(context, sizeof context, "%" JSON_INTEGER_FORMAT, router_context(m));
    table_row(t);
    table_cell(t, m->id);
    add_state(t, m);
    table_cell(t, size);
    table_cell(t, context);
    table_cell(t, memory);
    table_cell(t, cli_json_text_or(m->entry, "source", NULL));
    table_cell(t, aliases);
    free(memory);
    free(aliases);
}

static void print_table(const struct cli *cli, const struct router_models *models)
{
    struct table *t = table_create(columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < models->n; i++)
        add_model(t, &models->v[i]);
    table_print(t, stdout, cli->width, cli->out_colour);
    table_destroy(t);
    if (!models->n)
        cli_hint(cli, "the server knows no models yet: put GGUF files into its --models-dir");
}

/* One per line; a name that contains a newline cannot be completed and is skipped. */
static void print_names(const struct router_models *models)
{
    for (size_t i = 0; i < models->n; i++)
        if (!strchr(models->v[i].id, '\n'))
            puts(models->v[i].id);
}

/* The list itself does not tell which models drain; the status' engines do. */
static void note_draining(struct router_models *models, json_t *status)
{
    size_t i;
    json_t *engine;
    json_array_foreach (json_object_get(status, "engines"), i, engine) {
        const char *state = cli_json_text_or(engine, "state", NULL);
        const char *id = cli_json_text_or(engine, "model", NULL);
        for (size_t j = 0; state && id && j < models->n; j++)
            if (strcmp(models->v[j].id, id) == 0) {
                models->v[j].saving |= strcmp(state, "saving") == 0;
                models->v[j].draining |= strcmp(state, "draining") == 0 || models->v[j].saving;
            }
    }
}

static int list(struct cli *cli, const struct cli_args *a)
{
    struct router r;
    struct router_models models = {0};
    cli->quiet = cli_arg(a, "--names");
    int status = router_open(&r, cli);
    if (cli->quiet)
        r.timeout_ms = 1000; /* somebody waits at the prompt */
    if (!status)
        status = router_detect(&r);
    if (!status)
        status = router_list(&r, &models, cli_arg(a, "--reload"));
    if (!status && r.status)
        note_draining(&models, r.status);
    if (!status && cli_arg(a, "--names"))
        print_names(&models);
    else if (!status && cli->json)
        print_json(&models);
    else if (!status)
        print_table(cli, &models);
    if (!status && !cli->json && !cli_arg(a, "--reload")) /* which has just ended any */
        router_report_problem(&r);
    router_models_finish(&models);
    router_close(&r);
    return status;
}

int cli_list(struct cli *cli, int argc, char **argv)
{
    struct cli_args a;
    int status;
    if (cli_parse(&a, cli, "list", argc, argv, &status))
        status = list(cli, &a);
    cli_args_finish(&a);
    return status;
}
