/* SPDX-License-Identifier: MIT */
/*
 * Polls an engine that does not report its readiness, until it accepts a connection, or answers GET `path`
 * with a status below 400. The first question is asked at once, later ones after pauses that grow from 5 to
 * 100 ms; each has a limit of 5 s.
 */
#ifndef HOSTLER_ENGINE_CHECK_H
#define HOSTLER_ENGINE_CHECK_H

#include <uv.h>

#include "engine/kind.h"

struct check;

/* `path`: NULL: a connection is enough. `passed` is called once, from the loop, and frees the check. Copies
 * what `place` and `path` point to. */
struct check *check_start(uv_loop_t *loop, const struct engine_place *place, const char *path,
                          void (*passed)(void *ctx), void *ctx);
/* Ends it without calling `passed`; it is freed when the loop has closed its handles. NULL-safe. */
void check_cancel(struct check *c);

#endif
