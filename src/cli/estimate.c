/* SPDX-License-Identifier: MIT */
/* hostler estimate: what a model takes, by device, and who would have to go for it. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/memory.h"
#include "cli/hostler_command.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/peer/router.h"
#include "cli/terminal/format.h"
#include "cli/terminal/format_model.h"

static char *path_of(const struct cli_args *a)
{
    char *path = hostler_path("estimate", a->operands[0]);
    for (const struct cli_option *o = a->command->options; o->name; o++) {
        const char *value = cli_arg(a, o->name);
        if (!value || strcmp(o->name, "--json") == 0)
            continue;
        char *piece = hostler_path("", value); /* encodes */
        char *longer = mem_printf("%s&%s=%s", path, o->name + 2, strchr(piece, '=') + 1);
        free(piece);
        free(path);
        path = longer;
    }
    return path;
}

#define TITLE 11 /* columns */

static void line(const struct cli *cli, const char *title, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void line(const struct cli *cli, const char *title, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = mem_vprintf(fmt, ap);
    va_end(ap);
    cli_print_titled(stdout, cli->width, title, TITLE, text);
    free(text);
}

static void print_footprint(const struct cli *cli, const char *title, json_t *f)
{
    char mapped[FORMAT_SIZE], more[FORMAT_SIZE];
    json_int_t file = cli_json_integer(f, "mapped"), growth = cli_json_integer(f, "growth");
    if (!json_is_object(f))
        return;
    char *memory =
        format_model_footprint(json_object_get(f, "memory"), cli_json_text_or(f, "source", NULL));
    line(cli, title, "%s%s%s%s%s%s%s", *memory ? memory : "nothing", file > 0 ? ", and " : "",
         file > 0 ? format_bytes((uint64_t)file, mapped, sizeof mapped) : "",
         file > 0 ? " of its file in the page cache" : "", growth > 0 ? ", and up to " : "",
         growth > 0 ? format_bytes((uint64_t)growth, more, sizeof more) : "",
         growth > 0 ? " more as conversations come" : "");
    free(memory);
}

static void print_evictions(const struct cli *cli, json_t *evicts)
{
    size_t i;
    json_t *id;
    struct buf names;
    buf_init(&names, BUF_UNBOUNDED);
    json_array_foreach (evicts, i, id)
        buf_printf(&names, "%s%s", i ? ", " : "", json_is_string(id) ? json_string_value(id) : "?");
    if (names.len)
        line(cli, "evicts", "%.*s", (int)names.len, names.data);
    buf_finish(&names);
}

/* Of a server that looks at memory. */
static void print_budget(const struct cli *cli, json_t *e)
{
    char *budget = format_model_memory(json_object_get(e, "budget"));
    char *used = format_model_memory(json_object_get(e, "used"));
    char *available = format_model_memory(json_object_get(e, "available"));
    if (*budget) {
        line(cli, "budget", "%s for all engines", budget);
        line(cli, "used", "%s by them", *used ? used : "nothing");
        line(cli, "available", "%s now", *available ? available : "nothing");
    }
    free(budget);
    free(used);
    free(available);
}

static void print_answer(const struct cli *cli, json_t *e)
{
    const char *note = cli_json_text_or(e, "note", NULL),
               *message = cli_json_text_or(e, "message", NULL);
    print_footprint(cli, "needs", e);
    print_footprint(cli, "measured", json_object_get(e, "measured"));
    print_footprint(cli, "fit-params", json_object_get(e, "fitted"));
    print_footprint(cli, "arithmetic", json_object_get(e, "estimated"));
    print_budget(cli, e);
    print_evictions(cli, json_object_get(e, "evicts"));
    line(cli, "result", "%s%s", message ? message : "?",
         cli_json_true(e, "loaded") ? " (it is loaded)" : "");
    if (note)
        line(cli, "note", "%s", note);
}

static int show(struct router *r, const struct cli_args *a, void *ctx)
{
    (void)ctx;
    json_t *answer = NULL;
    char *path = path_of(a);
    int status = router_get(r, path, a->operands[0], &answer);
    if (!status && r->cli->json)
        cli_print_json(json_incref(answer));
    else if (!status)
        print_answer(r->cli, answer);
    if (!status && !cli_json_true(answer, "fits"))
        status = CLI_SOME_FAILED;
    json_decref(answer);
    free(path);
    return status;
}

int cli_estimate(struct cli *cli, int argc, char **argv)
{
    static const struct hostler_command command = {"estimate", "does not estimate memory", show};
    return hostler_command(cli, argc, argv, &command, NULL);
}
