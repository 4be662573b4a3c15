/* SPDX-License-Identifier: MIT */
/*
 * Polls paths that are awaited, because the kernel does not report that a file system was mounted, nor what
 * other machines do in one: every two seconds, in the pool, and only while there are such paths.
 */
#ifndef HOSTLER_SERVER_AWAIT_FILES_H
#define HOSTLER_SERVER_AWAIT_FILES_H

#include <stdint.h>
#include <uv.h>

#include "base/strv.h"

struct await_files;

/* `changed` is called on the loop when a path appeared, disappeared or was exchanged. */
struct await_files *await_files_create(uv_loop_t *loop, void (*changed)(void *ctx), void *ctx);
/* From now on it polls `paths` (taken; may be empty), which had the `mark` (watched_mark()). */
void await_files_set(struct await_files *a, struct strv *paths, uint64_t mark);
/* `closed` is called when it is freed. */
void await_files_close(struct await_files *a, void (*closed)(void *ctx), void *ctx);

#endif
