/* SPDX-License-Identifier: MIT */
#include "cli/unload/wait.h"

#define SAY_MS 3000

void unload_wait_begin(struct unload_wait *w, const struct cli *cli)
{
    *w = (struct unload_wait){.cli = cli, .started = cli_now_ms()};
    progress_init(&w->progress, cli);
}

bool unload_wait_is_due(struct unload_wait *w)
{
    bool due = !w->progress.live && !w->told && cli_now_ms() - w->started >= SAY_MS;
    w->told |= due;
    return due;
}
