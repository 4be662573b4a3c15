/* SPDX-License-Identifier: MIT */
/* A request that an engine answers, as GET /hostler/v1/requests tells it. */
#ifndef HOSTLER_API_REQUEST_JSON_H
#define HOSTLER_API_REQUEST_JSON_H

#include <jansson.h>

#include "api/request_log.h"

/* `waiting`, `running`, `done`. */
const char *request_json_state(const struct request_record *e);
/* `now`: uv_now(). The position costs what host_position() does. */
json_t *request_json(const struct request_record *e, uint64_t now);
/* The same with what only one that is opened tells: sizes, timings and header fields. */
json_t *request_json_whole(const struct request_record *e, uint64_t now);
/* Adds its bodies, null unless they were captured. O(their bytes), at most 2 MiB. */
void request_json_add_bodies(json_t *o, const struct request_record *e);

#endif
