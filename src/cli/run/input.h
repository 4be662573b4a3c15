/* SPDX-License-Identifier: MIT */
/* What a person writes in a conversation: whole messages, with the history of earlier ones. */
#ifndef HOSTLER_CLI_RUN_INPUT_H
#define HOSTLER_CLI_RUN_INPUT_H

#include "cli/cli.h"
#include "cli/run/compose.h"

struct run_input {
    const struct cli *cli;
    bool edits;    /* by libedit; else lines come as the terminal gives them */
    char *history; /* its file; NULL: none is kept */
    char *last;    /* what was remembered last; NULL */
    char *line;    /* of getline() */
    size_t line_size;
    struct run_compose message;
};

void run_input_open(struct run_input *in, const struct cli *cli);
void run_input_close(struct run_input *in);
/* Waits for a message that is not blank, into `in->message`. False at the end of input. */
bool run_input_read(struct run_input *in);

#endif
