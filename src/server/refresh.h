/* SPDX-License-Identifier: MIT */
/*
 * Keeps the host's models in step with their sources (sources.h): reads these on request (SIGHUP,
 * ?reload=1, the end of a download) and when files appear or disappear.
 *
 * The sources are read in the thread pool, one reading at a time. When a reading fails, or finds a
 * mistake, the host keeps its models. A reading that nobody requested takes the presets as of the last
 * requested one: a presets file may be in the middle of an edit.
 */
#ifndef HOSTLER_SERVER_REFRESH_H
#define HOSTLER_SERVER_REFRESH_H

#include <sys/queue.h>

#include "server/host.h"

struct refresh;

/* Waits for a reading. Embedded. */
struct refresh_waiter {
    /* `problem`: why the host kept its old models; NULL after success. */
    void (*done)(struct refresh_waiter *w, const char *problem);
    TAILQ_ENTRY(refresh_waiter) link;
};

struct refresh *refresh_create(struct host *host);
/* The first reading, then host_start(). Blocks: nothing can be served before it. */
int refresh_first(struct refresh *r, struct error *err) __attribute__((warn_unused_result));
/* Requests a reading that begins after this call. `w` (may be NULL) gets `done`, unless it leaves. */
void refresh_request(struct refresh *r, struct refresh_waiter *w);
void refresh_leave(struct refresh *r, struct refresh_waiter *w);
/* Why the last requested reading failed, else why the last of all did; NULL after success. */
const char *refresh_problem(const struct refresh *r);
/* The text of the presets that the models were last asked to be read with; NULL: there is none. */
const char *refresh_presets(const struct refresh *r);
/* Waiters get `done` with a problem. `closed` is called when it is freed. */
void refresh_close(struct refresh *r, void (*closed)(void *ctx), void *ctx);

#endif
