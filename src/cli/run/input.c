/* SPDX-License-Identifier: MIT */
#include "cli/run/input.h"

#include <signal.h>
#include <stdlib.h>

#include "base/memory.h"
#include "cli/run/editor.h"
#include "cli/run/history.h"
#include "cli/run/signals.h"

#define MESSAGE_MAX ((size_t)32 << 20)
#define PROMPT ">>> "
#define PROMPT_MORE "... "

/* A file that cannot be read is told once, and left alone. */
static void load_history(struct run_input *in)
{
    struct strv entries = {0};
    struct error err;
    in->history = run_history_path();
    if (in->history && run_history_load(in->history, &entries, &err)) {
        cli_error(in->cli, "the history is not kept: %s", err.text);
        free(in->history);
        in->history = NULL;
    }
    for (size_t i = 0; i < entries.n; i++)
        run_editor_remember(entries.v[i]);
    strv_finish(&entries);
}

void run_input_open(struct run_input *in, const struct cli *cli)
{
    *in = (struct run_input){.cli = cli, .edits = run_editor_open()};
    run_compose_init(&in->message, MESSAGE_MAX);
    run_signals_catch(SIGINT);
    setvbuf(stdin, NULL, _IONBF, 0); /* what was read ahead would be invisible to poll() */
    if (in->edits)
        load_history(in);
}

void run_input_close(struct run_input *in)
{
    if (in->edits)
        run_editor_close();
    run_compose_finish(&in->message);
    free(in->history);
    free(in->last);
    free(in->line);
}

static enum run_editor_end read_plainly(struct run_input *in, const char *prompt)
{
    fputs(prompt, stderr);
    int interrupt = run_signals_wait_for_input();
    if (!interrupt && getline(&in->line, &in->line_size, stdin) >= 0) {
        in->line[strcspn(in->line, "\n")] = '\0';
        return RUN_EDITOR_LINE;
    }
    clearerr(stdin);
    fputc('\n', stderr);
    return interrupt || run_signals_received(SIGINT) ? RUN_EDITOR_INTERRUPTED : RUN_EDITOR_END;
}

static enum run_editor_end read_line(struct run_input *in, const char *prompt)
{
    if (!in->edits)
        return read_plainly(in, prompt);
    free(in->line);
    in->line = NULL;
    return run_editor_read(prompt, &in->line);
}

static void remember(struct run_input *in)
{
    const char *text = buf_cstr(&in->message.text);
    if (!in->edits || (in->last && strcmp(in->last, text) == 0))
        return;
    run_editor_remember(text);
    mem_replace(&in->last, text);
    int rc = in->history ? run_history_add(in->history, text) : 0;
    if (!rc)
        return;
    cli_error(in->cli, "the history is not kept: %s cannot be written: %s", in->history,
              strerror(-rc));
    free(in->history);
    in->history = NULL;
}

/* A line for the message. False at the end of input. */
static bool take_line(struct run_input *in, enum run_compose_result *result)
{
    run_signals_forget(SIGINT);
    switch (read_line(in, in->message.begun ? PROMPT_MORE : PROMPT)) {
    case RUN_EDITOR_END:
        return false;
    case RUN_EDITOR_INTERRUPTED:
        run_compose_clear(&in->message);
        *result = RUN_COMPOSE_MORE;
        return true;
    case RUN_EDITOR_LINE:
        *result = run_compose_add(&in->message, in->line);
        return true;
    }
    return false;
}

bool run_input_read(struct run_input *in)
{
    enum run_compose_result result;
    run_compose_clear(&in->message);
    while (take_line(in, &result)) {
        if (result == RUN_COMPOSE_MORE)
            continue;
        const char *text = buf_cstr(&in->message.text);
        bool blank = !text[strspn(text, " \t\n")];
        if (result == RUN_COMPOSE_DONE && !blank) {
            remember(in);
            return true;
        }
        if (result == RUN_COMPOSE_TOO_LONG)
            cli_error(in->cli, "the message is longer than %zu MiB", MESSAGE_MAX >> 20);
        run_compose_clear(&in->message);
    }
    return false;
}
