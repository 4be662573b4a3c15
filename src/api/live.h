/* SPDX-License-Identifier: MIT */
/*
 * GET /hostler/v1/live: one stream of server-sent events for those who watch the server. At the start it tells everything, in pieces,
 * then `ready`, and after that only what changed, at most once a second. What changed is found out once for all subscribers
 * (live_picture.h).
 *
 * - Nothing is kept, and no timer runs, while nobody subscribes; while nothing changes only a comment is sent each 15 s.
 * - A subscriber whose connection has not taken what was written yet gets nothing more, and later, in place of what was missed, the
 *   last state of what changed meanwhile. Who takes nothing for half a
 *   minute is dropped.
 * - At most LIVE_SUBSCRIBERS_MAX subscribers.
 */
#ifndef HOSTLER_API_LIVE_H
#define HOSTLER_API_LIVE_H

#include "api/api.h"

#define LIVE_SUBSCRIBERS_MAX 128

struct live;

struct live *live_create(struct api *api);
/* When no subscriber is left; frees it on the loop. */
void live_destroy(struct live *l);
/* A download of that name began, went on or ended. */
void live_note_download(struct live *l, const char *name);
/* What the server says of itself has changed. */
void live_note_server(struct live *l);

#endif
