/* SPDX-License-Identifier: MIT */
/* All of it is shown on stderr: stdout is for answers. */
#include "cli/run/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/nearest.h"
#include "cli/json.h"
#include "cli/terminal/format.h"

struct command {
    const char *name;
    const char *also; /* other names, with a blank before and after each; NULL */
    const char *operands, *help;
    bool (*run)(struct run_session *s, char *rest); /* false: it is over */
};

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = mem_vprintf(fmt, ap);
    va_end(ap);
    fprintf(stderr, "%s\n", format_sanitize(text, FORMAT_KEEP_NEWLINES));
    free(text);
}

/* A line of two narrow columns and of a wide one, which is broken where the terminal ends. */
static void explain(const struct cli *cli, const char *name, size_t name_width, const char *value,
                    size_t value_width, const char *text)
{
    char *title = mem_printf("  %-*s %-*s", (int)name_width, name, (int)value_width, value);
    cli_print_titled(stderr, cli->width, title, 2 + name_width + 1 + value_width + 1, text);
    free(title);
}

/* --- parameters ---------------------------------------------------------------------------------
 */

static void show_parameters(const struct run_session *s, bool all)
{
    for (const struct run_parameter *w = run_parameters; w->name; w++) {
        char *value = run_parameter_get(&s->parameters, w);
        if (value && (!all || w->kind == RUN_TEXT))
            say("  %-18s %s", w->name, value);
        else if (all)
            explain(s->cli, w->name, 18, value ? value : "default", 8, w->help);
        free(value);
    }
}

static bool set(struct run_session *s, char *rest)
{
    struct error err;
    if (!*rest)
        show_parameters(s, true);
    else if (run_parameter_read(&s->parameters, rest, &err))
        cli_error(s->cli, "%s", err.text);
    return true;
}

static bool show(struct run_session *s, char *rest)
{
    (void)rest;
    say("  %-18s %s", "model", s->model);
    say("  %-18s %s", "server", s->router.url.shown);
    say("  %-18s %zu", "messages", json_array_size(s->messages));
    for (size_t i = 0; i < s->shown.n; i++)
        say("  %-18s %s", i ? "" : "images to come", s->shown.v[i]);
    show_parameters(s, false);
    return true;
}

/* --- the conversation ---------------------------------------------------------------------------
 */

static bool clear(struct run_session *s, char *rest)
{
    (void)rest;
    run_session_clear(s);
    run_session_clear_images(s);
    say("What was said is forgotten.");
    return true;
}

static void list_models(const struct run_session *s, const struct router_models *models)
{
    for (size_t i = 0; i < models->n; i++)
        say("%c %s (%s)", strcmp(models->v[i].id, s->model) == 0 ? '*' : ' ', models->v[i].id,
            models->v[i].state);
}

static bool model(struct run_session *s, char *rest)
{
    struct router_models models = {0};
    if (router_list(&s->router, &models, false) == CLI_OK) {
        if (!*rest)
            list_models(s, &models);
        else if (!router_find(&models, rest))
            router_report_unknown(&s->router, &models, rest);
        else
            run_session_set_model(s, rest);
    }
    router_models_finish(&models);
    return true;
}

static bool image(struct run_session *s, char *rest)
{
    size_t len = strlen(rest);
    /* As a terminal writes a file that is dropped on it. */
    if (len > 1 && (*rest == '\'' || *rest == '"') && rest[len - 1] == *rest) {
        rest[len - 1] = '\0';
        rest++;
    }
    if (!*rest)
        cli_error(s->cli, "/image wants a file: /image PATH");
    else if (run_session_attach(s, rest) == CLI_OK)
        say("%s goes with your next message.", rest);
    return true;
}

/* Of a message's content, which is a text or parts, the text. */
static const char *text_of(json_t *content)
{
    json_t *last = json_array_get(content, json_array_size(content) - 1);
    const char *text =
        json_string_value(json_is_array(content) ? json_object_get(last, "text") : content);
    return text ? text : "";
}

static void write_conversation(const struct run_session *s, FILE *file, bool as_json)
{
    json_t *messages = run_session_messages(s), *m;
    size_t i;
    if (as_json) {
        json_t *o =
            json_pack("{s:o, s:O}", "model", cli_json_string(s->model), "messages", messages);
        json_dumpf(o, file, JSON_INDENT(2));
        fputc('\n', file);
        json_decref(o);
    } else {
        json_array_foreach (messages, i, m)
            fprintf(file, "## %s\n\n%s\n\n", cli_json_text_or(m, "role", NULL),
                    text_of(json_object_get(m, "content")));
    }
    json_decref(messages);
}

static bool save(struct run_session *s, char *rest)
{
    if (!*rest) {
        cli_error(s->cli, "/save wants a file: /save FILE (JSON when it ends with .json)");
        return true;
    }
    size_t len = strlen(rest);
    bool as_json = len > 5 && strcmp(rest + len - 5, ".json") == 0;
    int fd = open(rest, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    int error = file ? 0 : errno;
    if (file) {
        write_conversation(s, file, as_json);
        error = cli_write_error(file);
        if (fclose(file) && !error)
            error = errno;
    }
    if (error)
        cli_error(s->cli, "%s cannot be written: %s", rest, strerror(error));
    else
        say("%zu messages are in %s.", json_array_size(s->messages), rest);
    return true;
}

static bool bye(struct run_session *s, char *rest)
{
    (void)s;
    (void)rest;
    return false;
}

/* --- which one ----------------------------------------------------------------------------------
 */

static bool help(struct run_session *s, char *rest);

static const struct command commands[] = {
    {"/set", NULL, "NAME VALUE", "sets a parameter, or without one lists them", set},
    {"/show", " /info ", "", "the model, and what is set", show},
    {"/clear", " /reset /new ", "", "forgets what was said", clear},
    {"/model", " /models ", "NAME", "goes on with another model, or lists them", model},
    {"/image", NULL, "PATH", "shows the model a picture, with the next message", image},
    {"/save", NULL, "FILE", "writes the conversation; as JSON when FILE ends with .json", save},
    {"/help", " /? ", "", "this text", help},
    {"/bye", " /exit /quit /q ", "", "ends (so does Ctrl-D)", bye},
    {0}};

static bool help(struct run_session *s, char *rest)
{
    static const char *const more[] = {
        "\"\"\" begins a message of several lines and ends it; so does \\ at a line's end.",
        "A picture's file is shown to the model when it is named in a message.",
        "Ctrl-C stops an answer. A message that begins with / has a blank before it."};
    (void)rest;
    for (const struct command *c = commands; c->name; c++)
        explain(s->cli, c->name, 6, c->operands, 11, c->help);
    fputc('\n', stderr);
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        cli_print_titled(stderr, s->cli->width, "", 2, more[i]);
    return true;
}

static const struct command *find(const char *name, const char **near)
{
    struct nearest nearest;
    nearest_init(&nearest, name);
    char *word = mem_printf(" %s ", name);
    const struct command *found = NULL;
    for (const struct command *c = commands; c->name && !found; c++) {
        if (strcmp(c->name, name) == 0 || (c->also && strstr(c->also, word)))
            found = c;
        nearest_consider(&nearest, c->name);
    }
    free(word);
    *near = nearest.best;
    return found;
}

bool run_command(struct run_session *s, char *line)
{
    const char *near;
    size_t len = strcspn(line, " \t");
    char *rest = line + len + strspn(line + len, " \t");
    line[len] = '\0';
    for (len = strlen(rest); len && (rest[len - 1] == ' ' || rest[len - 1] == '\t'); len--)
        rest[len - 1] = '\0';
    const struct command *c = find(line, &near);
    if (c)
        return c->run(s, rest);
    cli_error(s->cli, "there is no %s%s%s%s", line, near ? ": did you mean " : "", near ? near : "",
              near ? "?" : "");
    cli_hint(s->cli, "/help lists what there is; with a blank before it, it goes to the model");
    return true;
}
