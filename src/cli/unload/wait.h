/* SPDX-License-Identifier: MIT */
/* What is said while an unload takes long: a line that is redrawn on a terminal, elsewhere one text on stderr after some
 * seconds, so that a script's log tells what it waits for. */
#ifndef HOSTLER_CLI_UNLOAD_WAIT_H
#define HOSTLER_CLI_UNLOAD_WAIT_H

#include "cli/cli.h"
#include "cli/terminal/progress.h"

struct unload_wait {
    const struct cli *cli;
    struct progress progress;
    uint64_t started; /* cli_now_ms() */
    bool told;
};

void unload_wait_begin(struct unload_wait *w, const struct cli *cli);
/* Where there is no terminal: whether the text is due now. Once. */
bool unload_wait_is_due(struct unload_wait *w);

#endif
