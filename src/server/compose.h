/* SPDX-License-Identifier: MIT */
/* From the command line, the presets and the catalog to what a model's engine is started with. The command
 * line, its environment and `[*]` give options to models of the default kind only. */
#ifndef HOSTLER_SERVER_COMPOSE_H
#define HOSTLER_SERVER_COMPOSE_H

#include "catalog/catalog.h"
#include "engine/launch.h"
#include "server/presets.h"

/* With one owner; it points to `c`. `growth` as in engine_setup; `load`: arguments of one load, which go before all others;
 * NULL. */
struct engine_launch *compose(const struct config *c, const struct presets *p,
                              const struct catalog_model *m, const uint64_t *growth,
                              const struct engine_args *load);
/* The model's preset as llama.cpp's router prints it (`status.preset`); the caller frees. */
char *compose_ini(const struct engine_launch *launch, const struct presets *p, const char *model);

#endif
