/* SPDX-License-Identifier: MIT */
/* What only hostler tells: for the commands that ask one of its routes and show the answer. */
#ifndef HOSTLER_CLI_FACTS_H
#define HOSTLER_CLI_FACTS_H

#include <time.h>

#include "cli/options.h"
#include "cli/peer/router.h"

/* Opens, and makes sure that it is a router, hostler or stock. router_close() in any case. */
int facts_open_any(struct router *r, const struct cli *cli);
/* Opens, and makes sure that it is hostler. `what` completes the error: it is another router, which
 * `keeps no list of requests`. router_close() in any case. */
int facts_open(struct router *r, const struct cli *cli, const char *what);
/* A whole command: parses, opens, and calls `show`. `name` is its own. */
int facts_command(struct cli *cli, int argc, char **argv, const char *name, const char *what,
                  int (*show)(struct router *r, const struct cli_args *a));
/* The answer to a GET about `model` (NULL: about none), owned. An error is told: of an unknown model
 * with the nearest name. */
int facts_get(struct router *r, const char *path, const char *model, json_t **answer);
/* The same, passed to `data` (client.h) as it comes, until it ends, or `data` ends it.
 * `endless`: it has no end of its own, so that one is an error. */
int facts_stream(struct router *r, const char *path, const char *model,
                 int (*data)(const char *data, size_t len, void *ctx), void *ctx, bool endless);
/* `/hostler/v1/show?model=NAME`, encoded; the caller frees. */
char *facts_path(const char *route, const char *model);

/* The local time; false where `at`, seconds since 1970 as a server tells them, is no time. */
bool facts_local(double at, struct tm *out);
/* `12:01:33`, `?` for what is no time, or with the date when that is not today's. Returns `out` (FORMAT_SIZE). */
char *facts_time(double at, char *out, size_t size);
/* A line of the server's log with its time, which is in UTC, as facts_time() tells it and with its
 * milliseconds; any other line as it is. The caller frees it. */
char *facts_log_line(const char *line);
/* A text member; NULL when it is none. */
const char *facts_text(json_t *o, const char *key);
/* The same for print: `?` when it is none. */
const char *facts_word(json_t *o, const char *key);
/* A model's state, given its status; of one that has failed, as `list` calls it, also how: `failed
 * (crashed: signal 9)`. The caller frees it. */
char *facts_state(const char *state, json_t *status);

#endif
