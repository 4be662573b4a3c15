/* SPDX-License-Identifier: MIT */
/* hostler show: all that is known of one model. */
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "base/memory.h"
#include "cli/hostler_command.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/peer/router.h"
#include "cli/terminal/format.h"
#include "cli/terminal/format_hold.h"
#include "cli/terminal/format_model.h"
#include "cli/terminal/format_prompts.h"
#include "cli/terminal/format_time.h"

#define TITLE 13 /* columns */
#define WHEN 10  /* of `59m59s ago` */

/* A line `title value`; nothing for NULL and "". */
static void line(const struct cli *cli, const char *title, const char *value)
{
    if (value && *value)
        cli_print_titled(stdout, cli->width, title, TITLE, value);
}

/* --- what it is ---------------------------------------------------------------------------------
 */

static void print_state(const struct cli *cli, json_t *m)
{
    json_t *status = json_object_get(m, "status");
    const char *by = cli_json_text_or(m, "loaded_by", NULL);
    char took[FORMAT_SIZE];
    json_int_t ms = cli_json_integer(m, "load_ms");
    char *state = format_model_state_reason(cli_json_text_or(status, "value", "?"), status);
    char *text = mem_printf("%s%s%s%s", state, cli_json_true(m, "pinned") ? ", pinned" : "",
                            by ? ", for " : "", by ? by : "");
    line(cli, "state", text);
    if (ms > 0)
        line(cli, "loads in", format_elapsed((uint64_t)ms, took, sizeof took));
    free(text);
    free(state);
}

static void print_file(const struct cli *cli, json_t *m)
{
    char bytes[FORMAT_SIZE];
    const char *path = cli_json_text_or(m, "path", NULL);
    json_int_t size = cli_json_integer(m, "size");
    char *file = path
                     ? mem_printf("%s%s%s", path, size > 0 ? ", " : "",
                                  size > 0 ? format_bytes((uint64_t)size, bytes, sizeof bytes) : "")
                     : NULL;
    line(cli, "file", file);
    line(cli, "mmproj", cli_json_text_or(m, "mmproj", NULL));
    line(cli, "draft", cli_json_text_or(m, "draft", NULL));
    line(cli, "source", cli_json_text_or(m, "source", NULL));
    free(file);
}

/* 134515008 as `135 M`. */
static const char *short_number(json_int_t n, char *out, size_t size)
{
    static const struct {
        double unit;
        const char *name;
    } units[] = {{1e9, " B"}, {1e6, " M"}, {1e3, " K"}, {1, ""}};
    size_t i = 0;
    while (i < 3 && (double)n < units[i].unit)
        i++;
    double value = (double)n / units[i].unit;
    snprintf(out, size, value < 10 && i < 3 ? "%.1f%s" : "%.0f%s", value, units[i].name);
    return out;
}

static void print_header(const struct cli *cli, json_t *h)
{
    char text[256], params[FORMAT_SIZE];
    line(cli, "name", cli_json_text_or(h, "name", NULL));
    line(cli, "problem", cli_json_text_or(h, "problem", NULL));
    if (!cli_json_text_or(h, "architecture", NULL))
        return;
    snprintf(text, sizeof text, "%s, %s parameters, %lld layers",
             cli_json_text_or(h, "architecture", NULL),
             short_number(cli_json_integer(h, "parameters"), params, sizeof params),
             (long long)cli_json_integer(h, "layers"));
    line(cli, "model", text);
    snprintf(text, sizeof text, "%lld tokens at most",
             (long long)cli_json_integer(h, "context_length"));
    line(cli, "context", text);
}

/* --- what it is started with, and takes --------------------------------------------------------- */

/* `hostler` alone would read as an option that the user has set. */
static const char *origin_of(json_t *value)
{
    const char *origin = cli_json_text_or(value, "origin", "?");
    return strcmp(origin, "hostler") == 0 ? "set by hostler" : origin;
}

/* Arguments and variables: what each is called, its value, and where it comes from. */
static void print_values(const struct cli *cli, const char *title, json_t *list, const char *key,
                         const char *no_value)
{
    size_t i, width = 0;
    json_t *a;
    json_array_foreach (list, i, a) {
        size_t n = format_width(cli_json_text_or(a, key, "?"));
        width = n > width ? n : width;
    }
    json_array_foreach (list, i, a) {
        const char *value = cli_json_text_or(a, "value", NULL);
        char *text = mem_printf("%-*s %s  (%s)", (int)width, cli_json_text_or(a, key, "?"),
                                value ? value : no_value, origin_of(a));
        line(cli, i ? "" : title, text);
        free(text);
    }
}

static void print_footprints(const struct cli *cli, json_t *all)
{
    static const char *const kinds[] = {"given", "measured", "fitted", "estimated"};
    static const char *const names[] = {"given by its preset", "measured", "by llama-fit-params",
                                        "by its header"};
    const char *title = "memory";
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char bytes[FORMAT_SIZE], more[FORMAT_SIZE];
        json_t *f = json_object_get(all, kinds[i]);
        json_int_t mapped = cli_json_integer(f, "mapped"), growth = cli_json_integer(f, "growth");
        if (!json_is_object(f))
            continue;
        char *memory = format_model_footprint(json_object_get(f, "memory"),
                                              cli_json_text_or(f, "source", NULL));
        char *text =
            mem_printf("%s%s%s%s%s%s, %s", memory, mapped > 0 ? " + file " : "",
                       mapped > 0 ? format_bytes((uint64_t)mapped, bytes, sizeof bytes) : "",
                       growth > 0 ? ", up to " : "",
                       growth > 0 ? format_bytes((uint64_t)growth, more, sizeof more) : "",
                       growth > 0 ? " more as conversations come" : "", names[i]);
        line(cli, title, text);
        title = "";
        free(text);
        free(memory);
    }
}

/* --- rules and history -------------------------------------------------------------------- */

static void print_rules(const struct cli *cli, json_t *m)
{
    char text[FORMAT_SIZE];
    json_int_t ttl = cli_json_integer(m, "ttl_ms"), priority = cli_json_integer(m, "priority");
    json_int_t max = cli_json_integer(m, "max_requests");
    if (ttl > 0)
        line(cli, "ttl", duration_format((uint64_t)ttl, text, sizeof text));
    if (priority) {
        snprintf(text, sizeof text, "%lld", (long long)priority);
        line(cli, "priority", text);
    }
    if (max > 0) {
        snprintf(text, sizeof text, "%lld at once", (long long)max);
        line(cli, "requests", text);
    }
    json_t *held = json_object_get(m, "held");
    char *hold = json_is_object(held) ? format_hold_line(held) : NULL;
    line(cli, "held", hold);
    free(hold);
}

/* What is saved, then why no more is, then what it takes. */
static void print_prompts(const struct cli *cli, json_t *p)
{
    char *of[] = {format_prompts_of_model(p), format_prompts_off(p), format_prompts_costs(p)};
    const char *title = "prompts";
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        line(cli, title, of[i]);
        title = *of[i] ? "" : title;
        free(of[i]);
    }
}

static void print_last_exit(const struct cli *cli, json_t *e)
{
    const char *reason = cli_json_text_or(e, "reason", NULL),
               *cause = cli_json_text_or(e, "cause", NULL);
    if (!reason)
        return;
    char *saved = format_prompts_saved(json_object_get(e, "saved"));
    char *text = mem_printf("%s%s%s%s%s", reason, cause ? ": " : "", cause ? cause : "",
                            *saved ? "; saved " : "", saved);
    line(cli, "last end", text);
    free(text);
    free(saved);
    char *lines = cli_json_failure(e), *at;
    for (char *rest = lines; rest && (at = strsep(&rest, "\n"));)
        line(cli, "", at);
    free(lines);
}

static void print_changes(const struct cli *cli, json_t *recent)
{
    for (size_t i = json_array_size(recent); i-- > 0;) {
        json_t *e = json_array_get(recent, i);
        char when[FORMAT_SIZE];
        const char *why = cli_json_text_or(e, "why", NULL);
        format_ago(cli_json_number(e, "at"), when, sizeof when);
        char *text = mem_printf("%-*s %-7s %s", WHEN, when, cli_json_text_or(e, "event", "?"),
                                why ? why : "");
        line(cli, i + 1 == json_array_size(recent) ? "history" : "", text);
        free(text);
    }
}

static void print_model(const struct cli *cli, json_t *m)
{
    line(cli, "id", cli_json_text_or(m, "id", NULL));
    size_t i;
    json_t *alias;
    json_array_foreach (json_object_get(m, "aliases"), i, alias)
        line(cli, i ? "" : "aliases", json_string_value(alias));
    print_state(cli, m);
    print_rules(cli, m);
    print_file(cli, m);
    print_header(cli, json_object_get(m, "header"));
    print_footprints(cli, json_object_get(m, "footprint"));
    print_values(cli, "arguments", json_object_get(m, "arguments"), "option", "");
    print_values(cli, "environment", json_object_get(m, "environment"), "name", "not shown");
    print_prompts(cli, json_object_get(m, "prompt_cache"));
    print_last_exit(cli, json_object_get(m, "last_exit"));
    print_changes(cli, json_object_get(m, "recent"));
}

static int show(struct router *r, const struct cli_args *a, void *ctx)
{
    (void)ctx;
    json_t *answer = NULL;
    char *path = hostler_path("show", a->operands[0]);
    int status = router_get(r, path, a->operands[0], &answer);
    if (!status && r->cli->json)
        cli_print_json(json_incref(answer));
    else if (!status)
        print_model(r->cli, answer);
    json_decref(answer);
    free(path);
    return status;
}

int cli_show(struct cli *cli, int argc, char **argv)
{
    static const struct hostler_command command = {"show", "tells no more than `hostler list`",
                                                   show};
    return hostler_command(cli, argc, argv, &command, NULL);
}
