/* SPDX-License-Identifier: MIT */
/* Who asks for what: as much of it as people want to read, cut to a bound. */
#ifndef HOSTLER_API_WHO_H
#define HOSTLER_API_WHO_H

#include "http/server.h"
#include "server/keys.h"

struct who {
    char request[64]; /* `POST /v1/chat/completions` */
    char client[64];  /* `127.0.0.1:4711`; behind a proxy of this machine whom that names, too */
    char key[32];     /* the key's name; empty: none */
    char agent[80];   /* User-Agent; empty: none */
};

void who_set(struct who *w, const struct keys *keys, const struct http_exchange *x);
/* `POST /v1/chat/completions from 127.0.0.1:4711 (key alice, curl/8.0)`; the caller frees. */
char *who_describe(const struct who *w);

#endif
