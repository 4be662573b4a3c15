/* SPDX-License-Identifier: MIT */
/* Those who follow the log. */
#ifndef HOSTLER_API_LOGS_H
#define HOSTLER_API_LOGS_H

#include "server/host.h"

struct logs;

struct logs *logs_create(struct host *host);
/* When no exchange is left. */
void logs_destroy(struct logs *l);

#endif
