/* SPDX-License-Identifier: MIT */
/* Reads a small JSON body whole, for the routes that hostler answers itself. */
#ifndef HOSTLER_API_BODY_H
#define HOSTLER_API_BODY_H

#include <jansson.h>

#include "api/api.h"

/* `body` is an object (an empty one when the request has no body) and is released afterwards. */
typedef void body_handler(struct api *api, struct http_exchange *x, const struct caller *caller,
                          json_t *body);

/* Collects and parses; answers 400 or 413 itself. `handler` is not called when the client leaves.
 */
void body_read_json(struct api *api, struct http_exchange *x, const struct caller *caller,
                    body_handler *handler);

/* Whether the body is compressed (Content-Encoding), which neither hostler nor an engine undoes: then it is not
 * JSON, and what its client must know is that. */
bool body_is_coded(const struct http_exchange *x);
#define BODY_CODED "the request's body is compressed (Content-Encoding): send it as it is"

/* 0, or -1 after answering 400 because `body` has a member that is none of `known` (NULL-ended):
 * a mistyped one must not be passed over where something is undone. */
int body_check_members(struct http_exchange *x, json_t *body, const char *const *known)
    __attribute__((warn_unused_result));
/* Members of `body`: 0, or -1 after answering 400 because the member is of another type. */
int body_get_bool(struct http_exchange *x, json_t *body, const char *name, bool *value)
    __attribute__((warn_unused_result));
/* Bytes of a text. It may be kept for each model, in memory and in the state's file. */
#define BODY_TEXT_MAX 1024
/* `*text` is NULL when there is none; it has at most BODY_TEXT_MAX bytes. */
int body_get_text(struct http_exchange *x, json_t *body, const char *name, const char **text)
    __attribute__((warn_unused_result));
/* Seconds as a number (`0.5`) or as text (`5m`) into milliseconds. Returns 1 when the member is
 * there, 0 when not. */
int body_get_time(struct http_exchange *x, json_t *body, const char *name, uint64_t *ms)
    __attribute__((warn_unused_result));

#endif
