/* SPDX-License-Identifier: MIT */
/* hostler estimate: what a model takes, by device, and who would have to go for it. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/cells.h"
#include "cli/facts.h"
#include "cli/format.h"
#include "cli/options.h"

static char *path_of(const struct cli_args *a)
{
    char *path = facts_path("estimate", a->operands[0]);
    for (const struct cli_option *o = a->command->options; o->name; o++) {
        const char *value = cli_arg(a, o->name);
        if (!value || strcmp(o->name, "--json") == 0)
            continue;
        char *piece = facts_path("", value); /* encodes */
        char *longer = mem_printf("%s&%s=%s", path, o->name + 2, strchr(piece, '=') + 1);
        free(piece);
        free(path);
        path = longer;
    }
    return path;
}

static void print_footprint(const char *title, json_t *f)
{
    char mapped[FORMAT_SIZE];
    json_int_t file = json_integer_value(json_object_get(f, "mapped"));
    if (!json_is_object(f))
        return;
    char *memory = cells_memory(json_object_get(f, "memory"));
    printf("%-10s %s", title, *memory ? memory : "nothing");
    if (file > 0)
        printf(", and %s of its file in the page cache",
               format_bytes((uint64_t)file, mapped, sizeof mapped));
    putchar('\n');
    free(memory);
}

static void print_evictions(json_t *evicts)
{
    size_t i;
    json_t *id;
    json_array_foreach (evicts, i, id) {
        char *name = format_clean(mem_strdup(json_string_value(id)), FORMAT_ONE_LINE);
        printf("%s%s", i ? ", " : "evicts     ", name);
        free(name);
    }
    if (json_array_size(evicts))
        putchar('\n');
}

static void print_answer(const struct cli *cli, json_t *e)
{
    char *budget = cells_memory(json_object_get(e, "budget"));
    char *used = cells_memory(json_object_get(e, "used"));
    const char *note = facts_text(e, "note"), *message = facts_text(e, "message");
    print_footprint("needs", e);
    print_footprint("measured", json_object_get(e, "measured"));
    print_footprint("fit-params", json_object_get(e, "fitted"));
    print_footprint("arithmetic", json_object_get(e, "estimated"));
    if (*budget)
        printf("%-10s %s for all engines; %s used by them\n", "budget", budget,
               *used ? used : "nothing");
    print_evictions(json_object_get(e, "evicts"));
    printf("%-10s %s%s\n", "so", message ? message : "",
           json_is_true(json_object_get(e, "loaded")) ? " (it is loaded)" : "");
    if (note)
        cli_hint(cli, "%s", note);
    free(budget);
    free(used);
}

static int show(struct router *r, const struct cli_args *a)
{
    json_t *answer = NULL;
    char *path = path_of(a);
    int status = facts_get(r, path, &answer);
    if (!status && r->cli->json)
        cli_print_json(json_incref(answer));
    else if (!status)
        print_answer(r->cli, answer);
    if (!status && !json_is_true(json_object_get(answer, "fits")))
        status = CLI_SOME_FAILED;
    json_decref(answer);
    free(path);
    return status;
}

int cli_estimate(struct cli *cli, int argc, char **argv)
{
    struct cli_args a;
    struct router r = {0};
    int status;
    if (cli_parse(&a, cli, "estimate", argc, argv, &status)) {
        status = facts_open(&r, cli, "does not estimate memory");
        if (!status)
            status = show(&r, &a);
    }
    router_close(&r);
    cli_args_finish(&a);
    return status;
}
