/* SPDX-License-Identifier: MIT */
/* Reports that files appeared, disappeared or are complete in any of a set of folders (inotify(7)), and that
 * links, files and folders on the way to them were exchanged. A file counts as changed when its writer closes
 * it, not while it grows. */
#ifndef HOSTLER_SERVER_WATCH_H
#define HOSTLER_SERVER_WATCH_H

#include <stdbool.h>
#include <uv.h>

#include "server/watched.h"

struct watch;

/* `changed` is called on the loop, at most once a read of the kernel's queue. Never NULL: without
 * inotify it logs a warning and never reports anything. */
struct watch *watch_create(uv_loop_t *loop, void (*changed)(void *ctx), void *ctx);
/* Watches what `list` names, and nothing else any more. True if something of it was not watched before: nothing
 * reports what happened there before, so the caller must read it once more. A deleted or moved folder leaves
 * the set by itself. */
bool watch_set(struct watch *w, const struct watched *list);
/* Frees it when the loop has run its close callback; `closed` is called then. */
void watch_close(struct watch *w, void (*closed)(void *ctx), void *ctx);

#endif
