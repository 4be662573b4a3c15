/* SPDX-License-Identifier: MIT */
/*
 * A socket that listens: on a TCP address, or on a unix socket.
 *
 * It accepts by itself (not by uv_listen(), which spins for ever when descriptors run out). While no
 * connection can be accepted (EMFILE, ENFILE, ENOMEM) those that wait stay with the kernel, and it tries again
 * every LISTENER_RETRY_MS.
 */
#ifndef HOSTLER_HTTP_LISTENER_H
#define HOSTLER_HTTP_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "base/error.h"
#include "http/stream.h"

struct listener;

#define LISTENER_RETRY_MS 50

struct listener_events {
    /* A connection; `fd` is taken over: listener_take() makes a stream of it. Returns whether a further one may be accepted in
     * this turn of the loop. */
    bool (*accepted)(struct listener *l, int fd, void *ctx);
    /* No descriptor is free: whether the owner has closed a connection. */
    bool (*make_room)(void *ctx);
};

enum listener_flags {
    LISTENER_REUSE_PORT = 1, /* others that say so too may listen on the same port */
    LISTENER_IPV6_ONLY = 2,  /* `::` does not mean IPv4's addresses as well */
};

/* Whether `host` stands for a unix socket: it ends in `.sock`. */
bool listener_means_unix(const char *host);
/*
 * Opens one: on a unix socket when `host` ends in `.sock` (`port` is ignored; a socket file that
 * nobody listens on any more is replaced), else on TCP. Port 0 takes a free one. 0, or a negative
 * errno with a text that names the address and what to do. Closed by listener_close().
 */
int listener_open(struct listener **out, uv_loop_t *loop, const char *host, int port,
                  unsigned flags, const struct listener_events *events, void *ctx,
                  struct error *err) __attribute__((warn_unused_result));
/* The same with `fd`, a socket that somebody else opened and that listens already; it is closed with
 * the listener, or on error. Its file, if it has one, stays. */
int listener_adopt(struct listener **out, uv_loop_t *loop, int fd,
                   const struct listener_events *events, void *ctx, struct error *err)
    __attribute__((warn_unused_result));
/* `closed` (may be NULL) is called when the handles are closed and `l` is freed. */
void listener_close(struct listener *l, void (*closed)(void *ctx), void *ctx);

bool listener_is_unix(const struct listener *l);
/* Whether only processes of this machine can reach it. */
bool listener_is_local(const struct listener *l);
#define LISTENER_ADDRESS_MAX 128
/* `127.0.0.1:8080`, `[::1]:8080`, or the socket's path; returns `out`. */
const char *listener_address(const struct listener *l, char *out, size_t size);
/* 0 for a unix socket. */
int listener_port(const struct listener *l);
/* Initializes `s` with the accepted connection `fd`. Whatever it returns, 0 or a negative errno, `s` is
 * to be closed by its owner. */
int listener_take(const struct listener *l, int fd, struct stream *s,
                  const struct stream_events *events) __attribute__((warn_unused_result));

#endif
