/* SPDX-License-Identifier: MIT */
/*
 * GET /hostler/v1/doctor: the findings of `hostler doctor --json`, which is run as a process of its own: it asks this server as any
 * client does, and may wait for disks and drivers. One at a time; who asks meanwhile gets its findings, too, and who asks within
 * 10 s after it the same ones.
 */
#ifndef HOSTLER_API_DOCTOR_H
#define HOSTLER_API_DOCTOR_H

#include "http/server.h"
#include "server/host.h"

struct doctor;

struct doctor *doctor_create(struct host *host);
/* When no exchange is left, and host_shutdown() is over. NULL: no-op. */
void doctor_destroy(struct doctor *d);
/* By which address it asks. */
void doctor_listening(struct doctor *d, const struct http_server *server);

#endif
