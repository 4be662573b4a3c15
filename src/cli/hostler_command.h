/* SPDX-License-Identifier: MIT */
/* The commands that need hostler itself, not another router: each asks one of its own routes. */
#ifndef HOSTLER_CLI_HOSTLER_COMMAND_H
#define HOSTLER_CLI_HOSTLER_COMMAND_H

#include "cli/options.h"
#include "cli/peer/router.h"

struct hostler_command {
    const char *name;   /* in the table of commands */
    const char *others; /* completes the error on another router: it `keeps no list of requests` */
    int (*run)(struct router *r, const struct cli_args *a, void *ctx); /* returns an exit status */
};

/* Parses the arguments, connects, and calls `run` with `ctx`. Returns an exit status. */
int hostler_command(struct cli *cli, int argc, char **argv, const struct hostler_command *c,
                    void *ctx);
/* `/hostler/v1/ROUTE?model=MODEL`, percent-encoded; without the query where `model` is NULL. The caller
 * frees it. */
char *hostler_path(const char *route, const char *model);

#endif
