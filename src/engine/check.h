/* SPDX-License-Identifier: MIT */
/*
 * Asks an engine again and again whether it is ready: it is when it accepts a connection, or when it
 * answers GET `path` with a status below 400. The first question comes at once, later ones after
 * pauses that grow from 5 to 100 ms; each has 5 s. For engines that do not report it themselves.
 */
#ifndef HOSTLER_ENGINE_CHECK_H
#define HOSTLER_ENGINE_CHECK_H

#include <uv.h>

#include "engine/kind.h"

struct check;

/* `path`: NULL: a connection suffices. `passed` is called once, from the loop; the check is over then.
 * Copies what `place` and `path` point to. */
struct check *check_start(uv_loop_t *loop, const struct engine_place *place, const char *path,
                          void (*passed)(void *ctx), void *ctx);
/* Ends it without a call; it frees itself when the loop has closed its handles. NULL-safe. */
void check_cancel(struct check *c);

#endif
