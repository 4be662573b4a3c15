/* SPDX-License-Identifier: MIT */
/*
 * Who asks, made once a request, and what it may do: that depends on the key that it carries and on the
 * web page, if any, that sent it. What people are told of it is put into words only when somebody
 * needs these.
 */
#ifndef HOSTLER_API_CALLER_H
#define HOSTLER_API_CALLER_H

#include <stdbool.h>

#include "api/origins.h"
#include "http/server.h"
#include "server/config.h"

struct model;

/* What a route needs. */
enum right {
    RIGHT_NONE,   /* /health, the web interface's files: everybody has it */
    RIGHT_LIST,   /* which models there are, and their properties */
    RIGHT_INFER,  /* requests that an engine answers, and the loads that they cause */
    RIGHT_RESUME, /* read again, find and stop the streams of conversations */
    RIGHT_STATUS, /* what runs, and who asked for it: status, requests, events, slots, metrics */
    RIGHT_LOGS,
    RIGHT_LOAD,
    RIGHT_UNLOAD,
    RIGHT_HOLD, /* hold, release, pin, unpin */
    RIGHT_DOWNLOAD,
    RIGHT_DELETE,
    RIGHT_ADMIN, /* change settings: an engine's properties, adapters and saved slots, the models' sources */
    RIGHT_COUNT,
};

/* Valid as long as the exchange; may be copied. */
struct caller {
    const struct http_exchange *x;
    const char *key; /* the key's name, owned by the configuration; NULL: none */
    enum page page;
    unsigned rights; /* bits: 1 << enum right */
};

/* What people are told of a caller. Outlasts the exchange. */
struct caller_text {
    char request[64]; /* `POST /v1/chat/completions` */
    char client[64];  /* `127.0.0.1:4711`; after a proxy of this machine whom that names, too */
    char key[32];     /* the key's name; empty: none */
    char agent[80];   /* User-Agent; empty: none */
};

/* The key that the request carries, whether right or not; borrowed from its head; NULL: none. */
const char *caller_key_text(const struct http_head *head);
/* Hashes the request's key, if there are keys at all. The exchange's Host must have been accepted
 * (api/hosts.h). */
void caller_init(struct caller *c, const struct config *config, const struct http_exchange *x);
/* `model`: of which model, where the right is for one; NULL: of any. */
bool caller_may(const struct caller *c, enum right right, const struct model *model);
/* Whether a page of any origin has the right: it changes nothing, and tells nothing of other users. */
bool caller_foreign_page_may(enum right right);
/* Answers a request for which the caller lacks a right: 401 without a valid key, 403 when the page is
 * what bars it. The latter is not for the page to read. */
void caller_refuse(const struct caller *c, enum right right, struct http_exchange *x);
void caller_text_set(struct caller_text *t, const struct caller *c);
/* `POST /v1/chat/completions from 127.0.0.1:4711 (key alice, curl/8.0)`; whoever calls it frees. */
char *caller_text_describe(const struct caller_text *t);
/* The same, while the exchange lasts. */
char *caller_describe(const struct caller *c);

#endif
