/* SPDX-License-Identifier: MIT */
/*
 * hostler run: a prompt and its answer, or a conversation. Works with anything that answers
 * POST /v1/chat/completions.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli/options.h"
#include "cli/run/commands.h"
#include "cli/run/image.h"
#include "cli/run/input.h"

#define PROMPT_MAX ((size_t)32 << 20)

/* --- a conversation -----------------------------------------------------------------------------
 */

/* False when it is over. */
static bool take_message(struct run_session *s, struct run_compose *message, int *status)
{
    if (run_compose_is_command(message)) {
        char *line = mem_strdup(buf_cstr(&message->text));
        bool goes_on = run_command(s, line);
        free(line);
        return goes_on;
    }
    if (!run_session_attach_named(s, buf_cstr(&message->text)))
        *status = run_session_ask(s, message->text.data, message->text.len);
    return *status != CLI_REFUSED && !s->answer.out_failed;
}

static int converse(struct run_session *s)
{
    struct run_input in;
    int status = CLI_OK;
    run_input_open(&in, s->cli);
    fprintf(stderr, "%s: Ctrl-C stops an answer, Ctrl-D ends, /help tells more.\n", s->model);
    while (run_input_read(&in) && take_message(s, &in.message, &status))
        ;
    run_input_close(&in);
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

static int report_no_text(const struct cli *cli, const char *data, size_t len)
{
    cli_error(cli, "the prompt is not UTF-8 text");
    if (run_image_type((const unsigned char *)data, len))
        cli_hint(cli, "a picture is not piped in: name its file in the prompt or with --image");
    return CLI_USAGE;
}

/* The words after MODEL, then what is piped in. */
static int read_prompt(const struct cli *cli, const struct cli_args *a, struct buf *prompt)
{
    int rc = 0;
    for (size_t i = 1; !rc && i < a->n_operands; i++)
        rc = buf_printf(prompt, "%s%s", i > 1 ? " " : "", a->operands[i]);
    size_t words = prompt->len;
    if (words && !rc)
        rc = buf_puts(prompt, "\n\n");
    size_t piped = prompt->len;
    int status = rc ? CLI_USAGE : isatty(STDIN_FILENO) ? CLI_OK : read_stdin(cli, prompt);
    if (prompt->len == piped)
        prompt->len = piped = words;
    if (!status && !prompt->len) {
        cli_error(cli, "there is no prompt: nothing after MODEL, and nothing is piped in");
        cli_hint(cli, "write it after MODEL or pipe it in; on a terminal you are asked for it");
        return CLI_USAGE;
    }
    json_t *text = status ? NULL : json_stringn(prompt->data, prompt->len);
    if (!status && !text)
        status = report_no_text(cli, prompt->data + piped, prompt->len - piped);
    json_decref(text);
    return status;
}

/* Named in the words after MODEL; what is piped in, a diff perhaps, names files for other reasons. */
static int attach(struct run_session *s, const struct cli_args *a)
{
    const struct strv *images = cli_arg_all(a, "--image");
    int status = CLI_OK;
    for (size_t i = 0; !status && i < images->n; i++)
        status = run_session_attach(s, images->v[i]);
    for (size_t i = 1; !status && i < a->n_operands; i++)
        status = run_session_attach_named(s, a->operands[i]);
    return status;
}

static int answer_one(struct run_session *s, const struct cli_args *a)
{
    struct buf prompt;
    buf_init(&prompt, PROMPT_MAX);
    int status = read_prompt(s->cli, a, &prompt);
    if (!status)
        status = run_session_ask(s, prompt.data, prompt.len);
    buf_finish(&prompt);
    return status;
}

/* --- the command --------------------------------------------------------------------------------
 */

static bool read_option(struct run_session *s, const struct cli_args *a, const char *option,
                        const char *name)
{
    struct error err;
    const char *value = cli_arg(a, option);
    if (!value || !run_parameter_set(&s->parameters, run_parameter_find(name, &err), value, &err))
        return true;
    cli_error(s->cli, "%s: %s", option, err.text);
    return false;
}

static bool read_settings(struct run_session *s, const struct strv *settings)
{
    struct error err;
    for (size_t i = 0; i < settings->n; i++)
        if (run_parameter_read(&s->parameters, settings->v[i], &err)) {
            cli_error(s->cli, "--set: %s", err.text);
            return false;
        }
    return true;
}

static int run(struct run_session *s, const struct cli_args *a)
{
    if (!read_option(s, a, "--system", "system") ||
        !read_option(s, a, "--max-tokens", "max_tokens") ||
        !read_option(s, a, "--temperature", "temperature") ||
        !read_settings(s, cli_arg_all(a, "--set")))
        return CLI_USAGE;
    int status = attach(s, a);
    if (status)
        return status;
    bool talks = a->n_operands == 1 && isatty(STDIN_FILENO) && !s->cli->json;
    return talks ? converse(s) : answer_one(s, a);
}

int cli_run(struct cli *cli, int argc, char **argv)
{
    struct cli_args a;
    struct run_session s = {0};
    int status;
    if (cli_parse(&a, cli, "run", argc, argv, &status)) {
        status = run_session_open(&s, cli, a.operands[0]);
        if (!status)
            status = run(&s, &a);
    }
    run_session_close(&s);
    cli_args_finish(&a);
    return status;
}
