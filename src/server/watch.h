/* SPDX-License-Identifier: MIT */
/* Reports that files appeared, disappeared or are complete in any of a set of folders (inotify(7)). A
 * file counts as changed when its writer closes it, not while it grows. */
#ifndef HOSTLER_SERVER_WATCH_H
#define HOSTLER_SERVER_WATCH_H

#include <stdbool.h>
#include <uv.h>

#include "base/strv.h"

struct watch;

/* `changed` is called on the loop, at most once a read of the kernel's queue. Never NULL: without
 * inotify it logs a warning and never reports anything. */
struct watch *watch_create(uv_loop_t *loop, void (*changed)(void *ctx), void *ctx);
/* Watches the folders that are not watched yet. True if there was one: nothing reports what happened
 * in it before, so the caller must read it once more. A deleted or moved folder leaves the set by
 * itself; one that is no longer named stays, which costs a needless reading. */
bool watch_add(struct watch *w, const struct strv *folders);
/* Frees it when the loop has run its close callback; `closed` is called then. */
void watch_close(struct watch *w, void (*closed)(void *ctx), void *ctx);

#endif
