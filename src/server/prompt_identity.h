/* SPDX-License-Identifier: MIT */
/*
 * Which engines can read each other's saved prompts: those of the same build, with the same bytes of the model's files, the
 * same arguments and variables as far as the cache depends on them, and the same cards. Whatever is not known to be
 * without influence counts (engine_slots.depends_on).
 */
#ifndef HOSTLER_SERVER_PROMPT_IDENTITY_H
#define HOSTLER_SERVER_PROMPT_IDENTITY_H

#include <uv.h>

#include "catalog/catalog.h"
#include "engine/launch.h"
#include "engine/memory.h"

struct prompt_identity;

/* `identity`: hex digits, good during the call; NULL: a file cannot be read. Called on the loop, never from within
 * prompt_identity_find(). */
typedef void prompt_identity_found(const char *identity, void *ctx);

/* Reads the files in the pool. NULL: the model's file is not known, or there is no memory. */
struct prompt_identity *prompt_identity_find(uv_loop_t *loop, const struct engine_launch *launch,
                                             const struct catalog_model *model,
                                             const struct memory_figures *machine,
                                             prompt_identity_found *found, void *ctx);
/* `found` is not called any more. NULL-safe. */
void prompt_identity_cancel(struct prompt_identity *p);

#endif
