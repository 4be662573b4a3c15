/* SPDX-License-Identifier: MIT */
/*
 * hostler run: a prompt and its answer, or a conversation. Works with anything that answers
 * POST /v1/chat/completions.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/memory.h"
#include "cli/chat.h"
#include "cli/format.h"
#include "cli/options.h"
#include "cli/progress.h"

#define PROMPT_MAX ((size_t)32 << 20)

struct run {
    const struct cli *cli;
    struct router router;
    struct chat_wish wish; /* its messages are owned */
    bool thinking;         /* the last that was shown is what it thinks */
    bool out_failed;       /* stdout is closed or full */
    char last;             /* the last letter on stdout */
    uint64_t asked;        /* ms; 0: nothing is waited for */
    struct progress progress;
    struct router watch; /* asks how it stands while the other is busy; opened when needed */
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

/* --- showing ------------------------------------------------------------------------------------
 */

/* As it came in a pipe; on a terminal, without what could steer it. */
static void show(const char *text, FILE *out, bool is_tty)
{
    if (!is_tty) {
        fputs(text, out);
        return;
    }
    char *clean = format_clean(mem_strdup(text), FORMAT_KEEP_NEWLINES);
    fputs(clean, out);
    free(clean);
}

/* The first piece came, or none will. */
static void end_waiting(struct run *run)
{
    run->asked = 0;
    progress_clear(&run->progress);
}

/* Of the model that is waited for; NULL when it cannot be told. Borrowed from *models. */
static const char *state_now(struct run *run, struct router_models *models)
{
    static struct cli quiet;
    quiet = *run->cli;
    quiet.quiet = true;
    if (!run->watch.cli) {
        if (router_open(&run->watch, &quiet))
            return NULL;
        run->watch.timeout_ms = 500;
        if (router_detect(&run->watch))
            return NULL;
    }
    if (!run->watch.client || router_list(&run->watch, models, false))
        return NULL;
    const struct router_model *m = router_find(models, run->wish.model);
    return m ? m->draining ? "draining" : m->state : NULL;
}

/* While no byte has come for a second: what for. */
static void show_waiting(struct run *run)
{
    struct router_models models = {0};
    if (!run->progress.live || !run->asked || cli_now_ms() - run->asked < 1000)
        return;
    const char *state = state_now(run, &models);
    bool ready = state && (strcmp(state, "loaded") == 0 || strcmp(state, "sleeping") == 0);
    char *line = mem_printf("waiting for %s%s%s%s", run->wish.model, state && !ready ? " (" : "",
                            state && !ready ? state : "", state && !ready ? ")" : "");
    format_clean(line, FORMAT_ONE_LINE);
    if (run->asked)
        progress_draw(&run->progress, &line, 1);
    free(line);
    router_models_finish(&models);
}

static int on_reasoning(const char *text, void *ctx)
{
    struct run *run = ctx;
    if (run->asked)
        end_waiting(run);
    if (!run->cli->err_is_tty || run->cli->json)
        return interrupted;
    run->thinking = true;
    /* Dimmed piece by piece, so that no end, however sudden, leaves the terminal dim. */
    fputs(run->cli->err_colour ? "\033[2m" : "", stderr);
    show(text, stderr, true);
    fputs(run->cli->err_colour ? "\033[0m" : "", stderr);
    return interrupted;
}

static int on_content(const char *text, void *ctx)
{
    struct run *run = ctx;
    if (run->asked)
        end_waiting(run);
    if (run->cli->json)
        return interrupted;
    if (run->thinking)
        fputs("\n\n", stderr);
    run->thinking = false;
    show(text, stdout, run->cli->out_is_tty);
    run->last = text[strlen(text) - 1];
    run->out_failed = fflush(stdout) != 0;
    return interrupted || run->out_failed;
}

static bool was_stopped(void *ctx)
{
    if (!interrupted)
        show_waiting(ctx);
    return interrupted;
}

static void show_speed(const struct run *run, const struct chat *c)
{
    json_int_t tokens;
    double per_second;
    char first[FORMAT_SIZE];
    if (!run->cli->err_is_tty || run->cli->json || !c->first)
        return;
    chat_speed(c, &tokens, &per_second);
    fprintf(stderr, "%s[%" JSON_INTEGER_FORMAT " tokens, %.1f tokens/s, the first after %s%s]%s\n",
            run->cli->err_colour ? "\033[2m" : "", tokens, per_second,
            format_took(c->first - c->started, first, sizeof first),
            c->end == CHAT_STOPPED ? ", stopped" : "", run->cli->err_colour ? "\033[0m" : "");
}

/* --- what went wrong ----------------------------------------------------------------------------
 */

/* The server may have refused because there is no such model: then the nearest is named. */
static bool tell_unknown(struct run *run)
{
    struct router_models models;
    struct cli quiet = *run->cli;
    const struct cli *loud = run->router.cli;
    quiet.quiet = true;
    run->router.cli = &quiet;
    int status = router_list(&run->router, &models, false);
    run->router.cli = loud;
    bool unknown = !status && !router_find(&models, run->wish.model);
    if (unknown)
        router_unknown(&run->router, &models, run->wish.model);
    router_models_finish(&models);
    return unknown;
}

static void hint_command(const struct run *run, const char *command, const char *does)
{
    char *word = format_shell(run->wish.model);
    cli_hint(run->cli, "'hostler %s %s' %s", command, word, does);
    free(word);
}

static int tell_refused(struct run *run, const struct chat *c)
{
    if (c->status == 401 || c->status == 403)
        return router_refused(&run->router);
    if ((c->status == 400 || c->status == 404) && tell_unknown(run))
        return CLI_SOME_FAILED;
    if (c->status == 404 || c->status == 405 || c->status == 501) {
        cli_error(run->cli, "%s cannot chat: POST /v1/chat/completions is answered with %d: %s",
                  run->router.url.shown, c->status, c->err.text);
        cli_hint(run->cli, "name the router with --url or HOSTLER_URL");
        return CLI_NO_SERVER;
    }
    /* A message that begins with the model is a sentence of its own. */
    char *text = format_failure(run->wish.model, c->err.text);
    if (strncmp(text, "model '", strlen("model '")) == 0)
        cli_error(run->cli, "%s", text);
    else
        cli_error(run->cli, "model '%s' did not answer: %s", run->wish.model, text);
    free(text);
    if (strcmp(c->state, "held") == 0)
        hint_command(run, "release", "ends it");
    else if (c->status == 400 && strcmp(c->err.text, "model is not loaded") == 0)
        hint_command(run, "load", "loads it: requests do not (--no-models-autoload)");
    return CLI_SOME_FAILED;
}

static void tell_broken(const struct run *run, const struct chat *c)
{
    char *text = format_failure(run->wish.model, c->err.text);
    cli_error(run->cli, "the answer of model '%s' broke off: %s", run->wish.model, text);
    free(text);
}

static int tell_end(struct run *run, const struct chat *c)
{
    switch (c->end) {
    case CHAT_COMPLETE:
        return CLI_OK;
    case CHAT_STOPPED:
        return run->out_failed ? CLI_SOME_FAILED : CLI_OK;
    case CHAT_REFUSED:
        return tell_refused(run, c);
    case CHAT_BROKEN:
        tell_broken(run, c);
        return CLI_SOME_FAILED;
    case CHAT_NO_SERVER:
        return router_unreachable(&run->router, c->code, &c->err);
    }
    return CLI_SOME_FAILED;
}

/* --- one turn -----------------------------------------------------------------------------------
 */

static void add_message(struct run *run, const char *role, const char *text, size_t len)
{
    json_t *content = json_stringn(text, len);
    json_array_append_new(run->wish.messages, json_pack("{s:s, s:o}", "role", role, "content",
                                                        content ? content : cli_json_string(text)));
}

static void show_object(const struct chat *c)
{
    if (c->end == CHAT_COMPLETE)
        cli_print_json(chat_object(c));
}

/* Sends the conversation; the answer becomes part of it. */
static int take_turn(struct run *run)
{
    struct chat c;
    struct chat_listener listener = {
        .content = on_content, .reasoning = on_reasoning, .stopped = was_stopped, .ctx = run};
    run->thinking = false;
    run->last = '\n';
    progress_init(&run->progress, run->cli);
    run->progress.dim = true;
    run->asked = cli_now_ms();
    chat_run(&c, &run->router, &run->wish, &listener);
    end_waiting(run);
    if (run->cli->json)
        show_object(&c);
    else if (run->last != '\n' && !run->out_failed)
        putchar('\n');
    if (run->thinking)
        fputc('\n', stderr);
    fflush(stdout);
    show_speed(run, &c);
    int status = tell_end(run, &c);
    if (c.content.len && !status)
        add_message(run, "assistant", c.content.data, c.content.len);
    chat_finish(&c);
    return status;
}

/* --- a conversation -----------------------------------------------------------------------------
 */

static void catch_interrupts(void)
{
    /* Without SA_RESTART, so that Ctrl-C also ends the reading of a line. */
    struct sigaction action = {.sa_handler = on_interrupt};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

/*
 * Waits until there is a line (the terminal gives whole ones) or Ctrl-C. The signal is let in only
 * while it waits, so that it cannot slip in just before a read that would then go on for ever.
 */
static void wait_for_line(void)
{
    sigset_t interrupt, before;
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    sigprocmask(SIG_BLOCK, &interrupt, &before);
    if (!interrupted)
        ppoll(&input, 1, NULL, &before);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

/* False at the end of input. */
static bool read_line(char **line, size_t *size)
{
    for (;;) {
        interrupted = 0;
        fputs(">>> ", stderr);
        wait_for_line();
        ssize_t n = interrupted ? -1 : getline(line, size, stdin);
        if (n >= 0) {
            (*line)[strcspn(*line, "\n")] = '\0';
            return true;
        }
        fputc('\n', stderr);
        if (!interrupted)
            return false;
        clearerr(stdin);
    }
}

static int converse(struct run *run)
{
    char *line = NULL;
    size_t size = 0;
    int status = CLI_OK;
    catch_interrupts();
    setvbuf(stdin, NULL, _IONBF, 0); /* what was read ahead would be invisible to poll() */
    fprintf(stderr, "%s: Ctrl-C stops an answer, Ctrl-D ends.\n", run->wish.model);
    while (!run->out_failed && read_line(&line, &size)) {
        if (!line[strspn(line, " \t")])
            continue;
        size_t before = json_array_size(run->wish.messages);
        add_message(run, "user", line, strlen(line));
        status = take_turn(run);
        /* A question without any answer is not part of what comes. */
        if (json_array_size(run->wish.messages) == before + 1)
            json_array_remove(run->wish.messages, before);
        if (status == CLI_REFUSED)
            break;
    }
    free(line);
    return status == CLI_REFUSED ? status : CLI_OK;
}

/* --- one prompt ---------------------------------------------------------------------------------
 */

static int read_stdin(const struct cli *cli, struct buf *prompt)
{
    for (;;) {
        if (buf_reserve(prompt, 65536)) {
            cli_error(cli, "the prompt is longer than %zu MiB", PROMPT_MAX >> 20);
            return CLI_USAGE;
        }
        ssize_t n = read(STDIN_FILENO, prompt->data + prompt->len, 65536);
        if (n == 0)
            return CLI_OK;
        if (n > 0) {
            prompt->len += (size_t)n;
        } else if (errno != EINTR) {
            if (errno == EBADF) /* closed: nothing is piped in */
                return CLI_OK;
            cli_error(cli, "the prompt could not be read: %s", strerror(errno));
            return CLI_USAGE;
        }
    }
}

/* The words behind MODEL, then what is piped in. */
static int read_prompt(const struct cli *cli, const struct cli_args *a, struct buf *prompt)
{
    int rc = 0;
    for (size_t i = 1; !rc && i < a->n_operands; i++)
        rc = buf_printf(prompt, "%s%s", i > 1 ? " " : "", a->operands[i]);
    size_t words = prompt->len;
    if (words && !rc)
        rc = buf_puts(prompt, "\n\n");
    int status = rc ? CLI_USAGE : isatty(STDIN_FILENO) ? CLI_OK : read_stdin(cli, prompt);
    if (words && prompt->len == words + 2)
        prompt->len = words;
    if (!status && !prompt->len) {
        cli_error(cli, "there is no prompt: nothing behind MODEL, and nothing is piped in");
        cli_hint(cli, "write it behind MODEL or pipe it in; on a terminal you are asked for it");
        return CLI_USAGE;
    }
    json_t *text = status ? NULL : json_stringn(prompt->data, prompt->len);
    if (!status && !text) {
        cli_error(cli, "the prompt is not UTF-8 text");
        status = CLI_USAGE;
    }
    json_decref(text);
    return status;
}

static int answer_one(struct run *run, const struct cli_args *a)
{
    struct buf prompt;
    buf_init(&prompt, PROMPT_MAX);
    int status = read_prompt(run->cli, a, &prompt);
    if (!status) {
        add_message(run, "user", prompt.data, prompt.len);
        status = take_turn(run);
    }
    buf_finish(&prompt);
    return status;
}

/* --- the command --------------------------------------------------------------------------------
 */

static bool read_options(struct run *run, const struct cli_args *a)
{
    const char *system = cli_arg(a, "--system");
    unsigned tokens = 0;
    run->wish.model = a->operands[0];
    run->wish.messages = json_array();
    run->wish.has_temperature = cli_arg(a, "--temperature");
    if (system)
        add_message(run, "system", system, strlen(system));
    if (!cli_arg_number(a, run->cli, "--temperature", 0, 100, &run->wish.temperature) ||
        !cli_arg_count(a, run->cli, "--max-tokens", 1, 1000000000, &tokens))
        return false;
    run->wish.max_tokens = (int)tokens;
    return true;
}

int cli_run(struct cli *cli, int argc, char **argv)
{
    struct cli_args a;
    struct run run = {.cli = cli};
    int status;
    if (cli_parse(&a, cli, "run", argc, argv, &status)) {
        status = read_options(&run, &a) ? router_open(&run.router, cli) : CLI_USAGE;
        if (!status && a.n_operands == 1 && isatty(STDIN_FILENO) && !cli->json)
            status = converse(&run);
        else if (!status)
            status = answer_one(&run, &a);
    }
    json_decref(run.wish.messages);
    router_close(&run.router);
    router_close(&run.watch);
    cli_args_finish(&a);
    return status;
}
