/* SPDX-License-Identifier: MIT */
#include "http/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/container_of.h"
#include "base/memory.h"
#include "http/connections.h"
#include "http/listener.h"

#define LISTENERS_MAX 16

struct http_server {
    struct connections connections;
    struct listener *listener[LISTENERS_MAX]; /* in the order of their opening */
    unsigned n_listeners;
    unsigned open; /* listeners, and the connections as a whole, that are not closed yet */
    void (*closed)(void *ctx);
    void *closed_ctx;
};

struct http_server *http_server_create(uv_loop_t *loop, http_handler *handler, void *ctx)
{
    struct http_server *s = mem_zalloc(sizeof *s);
    connections_init(&s->connections, loop, handler, ctx);
    s->open = 1;
    return s;
}

static bool on_accepted(struct listener *l, int fd, void *ctx)
{
    struct http_server *s = ctx;
    return connections_accept(&s->connections, l, fd);
}

static bool on_no_descriptor(void *ctx)
{
    struct http_server *s = ctx;
    /* One that was accepted just now must get the time to send its request. */
    return connections_make_room(&s->connections, LISTENER_RETRY_MS);
}

static const struct listener_events listener_events = {.accepted = on_accepted,
                                                       .make_room = on_no_descriptor};

/* The place of another listener; NULL, with a text, when there are too many. */
static struct listener **next_listener(struct http_server *s, struct error *err)
{
    if (s->n_listeners < LISTENERS_MAX)
        return &s->listener[s->n_listeners];
    error_set(err, -ENOSPC, "too many addresses to listen on: at most %d", LISTENERS_MAX);
    return NULL;
}

static int added(struct http_server *s, int rc)
{
    s->n_listeners += !rc;
    s->open += !rc;
    return rc;
}

int http_server_listen(struct http_server *s, const char *host, int port, unsigned flags,
                       struct error *err)
{
    struct listener **l = next_listener(s, err);
    uv_loop_t *loop = s->connections.loop;
    return l ? added(s, listener_open(l, loop, host, port, flags, &listener_events, s, err))
             : -ENOSPC;
}

int http_server_adopt(struct http_server *s, int fd, struct error *err)
{
    struct listener **l = next_listener(s, err);
    return l ? added(s, listener_adopt(l, s->connections.loop, fd, &listener_events, s, err))
             : -ENOSPC;
}

void http_server_secure(struct http_server *s, struct tls_identity *identity)
{
    tls_identity_destroy(s->connections.tls);
    s->connections.tls = identity;
}

void http_server_on_answer(struct http_server *s, http_handler *add_fields)
{
    s->connections.add_fields = add_fields;
}

void http_server_on_end(struct http_server *s, http_on_end *on_end)
{
    s->connections.on_end = on_end;
}

bool http_server_address(const struct http_server *s, unsigned index, char *out, size_t size,
                         bool *exposed)
{
    char address[LISTENER_ADDRESS_MAX];
    if (index >= s->n_listeners)
        return false;
    const struct listener *l = s->listener[index];
    const char *scheme = listener_is_unix(l)  ? "unix:"
                         : s->connections.tls ? "https://"
                                              : "http://";
    snprintf(out, size, "%s%s", scheme, listener_address(l, address, sizeof address));
    *exposed = !listener_is_local(l);
    return true;
}

void http_server_set_limits(struct http_server *s, const struct http_limits *limits)
{
    s->connections.limits = *limits;
}

int http_server_port(const struct http_server *s)
{
    for (unsigned i = 0; i < s->n_listeners; i++)
        if (!listener_is_unix(s->listener[i]))
            return listener_port(s->listener[i]);
    return 0;
}

static void part_closed(void *ctx)
{
    struct http_server *s = ctx;
    if (--s->open)
        return;
    if (s->closed)
        s->closed(s->closed_ctx);
    tls_identity_destroy(s->connections.tls);
    free(s);
}

void http_server_quiesce(struct http_server *s)
{
    if (s->connections.quiet)
        return;
    for (unsigned i = 0; i < s->n_listeners; i++)
        listener_close(s->listener[i], part_closed, s);
    s->n_listeners = 0;
    connections_quiesce(&s->connections);
}

size_t http_server_busy(const struct http_server *s)
{
    return connections_busy(&s->connections);
}

static void on_connections_closed(struct connections *c)
{
    part_closed(container_of(c, struct http_server, connections));
}

void http_server_close(struct http_server *s, void (*closed)(void *ctx), void *ctx)
{
    http_server_quiesce(s);
    s->closed = closed;
    s->closed_ctx = ctx;
    connections_close(&s->connections, on_connections_closed);
}
