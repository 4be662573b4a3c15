/* SPDX-License-Identifier: MIT */
/*
 * An HTTP server that hostler is the client of: where it listens, and how it treats connections.
 * Only its creator knows which program it is; http/client follows these values.
 */
#ifndef HOSTLER_HTTP_ORIGIN_H
#define HOSTLER_HTTP_ORIGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct http_origin {
    struct sockaddr_storage address; /* AF_UNIX, AF_INET or AF_INET6 */
};

/* -ENAMETOOLONG when the path does not fit into a socket's address (107 bytes). */
int http_origin_unix(struct http_origin *o, const char *path) __attribute__((warn_unused_result));
/* `host`: a numeric IPv4 or IPv6 address; names are not resolved: -EINVAL. */
int http_origin_tcp(struct http_origin *o, const char *host, int port)
    __attribute__((warn_unused_result));

struct http_origin_traits {
    /* Connections that it serves at the same time; no more are opened. 0: no limit is known. */
    unsigned max_connections;
    /* How long an idle connection is kept: less than the origin itself keeps it. 0: not at all. */
    uint64_t keep_ms;
    /* Whether a connection may be used again after an answer in chunks. Not when the origin may close
     * it then without saying so. */
    bool reuse_after_chunked;
    /* Bytes of a request's field, name and value, that it accepts; longer ones are not passed on. 0: no limit is
     * known. */
    size_t field_max;
};

/*
 * Whether a failed connect is evidence that nothing listens there: ECONNREFUSED, ENOENT. Any other
 * error is ours (EMFILE, ENFILE, ENOMEM, ENOBUFS), or may pass: EAGAIN says that the origin's accept
 * queue is full (unix(7)), so that it is busy or stopped, not gone.
 */
bool http_origin_is_absent(int error);

#endif
