/* SPDX-License-Identifier: MIT */
/*
 * Unloading, as it is asked for, and its result, which has one shape whoever did it: the body of
 * hostler's POST /models/unload-all (docs/design.md).
 */
#ifndef HOSTLER_CLI_UNLOAD_H
#define HOSTLER_CLI_UNLOAD_H

#include <jansson.h>

#include "base/strv.h"
#include "cli/router.h"

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
    bool dry_run;
};

/*
 * On a stock llama.cpp router, which can only unload one model and answers before it is done: one
 * request after the other, then polling until they are gone. Who loads a model again meanwhile is
 * found out; with `all`, so are models that others load meanwhile, and they are unloaded, too,
 * once. An exit status of enum cli_exit: for *body, which the caller owns then, CLI_OK.
 */
int unload_stock(struct router *r, const struct unload_plan *plan, json_t **body);

/* For `models`: an entry {"model","result","reason"?}. Releases nothing. */
json_t *unload_result(const char *model, const char *result, const char *reason);

#endif
