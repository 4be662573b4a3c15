/* SPDX-License-Identifier: MIT */
/*
 * Prints an answer while it arrives: its text on stdout; on stderr, only where that is a terminal, the wait, the reasoning
 * and the speed.
 */
#ifndef HOSTLER_CLI_RUN_ANSWER_H
#define HOSTLER_CLI_RUN_ANSWER_H

#include "cli/run/chat.h"
#include "cli/terminal/progress.h"

struct run_answer {
    const struct cli *cli;
    const char *model;
    uint64_t thinking_since; /* ms; 0: what is shown now is no thought */
    bool out_failed;         /* stdout is closed or full */
    char last, last_thought; /* the last letter on stdout, and of what it thinks */
    uint64_t asked;          /* ms; 0: nothing is waited for */
    struct progress progress;
    struct router
        watch; /* a second connection that polls the model's state during the wait; opened when needed */
};

/* Before the question; the listener for chat_run(), which Ctrl-C stops (signals.h). */
struct chat_listener run_answer_begin(struct run_answer *a, const struct cli *cli,
                                      const char *model);
/* After it, whatever came. */
void run_answer_end(struct run_answer *a, const struct chat *c);
void run_answer_finish(struct run_answer *a);

#endif
