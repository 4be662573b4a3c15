/* SPDX-License-Identifier: MIT */
#include "cli/run/answer.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/json.h"
#include "cli/run/signals.h"
#include "cli/terminal/format.h"

/* As it came in a pipe; on a terminal, without what could steer it. */
static void show(const char *text, FILE *out, bool is_tty)
{
    if (!is_tty) {
        fputs(text, out);
        return;
    }
    char *clean = format_sanitize(mem_strdup(text), FORMAT_KEEP_NEWLINES);
    fputs(clean, out);
    free(clean);
}

/* --- waiting ------------------------------------------------------------------------------------
 */

/* The first piece came, or none will. */
static void end_waiting(struct run_answer *a)
{
    a->asked = 0;
    progress_clear(&a->progress);
}

/* Of the model that is waited for; NULL when it cannot be told. Borrowed from *models. */
static const char *state_now(struct run_answer *a, struct router_models *models)
{
    static struct cli quiet;
    quiet = *a->cli;
    quiet.quiet = true;
    if (!a->watch.cli) {
        if (router_open(&a->watch, &quiet))
            return NULL;
        a->watch.timeout_ms = 500;
        if (router_detect(&a->watch))
            return NULL;
    }
    if (!a->watch.client || router_list(&a->watch, models, false))
        return NULL;
    const struct router_model *m = router_find(models, a->model);
    if (!m)
        return NULL;
    return m->saving ? "saving" : m->draining ? "draining" : m->state;
}

/* While no byte has come for a second: what for. */
static void show_waiting(struct run_answer *a)
{
    struct router_models models = {0};
    if (!a->progress.live || !a->asked || cli_now_ms() - a->asked < 1000)
        return;
    const char *state = state_now(a, &models);
    bool ready = state && (strcmp(state, "loaded") == 0 || strcmp(state, "sleeping") == 0);
    char *line = mem_printf("waiting for %s%s%s%s", a->model, state && !ready ? " (" : "",
                            state && !ready ? state : "", state && !ready ? ")" : "");
    format_sanitize(line, FORMAT_ONE_LINE);
    if (a->asked)
        progress_draw(&a->progress, &line, 1);
    free(line);
    router_models_finish(&models);
}

static bool was_stopped(void *ctx)
{
    bool stopped = run_signals_received(SIGINT);
    if (!stopped)
        show_waiting(ctx);
    return stopped;
}

/* --- pieces -------------------------------------------------------------------------------------
 */

/* Dimmed piece by piece, so that no end, however sudden, leaves the terminal dim. */
static void show_dim(const struct run_answer *a, const char *text)
{
    fputs(a->cli->err_colour ? "\033[2m" : "", stderr);
    show(text, stderr, true);
    fputs(a->cli->err_colour ? "\033[0m" : "", stderr);
}

/* A line says where thoughts begin and end: without colour nothing else does. */
static void end_thinking(struct run_answer *a)
{
    char took[FORMAT_SIZE], line[FORMAT_SIZE + 32];
    if (!a->thinking_since)
        return;
    snprintf(line, sizeof line, "%s[thought for %s]", a->last_thought == '\n' ? "" : "\n",
             format_elapsed(cli_now_ms() - a->thinking_since, took, sizeof took));
    show_dim(a, line);
    fputs("\n\n", stderr);
    a->thinking_since = 0;
}

static int on_reasoning(const char *text, void *ctx)
{
    struct run_answer *a = ctx;
    if (a->asked)
        end_waiting(a);
    if (!a->cli->err_is_tty || a->cli->json)
        return run_signals_received(SIGINT);
    if (!a->thinking_since)
        show_dim(a, a->last == '\n' ? "[thinking]\n" : "\n[thinking]\n");
    if (!a->thinking_since)
        a->thinking_since = cli_now_ms();
    show_dim(a, text);
    a->last_thought = text[strlen(text) - 1];
    return run_signals_received(SIGINT);
}

static int on_content(const char *text, void *ctx)
{
    struct run_answer *a = ctx;
    if (a->asked)
        end_waiting(a);
    if (a->cli->json)
        return run_signals_received(SIGINT);
    end_thinking(a);
    show(text, stdout, a->cli->out_is_tty);
    a->last = text[strlen(text) - 1];
    a->out_failed = fflush(stdout) != 0;
    return run_signals_received(SIGINT) || a->out_failed;
}

/* --- the whole ----------------------------------------------------------------------------------
 */

struct chat_listener run_answer_begin(struct run_answer *a, const struct cli *cli,
                                      const char *model)
{
    a->cli = cli;
    a->model = model;
    a->thinking_since = 0;
    a->last = '\n';
    progress_init(&a->progress, cli);
    a->progress.dim = true;
    a->asked = cli_now_ms();
    return (struct chat_listener){
        .content = on_content, .reasoning = on_reasoning, .stopped = was_stopped, .ctx = a};
}

static void show_speed(const struct run_answer *a, const struct chat *c)
{
    json_int_t tokens;
    double per_second;
    char first[FORMAT_SIZE], rate[FORMAT_SIZE] = "";
    if (!a->cli->err_is_tty || a->cli->json || !c->first)
        return;
    chat_speed(c, &tokens, &per_second);
    if (per_second > 0)
        snprintf(rate, sizeof rate, ", %.1f tokens/s", per_second);
    char *line = mem_printf("[%" JSON_INTEGER_FORMAT " token%s%s, the first after %s%s]", tokens,
                            tokens == 1 ? "" : "s", rate,
                            format_elapsed(c->first - c->started, first, sizeof first),
                            c->end == CHAT_STOPPED ? ", stopped"
                            : chat_was_cut(c)      ? ", cut off"
                                                   : "");
    show_dim(a, line);
    fputc('\n', stderr);
    free(line);
}

void run_answer_end(struct run_answer *a, const struct chat *c)
{
    end_waiting(a);
    if (a->cli->json && c->end == CHAT_COMPLETE)
        cli_print_json(chat_object(c));
    else if (!a->cli->json && a->last != '\n' && !a->out_failed)
        putchar('\n');
    end_thinking(a);
    fflush(stdout);
    show_speed(a, c);
}

void run_answer_finish(struct run_answer *a)
{
    router_close(&a->watch);
}
