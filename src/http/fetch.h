/* SPDX-License-Identifier: MIT */
/* One small request of our own to an origin, and its answer as a whole. */
#ifndef HOSTLER_HTTP_FETCH_H
#define HOSTLER_HTTP_FETCH_H

#include "http/client.h"

struct http_fetch;

struct http_fetch_request {
    const char *method, *target;
    const char *body;    /* JSON; NULL for none */
    size_t max;          /* bytes of an answer's body */
    uint64_t timeout_ms; /* for all of it */
};

/*
 * Called once, never from inside http_fetch(). `status`: of the answer; 0 when the origin gave none, or
 * none that came in time or was short enough; a negative errno when it could not be asked for want of
 * our own resources, which says nothing about the origin. `body` is zero-terminated and good during
 * the call.
 */
typedef void http_fetch_done(int status, const char *body, size_t len, void *ctx);

/* The request's strings are copied. It jumps the queue of those who wait for a connection. */
struct http_fetch *http_fetch(uv_loop_t *loop, struct http_client *client,
                              const struct http_fetch_request *request, http_fetch_done *done,
                              void *ctx);
/* Before `done` was called: it is not called any more. Returns its `ctx`. */
void *http_fetch_cancel(struct http_fetch *f);

#endif
