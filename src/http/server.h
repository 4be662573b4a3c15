/* SPDX-License-Identifier: MIT */
/*
 * The HTTP/1.x server: listeners, connections, and one exchange (http/exchange.h) at a time on each
 * connection; pipelined requests wait in order.
 */
#ifndef HOSTLER_HTTP_SERVER_H
#define HOSTLER_HTTP_SERVER_H

#include <stddef.h>
#include <uv.h>

#include "base/error.h"
#include "http/exchange.h"
#include "http/limits.h"
#include "http/listener.h"
#include "http/tls.h"

struct http_server;

struct http_server *http_server_create(uv_loop_t *loop, http_handler *handler, void *ctx);
/*
 * Listens on a TCP address, or on a unix socket when `host` ends in `.sock` (`port` is ignored; a
 * socket file that nobody listens on any more is replaced). Port 0 takes a free one. May be called
 * several times. `flags`: of enum listener_flags. The text of an error names the address and what to do.
 */
int http_server_listen(struct http_server *s, const char *host, int port, unsigned flags,
                       struct error *err) __attribute__((warn_unused_result));
/* The same on a socket that listens already, opened by somebody else; `fd` is taken over. */
int http_server_adopt(struct http_server *s, int fd, struct error *err)
    __attribute__((warn_unused_result));
/* HTTPS in place of HTTP on every TCP address, for connections that come from now on. `identity` is
 * taken over, and one that was set before is given up. Unix sockets stay plain. */
void http_server_secure(struct http_server *s, struct tls_identity *identity);
/* `add_fields` is called for each answer's head, relayed ones and our own refusals too, and may call
 * http_exchange_field(). Its context is the handler's. */
void http_server_on_answer(struct http_server *s, http_handler *add_fields);
/* `on_end` is called for each exchange's end. Its context is the handler's. */
void http_server_on_end(struct http_server *s, http_on_end *on_end);
/* The port of the first TCP listener; 0 when there is none. */
int http_server_port(const struct http_server *s);
/* Where it listens, as a URL into `out`: `http://[::1]:8080`, `unix:/a.sock`. False after the last;
 * `*exposed` tells whether other machines can reach it. */
bool http_server_address(const struct http_server *s, unsigned index, char *out, size_t size,
                         bool *exposed);
/* Before the first connection; HTTP_LIMITS_DEFAULT unless set. */
void http_server_set_limits(struct http_server *s, const struct http_limits *limits);
/* Stops accepting; idle connections are closed, others end with their exchange. */
void http_server_quiesce(struct http_server *s);
/* Connections with an exchange that is not over, or with an answer that is not sent yet. */
size_t http_server_busy(const struct http_server *s);
/* Closes everything; exchanges see `gone`. `closed` is called once all handles are closed and `s`
 * is freed. */
void http_server_close(struct http_server *s, void (*closed)(void *ctx), void *ctx);

#endif
