/* SPDX-License-Identifier: MIT */
/* Collects what GET /hostler/v1/timeline tells (server/timeline.h): with each reading of the machine, which comes every 5 s while an
 * engine runs, and of each request that is over. */
#ifndef HOSTLER_API_TIMELINE_H
#define HOSTLER_API_TIMELINE_H

#include "api/request_log.h"
#include "server/host.h"

struct timelines;

/* `requests` outlives it. */
struct timelines *timelines_create(struct host *host, struct request_log *requests);
void timelines_destroy(struct timelines *t);

#endif
