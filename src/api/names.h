/* SPDX-License-Identifier: MIT */
/* Who and what a request names: its model, its client, holds. */
#ifndef HOSTLER_API_NAMES_H
#define HOSTLER_API_NAMES_H

#include <jansson.h>

#include "api/api.h"

/* The model that `body` names in "model"; NULL after answering 400 or 404. */
struct model *names_model(struct api *api, struct http_exchange *x, json_t *body);
/* Answers for a name that no model has, naming the nearest: 404 where the model is what is asked
 * for, 400 where a request merely names it. As hostler's commands say it; and, on llama.cpp's
 * routes, in its words. */
void names_unknown(struct api *api, struct http_exchange *x, int status, const char *name);
void names_not_found(struct api *api, struct http_exchange *x, int status, const char *name);
#define NAMES_MAX 20000 /* in a request's list */
/* 0, or -1 after answering 400 because `list`, the request's `member`, is none, is too long, or has a name that
 * no model has: likely a slip, so nothing is done. */
int names_check(struct api *api, struct http_exchange *x, const char *member, json_t *list)
    __attribute__((warn_unused_result));
/* A model as GET /models lists it. */
json_t *names_entry(struct model *h);
/* A model that is being downloaded, likewise. */
json_t *names_download(const struct downloads_item *item);
/* The model that the query names in `model`; NULL after answering 400 or 404. */
struct model *names_queried(struct api *api, struct http_exchange *x);
/* {"host":bytes,"gpu0":bytes}: of each device that is looked at. */
json_t *names_bytes(const struct host *host, const uint64_t *bytes);
/* {"source","memory","mapped"}; null when it is not known. */
json_t *names_footprint(const struct host *host, const struct footprint *f);
/* `memory` by device and `memory_source`: what its engine has now, without an engine what one would
 * take; without what it maps of a file, which goes on being free memory. Nothing while unknown. */
void names_add_memory(struct model *h, json_t *o);
/* {"at","model","event","why"} */
json_t *names_change(const struct history_entry *e);
/* {"model","until","reason","by"}; `until` in Unix seconds, null: until released. */
json_t *names_hold(const struct model *h);

#endif
