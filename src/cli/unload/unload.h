/* SPDX-License-Identifier: MIT */
/*
 * Unloading, as it is asked for, and its result, which has one shape whoever did it: the body of
 * hostler's POST /models/unload-all (docs/design.md).
 */
#ifndef HOSTLER_CLI_UNLOAD_UNLOAD_H
#define HOSTLER_CLI_UNLOAD_UNLOAD_H

#include <jansson.h>

#include "base/strv.h"
#include "cli/peer/router.h"

struct unload_plan {
    bool all;
    struct strv models; /* as given; without `all` */
    struct strv except; /* ids; with `all` */
    bool has_drain;
    unsigned long long drain_ms;
    bool force;
    bool hold;
    unsigned long long hold_ms; /* 0: until released */
    const char *reason;         /* NULL */
    bool forget;
    bool has_timeout;
    unsigned long long timeout_ms; /* 0: no limit */
    bool dry_run;
};

/* How long after the last model has ended the server is asked once more: a client with waiting requests has it reloaded by
 * then. */
#define UNLOAD_SETTLE_MS 100

/*
 * On hostler. A model that is loaded again when the server has answered is a failure,
 * `loaded_again`, with `loaded_by`, who asked for it; when that cannot be found out, the status
 * says so, and *body is what the server did all the same. *body is NULL with CLI_OK when the server
 * is too old for that: then unload_one_by_one() does it.
 */
int unload_hostler(struct router *r, const struct unload_plan *plan, json_t **body);

/*
 * On others (peer.h), which can only unload one model, or all, and may answer before it is done: one
 * request after the other, then polling until they are gone. Who loads a model again meanwhile is
 * found out; with `all`, so are models that others load meanwhile, and they are unloaded, too,
 * once. An exit status of enum cli_exit: for *body, which the caller owns then, CLI_OK.
 */
int unload_one_by_one(struct router *r, const struct unload_plan *plan, json_t **body);

/* Prints the result. Returns the exit status of the command. */
int unload_report(struct router *r, const struct unload_plan *plan, json_t *body);

#endif
