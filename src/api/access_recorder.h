/* SPDX-License-Identifier: MIT */
/* Writes the access log: of requests for engines when their record is closed, of all others when their exchange ends. */
#ifndef HOSTLER_API_ACCESS_RECORDER_H
#define HOSTLER_API_ACCESS_RECORDER_H

#include "api/request_log.h"
#include "server/config.h"

struct access_recorder {
    const struct config *config;
    struct request_log *requests; /* NULL: there is no access log */
    struct request_observer observer;
    uv_loop_t *loop;
};

void access_recorder_init(struct access_recorder *r, uv_loop_t *loop, const struct config *config,
                          struct request_log *requests);
void access_recorder_finish(struct access_recorder *r);
/* An exchange without a record is over. `route`: its path in the table. */
void access_recorder_note(const struct access_recorder *r, const struct http_exchange *x,
                          const char *route, const struct http_figures *figures);

#endif
