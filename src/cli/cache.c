/* SPDX-License-Identifier: MIT */
/* hostler cache: the prompts that are saved, and their removal. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/hostler_command.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/peer/router.h"
#include "cli/terminal/format.h"
#include "cli/terminal/format_prompts.h"
#include "cli/terminal/format_time.h"
#include "cli/terminal/table.h"

static const struct table_column columns[] = {
    {"MODEL", TABLE_LEFT, TABLE_LAST},        {"TOKENS", TABLE_RIGHT, TABLE_WHOLE},
    {"SIZE", TABLE_RIGHT, TABLE_WHOLE},       {"CREATED", TABLE_RIGHT, TABLE_SPARE},
    {"LAST USED", TABLE_RIGHT, TABLE_LATE},   {"HITS", TABLE_RIGHT, TABLE_WHOLE},
    {"TIME SAVED", TABLE_RIGHT, TABLE_WHOLE},
};

/* --- list ---------------------------------------------------------------------------------------
 */

static void add_prompt(struct table *t, json_t *p)
{
    char text[FORMAT_SIZE];
    json_int_t bytes = cli_json_integer(p, "bytes"), hits = cli_json_integer(p, "hits");
    table_row(t);
    table_cell(t, cli_json_text_or(p, "model", NULL));
    table_cell(t, format_count(cli_json_integer(p, "tokens"), text, sizeof text));
    table_cell(t, format_bytes(bytes > 0 ? (uint64_t)bytes : 0, text, sizeof text));
    table_cell(t, format_ago(cli_json_number(p, "created"), text, sizeof text));
    table_cell(t, format_ago(cli_json_number(p, "used"), text, sizeof text));
    table_cellf(t, "%" JSON_INTEGER_FORMAT, hits);
    table_cell(t, hits > 0 ? format_saved_time(cli_json_number(p, "saved_ms"), text, sizeof text)
                           : NULL);
}

/* The last used first. */
static int compare_use(const void *a, const void *b)
{
    double one = cli_json_number(*(json_t *const *)a, "used");
    double other = cli_json_number(*(json_t *const *)b, "used");
    return (one < other) - (one > other);
}

static void print_table(const struct cli *cli, json_t *prompts)
{
    size_t n = json_array_size(prompts);
    json_t **sorted = mem_zalloc((n + 1) * sizeof(json_t *));
    struct table *t = table_create(columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < n; i++)
        sorted[i] = json_array_get(prompts, i);
    qsort(sorted, n, sizeof(json_t *), compare_use);
    for (size_t i = 0; i < n; i++)
        add_prompt(t, sorted[i]);
    table_print(t, stdout, cli->width, cli->out_colour);
    table_destroy(t);
    free(sorted);
}

/* What is wrong, or the sums. */
static void print_below(const struct cli *cli, json_t *cache)
{
    const char *why = cli_json_text_or(cache, "why", NULL),
               *error = cli_json_text_or(cache, "error", NULL);
    char *total = format_prompts_total(cache);
    if (*total)
        cli_print("%s", total);
    if (why)
        cli_print("nothing is saved: %s", why);
    else if (strcmp(cli_json_text(cache, "state"), "loading") == 0)
        cli_print("the list is still being read");
    else if (!*total)
        cli_print("nothing is saved yet");
    if (error)
        cli_error(cli, "prompts cannot be saved in %s: %s", cli_json_text(cache, "dir"), error);
    free(total);
}

/* Appends those of `model` (NULL: all) to *cache, which is the first answer. */
static int read_prompts(struct router *r, const char *model, json_t **cache)
{
    json_t *answer = NULL;
    char *path = hostler_path("cache", model);
    int status = router_get(r, path, model, &answer);
    free(path);
    if (!*cache) {
        *cache = answer;
        return status;
    }
    json_array_extend(json_object_get(*cache, "prompts"), json_object_get(answer, "prompts"));
    json_decref(answer);
    return status;
}

static int list(struct router *r, const char **model, size_t n)
{
    json_t *cache = NULL;
    int status = CLI_OK;
    for (size_t i = 0; !status && i < (n ? n : 1); i++)
        status = read_prompts(r, n ? model[i] : NULL, &cache);
    if (!status && r->cli->json) {
        cli_print_json(json_incref(cache));
    } else if (!status) {
        print_table(r->cli, json_object_get(cache, "prompts"));
        print_below(r->cli, cache);
    }
    json_decref(cache);
    return status;
}

/* --- clear --------------------------------------------------------------------------------------
 */

/* Adds to the sums. */
static int clear_one(struct router *r, const char *model, json_int_t *files, json_int_t *bytes)
{
    struct router_answer a;
    char *path = hostler_path("cache", model);
    int status = router_ask(r, "DELETE", path, NULL, 0, &a);
    json_t *removed = json_object_get(a.body, "removed");
    free(path);
    if (!status && a.status == 200) {
        *files += cli_json_integer(removed, "files");
        *bytes += cli_json_integer(removed, "bytes");
    } else if (!status) {
        status = router_report_refusal(r, &a, model);
    }
    router_answer_finish(&a);
    return status;
}

static int clear(struct router *r, const char **model, size_t n)
{
    json_int_t files = 0, bytes = 0;
    char size[FORMAT_SIZE];
    int status = CLI_OK;
    for (size_t i = 0; i < (n ? n : 1) && (!status || status == CLI_SOME_FAILED); i++) {
        int one = clear_one(r, n ? model[i] : NULL, &files, &bytes);
        status = one ? one : status;
    }
    if (status && status != CLI_SOME_FAILED)
        return status;
    if (r->cli->json)
        cli_print_json(json_pack("{s:{s:I, s:I}}", "removed", "files", files, "bytes", bytes));
    else if (files)
        cli_print("%" JSON_INTEGER_FORMAT " saved prompt%s removed, %s", files,
                  files == 1 ? "" : "s",
                  format_bytes(bytes > 0 ? (uint64_t)bytes : 0, size, sizeof size));
    else if (!status)
        cli_print("no prompts were saved");
    return status;
}

/* --- the command --------------------------------------------------------------------------------
 */

static int run(struct router *r, const struct cli_args *a, void *ctx)
{
    const char *action = a->n_operands ? a->operands[0] : "list";
    const char **models = a->n_operands ? a->operands + 1 : NULL;
    size_t n = a->n_operands ? a->n_operands - 1 : 0;
    (void)ctx;
    if (strcmp(action, "clear") == 0)
        return clear(r, models, n);
    if (strcmp(action, "list") == 0)
        return list(r, models, n);
    cli_error(r->cli, "cache: '%s' is neither list nor clear", action);
    cli_hint(r->cli, "usage: hostler cache [OPTION]... [list|clear] [MODEL...]");
    return CLI_USAGE;
}

int cli_cache(struct cli *cli, int argc, char **argv)
{
    static const struct hostler_command command = {"cache", "saves no prompts", run};
    return hostler_command(cli, argc, argv, &command, NULL);
}
