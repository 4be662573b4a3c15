/* SPDX-License-Identifier: MIT */
#include "cli/options.h"

#include <assert.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "base/memory.h"
#include "base/nearest.h"

const struct cli_option cli_global_options[] = {
    {"--url", CLI_VALUE, "URL", "http://localhost:8080", "HOSTLER_URL, else LLAMA_SERVER_URL",
     "the server; also unix:/path.sock[:/prefix]", false},
    {"--api-key", CLI_VALUE, "KEY", NULL, "HOSTLER_API_KEY, else the first of LLAMA_API_KEY",
     "the server's key; visible to others on this machine, unlike the environment's", false},
    {"--help", CLI_SWITCH, NULL, NULL, NULL, "this text (also -h)", false},
    {0},
};

const struct cli_option cli_version_option = {
    "--version", CLI_SWITCH, NULL, NULL, NULL, "the version of this program", false};

const char *const cli_exit_texts[] = {
    [CLI_OK] = "all done",
    [CLI_SOME_FAILED] = "some of it failed; the rest was done",
    [CLI_USAGE] = "wrong usage; nothing was done",
    [CLI_NO_SERVER] = "the server does not answer, is no router, or does not support this",
    [CLI_REFUSED] = "refused: the server needs a key, or another key",
    NULL,
};

bool cli_global_applies(const struct cli_command *c, const struct cli_option *o)
{
    return !c || !(c->flags & CLI_LOCAL) || strcmp(o->name, "--help") == 0;
}

/* --- finding ------------------------------------------------------------------------------------
 */

const struct cli_command *cli_command_find(const char *name)
{
    for (const struct cli_command *c = cli_commands; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

/* The command that other programs call `name`; NULL. */
static const char *synonym(const char *name)
{
    static const char *const names[][2] = {
        {"ls", "list"},    {"models", "list"}, {"rm", "unload"}, {"stop", "unload"},
        {"start", "load"}, {"status", "ps"},   {"chat", "run"},  {"unhold", "release"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i][0], name) == 0)
            return names[i][1];
    return NULL;
}

int cli_command_unknown(const struct cli *cli, const char *name)
{
    struct nearest near;
    nearest_init(&near, name);
    for (const struct cli_command *c = cli_commands; c->name; c++)
        nearest_consider(&near, c->name);
    if (synonym(name))
        near.best = synonym(name);
    cli_error(cli, "there is no command '%s'", name);
    if (near.best)
        cli_hint(cli, "did you mean: hostler %s", near.best);
    else
        cli_hint(cli, "`hostler help` lists the commands");
    return CLI_USAGE;
}

static const struct cli_option *find_in(const struct cli_option *table, const char *name,
                                        size_t len)
{
    for (; table && table->name; table++)
        if (strlen(table->name) == len && memcmp(table->name, name, len) == 0)
            return table;
    return NULL;
}

static void add_candidates(struct nearest *near, const struct cli_option *table)
{
    for (; table && table->name; table++)
        if (!table->hidden)
            nearest_consider(near, table->name);
}

/* `command` NULL: before the command. */
static void unknown_option(const struct cli *cli, const struct cli_command *command,
                           const char *text)
{
    struct nearest near;
    char *name = mem_strndup(text, strcspn(text, "="));
    nearest_init(&near, name);
    add_candidates(&near, cli_global_options);
    if (command)
        add_candidates(&near, command->options);
    cli_error(cli, "%s%s has no option %s", command ? "hostler " : "hostler",
              command ? command->name : "", name);
    if (near.best)
        cli_hint(cli, "did you mean %s?", near.best);
    else if (command)
        cli_hint(cli,
                 "`hostler help %s` lists them; what begins with a dash and is no option goes "
                 "after `--`",
                 command->name);
    else
        cli_hint(cli, "`hostler help` lists them; a command's own options go after its name");
    free(name);
}

/* --- parsing ------------------------------------------------------------------------------------
 */

struct reader {
    struct cli *cli;
    const struct cli_command *command; /* NULL before it */
    int argc, at;
    char **argv;
};

/* The option's value: after `=`, or the next argument. False after printing an error. */
static bool read_value(struct reader *r, const struct cli_option *o, const char *equals,
                       const char **value)
{
    *value = equals ? equals + 1 : "";
    if (o->value == CLI_SWITCH && equals) {
        cli_error(r->cli, "%s takes no value", o->name);
        return false;
    }
    if (o->value == CLI_SWITCH || o->value == CLI_OPTIONAL || equals)
        return true;
    if (r->at + 1 >= r->argc) {
        cli_error(r->cli, "%s wants a value: %s %s", o->name, o->name, o->arg);
        return false;
    }
    *value = r->argv[++r->at];
    return true;
}

static bool has_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    return false;
}

static bool set_global(struct reader *r, const struct cli_option *o, const char *value, bool *help)
{
    if (strcmp(o->name, "--help") == 0)
        *help = true;
    else if (strcmp(o->name, "--url") == 0)
        r->cli->url = value, r->cli->url_given = true;
    else
        r->cli->key = *value ? value : NULL, r->cli->url_given = true;
    return true;
}

static bool set_own(struct cli_args *a, const struct cli_option *o, const char *value)
{
    ptrdiff_t at = o - a->command->options;
    if (o->value == CLI_REPEATED)
        strv_add(&a->repeated[at], value);
    a->values[at] = value;
    return true;
}

static bool is_option(const char *text)
{
    return text[0] == '-' && text[1] && !strchr("0123456789.", text[1]);
}

/* Whether it is one of the command's own, but for its dashes: `--nowait`. */
static bool is_misspelt(const struct cli_command *c, const char *text)
{
    for (const struct cli_option *o = c->options; o->name; o++) {
        const char *a = o->name, *b = text;
        do {
            a += strspn(a, "-");
            b += strspn(b, "-");
        } while (*a && *a++ == *b++);
        if (!*a && (!*b || *b == '='))
            return true;
    }
    return false;
}

/* An option of the engine, of which nothing is known here: what follows is its value unless that is an option, too. A switch that
 * stands before something else is written with `=on`. */
static bool take_engines(struct reader *r, struct cli_args *a, const char *text, const char *equals)
{
    const char *name = text + strspn(text, "-");
    const bool has_next = r->at + 1 < r->argc && !is_option(r->argv[r->at + 1]);
    char *bare = mem_strndup(name, equals ? (size_t)(equals - name) : strlen(name));
    strv_add(&a->engine, bare);
    strv_add(&a->engine, equals ? equals + 1 : has_next ? r->argv[++r->at] : "on");
    free(bare);
    return true;
}

/* One argument that begins with a dash. `a` is NULL before the command. */
static bool read_option(struct reader *r, struct cli_args *a, bool *help)
{
    const char *text = r->argv[r->at], *equals = strchr(text, '='), *value;
    size_t len = equals ? (size_t)(equals - text) : strlen(text);
    if (strcmp(text, "-h") == 0)
        return *help = true;
    const struct cli_option *o = find_in(cli_global_options, text, len);
    if (o)
        return read_value(r, o, equals, &value) && set_global(r, o, value, help);
    o = a ? find_in(a->command->options, text, len) : NULL;
    if (o)
        return read_value(r, o, equals, &value) && set_own(a, o, value);
    if (a && (a->command->flags & CLI_ENGINES_OPTIONS) && !is_misspelt(a->command, text))
        return take_engines(r, a, text, equals);
    unknown_option(r->cli, r->command, text);
    return false;
}

int cli_parse_globals(struct cli *cli, int argc, char **argv, bool *help, bool *version)
{
    struct reader r = {.cli = cli, .argc = argc, .argv = argv, .at = 1};
    *help = *version = false;
    for (; r.at < argc && argv[r.at][0] == '-'; r.at++) {
        if (strcmp(argv[r.at], cli_version_option.name) == 0)
            *version = true;
        else if (!read_option(&r, NULL, help))
            return -1;
    }
    return r.at;
}

static bool count_is_right(const struct cli_args *a, const struct cli *cli)
{
    const struct cli_command *c = a->command;
    if (a->n_operands < c->min_operands)
        cli_error(cli, "%s: %s", c->name, c->missing);
    else if (a->n_operands > c->max_operands)
        cli_error(cli, "%s: one too many: '%s'", c->name, a->operands[c->max_operands]);
    else
        return true;
    cli_hint(cli, "usage: hostler %s [OPTION]...%s%s", c->name, *c->operands ? " " : "",
             c->operands);
    if (a->n_operands < c->min_operands && a->engine.n)
        cli_hint(cli,
                 "-%s was taken for an option of the engine; a name that begins with a dash goes "
                 "after `--`",
                 a->engine.v[0]);
    return false;
}

bool cli_parse(struct cli_args *a, struct cli *cli, const char *name, int argc, char **argv,
               int *status)
{
    struct reader r = {.cli = cli, .argc = argc, .argv = argv, .at = 1};
    bool help = false, options = true;
    *a = (struct cli_args){.command = cli_command_find(name)};
    a->operands = mem_zalloc((size_t)argc * sizeof *a->operands);
    r.command = a->command;
    *status = CLI_USAGE;
    for (; r.at < argc && !help; r.at++) {
        const char *text = argv[r.at];
        if (options && strcmp(text, "--") == 0)
            options = false;
        else if (!options || text[0] != '-' || !text[1])
            a->operands[a->n_operands++] = text;
        else if (!read_option(&r, a, &help))
            return false;
    }
    if (help) {
        cli_print_command_help(cli, a->command);
        *status = CLI_OK;
        return false;
    }
    const struct cli_option *json = find_in(a->command->options, "--json", strlen("--json"));
    cli->json = json && a->values[json - a->command->options];
    if (cli->key && has_control(cli->key)) {
        cli_error(cli, "the key holds a control character (a newline at its end?)");
        cli_hint(cli, "give it without one by HOSTLER_API_KEY or --api-key");
        return false;
    }
    return count_is_right(a, cli);
}

void cli_args_finish(struct cli_args *a)
{
    strv_finish(&a->engine);
    for (size_t i = 0; i < CLI_MAX_OPTIONS; i++)
        strv_finish(&a->repeated[i]);
    free(a->operands);
    *a = (struct cli_args){0};
}

const struct strv *cli_arg_all(const struct cli_args *a, const char *name)
{
    return &a->repeated[find_in(a->command->options, name, strlen(name)) - a->command->options];
}

const char *cli_arg(const struct cli_args *a, const char *name)
{
    const struct cli_option *o = find_in(a->command->options, name, strlen(name));
    assert(o && o - a->command->options < CLI_MAX_OPTIONS);
    return a->values[o - a->command->options];
}

bool cli_arg_time(const struct cli_args *a, const struct cli *cli, const char *name,
                  unsigned long long *ms)
{
    const char *text = cli_arg(a, name);
    uint64_t value;
    if (!text)
        return true;
    if (duration_parse(text, &value)) {
        cli_error(cli, "%s: '%s' is no time", name, text);
        cli_hint(cli, "write 90, 90s, 5m or 1h30m");
        return false;
    }
    *ms = value;
    return true;
}

bool cli_arg_number(const struct cli_args *a, const struct cli *cli, const char *name, double min,
                    double max, double *value)
{
    const char *text = cli_arg(a, name);
    char *end;
    if (!text)
        return true;
    double v = strtod(text, &end); /* the locale is "C": nobody calls setlocale() */
    if (!*text || *end || !isfinite(v) || v < min || v > max) {
        cli_error(cli, "%s: '%s' is no number from %.10g to %.10g", name, text, min, max);
        return false;
    }
    *value = v;
    return true;
}

bool cli_arg_count(const struct cli_args *a, const struct cli *cli, const char *name, unsigned min,
                   unsigned max, unsigned *value)
{
    double v = *value;
    if (!cli_arg_number(a, cli, name, min, max, &v))
        return false;
    *value = (unsigned)v;
    if (v == *value)
        return true;
    cli_error(cli, "%s: '%s' is no whole number", name, cli_arg(a, name));
    return false;
}

/* --- help ---------------------------------------------------------------------------------------
 */

#define COLUMN 23 /* where an option's text begins */

static char *spelling(const struct cli_option *o)
{
    switch (o->value) {
    case CLI_SWITCH:
        return mem_strdup(o->name);
    case CLI_OPTIONAL:
        return mem_printf("%s[=%s]", o->name, o->arg);
    case CLI_VALUE:
    case CLI_REPEATED:
        return mem_printf("%s %s", o->name, o->arg);
    }
    return NULL;
}

/* At most 80 columns, also on a wider terminal: long lines are hard to read. */
static unsigned text_width(const struct cli *cli)
{
    return cli->width && cli->width < 80 ? cli->width : 80;
}

static void print_entry(const struct cli *cli, FILE *out, const char *left, size_t column,
                        const char *text)
{
    char *title = mem_printf("  %s", left);
    cli_print_titled(out, text_width(cli), title, column, text);
    free(title);
}

static void print_options(const struct cli *cli, const struct cli_option *o,
                          const struct cli_command *c, FILE *out)
{
    for (; o && o->name; o++) {
        if (o->hidden || !cli_global_applies(c, o))
            continue;
        char *left = spelling(o);
        char *help = mem_printf("%s%s", o->help,
                                o->value == CLI_REPEATED ? "; may be given more than once" : "");
        char *fallback = mem_printf("  default: %s", o->fallback ? o->fallback : "");
        char *env = mem_printf("  environment: %s", o->env ? o->env : "");
        print_entry(cli, out, left, COLUMN, help);
        if (o->fallback)
            print_entry(cli, out, "", COLUMN, fallback);
        if (o->env)
            print_entry(cli, out, "", COLUMN, env);
        free(left);
        free(help);
        free(fallback);
        free(env);
    }
}

void cli_print_command_help(const struct cli *cli, const struct cli_command *c)
{
    printf("usage: hostler %s%s%s%s\n\n", c->name, " [OPTION]...", *c->operands ? " " : "",
           c->operands);
    char *text = mem_printf("%s.%s%s", c->summary, c->help ? "\n" : "", c->help ? c->help : ""),
         *at;
    for (char *rest = text; (at = strsep(&rest, "\n"));)
        cli_print_titled(stdout, text_width(cli), "", 0, at);
    free(text);
    printf("\noptions:\n");
    print_options(cli, c->options, NULL, stdout);
    print_options(cli, cli_global_options, c, stdout);
}

void cli_print_help(const struct cli *cli, FILE *out)
{
    fprintf(out, "usage: hostler [--url URL] [--api-key KEY] COMMAND ...\n\n");
    cli_print_titled(out, text_width(cli), "", 0, CLI_SUMMARY ".");
    fprintf(out, "\ncommands:\n");
    for (const struct cli_command *c = cli_commands; c->name; c++)
        print_entry(cli, out, c->name, 15, c->summary);
    fprintf(out, "\noptions, before or after the command:\n");
    print_options(cli, cli_global_options, NULL, out);
    print_entry(cli, out, cli_version_option.name, COLUMN, cli_version_option.help);
    fprintf(out, "\nexit status:\n");
    for (int i = 0; cli_exit_texts[i]; i++) {
        const char status[] = {(char)('0' + i), '\0'};
        print_entry(cli, out, status, COLUMN, cli_exit_texts[i]);
    }
    fprintf(out, "\nEach command has a --help of its own.\n");
}
