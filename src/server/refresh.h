/* SPDX-License-Identifier: MIT */
/*
 * Keeps the host's models true to their sources: reads them when somebody asks (SIGHUP, ?reload=1,
 * a download's end) and when files come or go by themselves.
 *
 * The sources are read in the thread pool, one reading at a time. When they cannot be read, or hold
 * a mistake, the host keeps what it has. A reading that nobody asked for takes the presets from the
 * last one that somebody did: a file that is being edited is not for us to look into.
 */
#ifndef HOSTLER_SERVER_REFRESH_H
#define HOSTLER_SERVER_REFRESH_H

#include <sys/queue.h>

#include "server/host.h"

struct refresh;

/* Somebody who waits for a reading. Embedded. */
struct refresh_waiter {
    /* `problem`: why the sources could not be taken over; NULL when they were. */
    void (*done)(struct refresh_waiter *w, const char *problem);
    TAILQ_ENTRY(refresh_waiter) link;
};

struct refresh *refresh_create(struct host *host);
/* The first reading: blocking, as nothing can be served before it. host_start() follows. */
int refresh_first(struct refresh *r, struct error *err) __attribute__((warn_unused_result));
/* A reading that begins after this call. `w` may be NULL; else it is told, unless it leaves. */
void refresh_ask(struct refresh *r, struct refresh_waiter *w);
void refresh_leave(struct refresh *r, struct refresh_waiter *w);
/* Why the last reading that somebody asked for was not taken over, or else the last of all; NULL when
 * it was. */
const char *refresh_problem(const struct refresh *r);
/* Waiters are told of it as a problem. `closed` is called when it is freed. */
void refresh_close(struct refresh *r, void (*closed)(void *ctx), void *ctx);

#endif
