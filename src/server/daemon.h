/* SPDX-License-Identifier: MIT */
/* The daemon: owns the loop, the host and the HTTP server, from the first signal handler to the
 * last closed handle. */
#ifndef HOSTLER_SERVER_DAEMON_H
#define HOSTLER_SERVER_DAEMON_H

#include <stdint.h>
#include <uv.h>

#include "http/server.h"
#include "server/config.h"
#include "server/host.h"
#include "server/refresh.h"
#include "server/supervisor.h"

struct daemon_api {
    /* Makes the context of `handler`; `destroy` frees it at the end. */
    void *(*create)(struct host *host, struct refresh *refresh);
    void (*destroy)(void *api);
    void (*listening)(void *api, const struct http_server *server); /* before the first request */
    http_handler *handler;
    http_handler *add_fields; /* to every answer */
    http_on_end *on_end;      /* of every exchange */
};

/* Sets memory aside, and has the libraries take from it. Called before anything else of the daemon's. */
void daemon_prepare_memory(void);
/* Serves until a signal ends it, on the sockets that `supervisor` handed over, else at the addresses of
 * `config`. SIGTERM and SIGINT drain, a second one stops at once; SIGHUP reads the models, the presets
 * and the certificate again. Returns the process's exit status; errors were printed. */
int daemon_run(const struct config *config, struct supervisor *supervisor,
               const struct daemon_api *api);

#endif
