/* SPDX-License-Identifier: MIT */
/* Tells when files come, go or are complete in any of a set of folders (inotify(7)). A file that is
 * being written is told of when its writer closes it, not while it grows. */
#ifndef HOSTLER_SERVER_WATCH_H
#define HOSTLER_SERVER_WATCH_H

#include <stdbool.h>
#include <uv.h>

#include "base/strv.h"

struct watch;

/* `changed` is called on the loop, at most once for what one read brings. Never NULL: where inotify
 * is not to be had it says so in the log, and nothing is ever told. */
struct watch *watch_create(uv_loop_t *loop, void (*changed)(void *ctx), void *ctx);
/* Adds what is not watched yet; whether it did: what happened in such a folder before is told by
 * nobody, so it is to be looked into once more. A folder that is deleted or moved leaves the set by
 * itself; one that is only no longer named stays in it, which costs a needless look. */
bool watch_add(struct watch *w, const struct strv *folders);
/* Frees it when the loop has run its close callback; `closed` is called then. */
void watch_close(struct watch *w, void (*closed)(void *ctx), void *ctx);

#endif
