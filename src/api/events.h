/* SPDX-License-Identifier: MIT */
/*
 * What happens to models, as llama.cpp's router tells it (GET /models/sse), and holds and pins: frames
 * `data: {"model","event","data"?}`, from the moment of subscribing on, to any number of
 * subscribers. One who does not read is dropped when EVENTS_BEHIND_MAX bytes wait for him; nobody
 * else waits for him.
 */
#ifndef HOSTLER_API_EVENTS_H
#define HOSTLER_API_EVENTS_H

#include <jansson.h>

#include "server/host.h"

#define EVENTS_BEHIND_MAX ((size_t)256 * 1024)

struct events;

struct events *events_create(struct host *host);
/* When no subscriber is left; frees it on the loop. */
void events_destroy(struct events *e);
/* Tells all subscribers; `data` may be NULL and is released. */
void events_send(struct events *e, const char *model, const char *event, json_t *data);

#endif
