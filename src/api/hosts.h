/* SPDX-License-Identifier: MIT */
/*
 * The host names and addresses that requests over TCP may be sent to. A web page whose own name is
 * made to resolve to this machine (DNS rebinding) is, to the browser, of the server's own origin;
 * only the name in `Host` tells the two apart.
 */
#ifndef HOSTLER_API_HOSTS_H
#define HOSTLER_API_HOSTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/strv.h"
#include "http/exchange.h"
#include "http/server.h"
#include "server/config.h"

/* Zeroed: only this machine's loopback names. */
struct hosts {
    struct strv names; /* lower case, without a port; addresses as inet_ntop() writes them */
    bool any_address;  /* it listens on a wildcard address */
    char latest[64];   /* the last Host that was accepted: most requests have the same */
    bool any_name;     /* the same, and --allowed-hosts is not given; or that holds `*` */
};

/* The names of --allowed-hosts and --host, and the addresses that `server` listens on. */
void hosts_init(struct hosts *h, const struct config *c, const struct http_server *server);
void hosts_finish(struct hosts *h);

/* Whether requests may be sent to `authority`, `NAME`, `NAME:PORT` or `[IPV6]:PORT` of `len` bytes.
 * The port may be any: tunnels and containers map it. O(names). */
bool hosts_have(const struct hosts *h, const char *authority, size_t len);
/* Whether the exchange is for one of them: both its Host and, in a target that is a whole URL, the
 * host there. Over a unix socket any is: no browser can open one. Without a Host (HTTP/1.0) it is not
 * a browser's. */
bool hosts_accept(struct hosts *h, const struct http_exchange *x);
/* Whether the authority is this machine's loopback name or address: `localhost`, `127.0.0.1`, `[::1]`. */
bool host_is_loopback(const char *authority, size_t len);

#endif
