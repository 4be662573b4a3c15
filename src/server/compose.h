/* SPDX-License-Identifier: MIT */
/* Of what a model's engine is started with: the command line, the presets and the model's own files
 * put together, each value with its origin. */
#ifndef HOSTLER_SERVER_COMPOSE_H
#define HOSTLER_SERVER_COMPOSE_H

#include "catalog/catalog.h"
#include "server/presets.h"

struct composed {
    struct engine_args args; /* in llama-server's order */
    struct strv argv;        /* the same as its command line, without the binary */
    struct strv env;         /* NAME=VALUE, beside the clean environment */
    unsigned connections;    /* that it has threads for; 0: not known */
};

/*
 * Precedence: command line, section, the model's files, `[*]`, environment. A value that is a secret
 * goes by the environment, where no other user and no list of processes shows it.
 */
void compose(struct composed *out, const struct config *c, const struct presets *p,
             const struct catalog_model *m);
void composed_finish(struct composed *out);
/* Whether an engine started with one is as good as one started with the other. */
bool composed_equal(const struct composed *a, const struct composed *b);
/* The model's preset as llama.cpp's router prints it (`status.preset`); the caller frees. */
char *composed_ini(const struct composed *c, const struct config *config, const struct presets *p,
                   const char *model);

#endif
