/* SPDX-License-Identifier: MIT */
/* Finds the models that a request names, and answers where there is none. O(names); a name that no model
 * has is compared with those of all models at most once a request (base/nearest.h bounds what that costs). */
#ifndef HOSTLER_API_LOOKUP_H
#define HOSTLER_API_LOOKUP_H

#include <jansson.h>

#include "api/api.h"

#define LOOKUP_LIST_MAX 20000 /* in a request's list */

/* The model that `body` names in "model"; NULL after answering 400 or 404. */
struct model *lookup_body(struct api *api, struct http_exchange *x, json_t *body);
/* The model that the query names in `model`; NULL after answering 400 or 404. */
struct model *lookup_query(struct api *api, struct http_exchange *x);
/* 0, or -1 after answering 400 because `list`, the request's `member`, is no list, is too long, or has a
 * name that no model has: likely a slip, so nothing is done. */
int lookup_check_list(struct api *api, struct http_exchange *x, const char *member, json_t *list)
    __attribute__((warn_unused_result));
/* Answers for a name that no model has, or a model whose file is missing, with the nearest that one has: 404 where the model is what is
 * asked for, 400 where a request merely names it. */
void lookup_refuse(struct api *api, struct http_exchange *x, int status, const char *name);
/* The same in llama.cpp's words, on its routes. */
void lookup_refuse_as_stock(struct api *api, struct http_exchange *x, int status, const char *name);

#endif
