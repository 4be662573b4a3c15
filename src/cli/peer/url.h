/* SPDX-License-Identifier: MIT */
/* The server's address as a person writes it: `http://host:port/prefix`, `host:port`, `host`, or
 * `unix:/path.sock`, with a prefix `unix:/path.sock:/prefix`. */
#ifndef HOSTLER_CLI_PEER_URL_H
#define HOSTLER_CLI_PEER_URL_H

#include <stdbool.h>

#include "base/error.h"

struct url {
    char *base;   /* what paths are appended to: no slash at its end, no /v1 */
    char *shown;  /* for messages: as given, without a password */
    char *socket; /* path of the unix socket; NULL for TCP */
    bool tls;
    bool loopback; /* this very machine: never by way of a proxy */
};

/* -EINVAL with a text when it is no address. url_finish() in any case. */
int url_parse(struct url *url, const char *text, struct error *err)
    __attribute__((warn_unused_result));
void url_finish(struct url *url);
/* Of an address of TCP: as given, else the scheme's. */
unsigned url_port(const struct url *url);

/* `text` as one segment of a path or one value of a query: all but letters, digits and `-._~`
 * percent-encoded. The caller frees it. */
char *url_escape(const char *text);

#endif
