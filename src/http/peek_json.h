/* SPDX-License-Identifier: MIT */
/* Part of the peek (peek.h): finds the outermost member `model` among the tokens of a JSON body. */
#ifndef HOSTLER_HTTP_PEEK_JSON_H
#define HOSTLER_HTTP_PEEK_JSON_H

#include "http/peek_name.h"
#include "message/json_tokens.h"

struct peek_json {
    unsigned matched; /* bytes of the key being read that are equal to those of `model` */
    struct json_tokens tokens;
};

void peek_json_init(struct peek_json *j);
/* Takes bytes until they are used up or the scan is over or wrong; `*used` says how many. */
enum peek_scan peek_json_scan(struct peek_json *j, struct peek_name *name, const char *data,
                              size_t len, size_t *used);
/* Whether the document may end here. */
bool peek_json_is_complete(const struct peek_json *j);
/* Whether a name can still come: the document is an object and not over. */
bool peek_json_is_open(const struct peek_json *j);

#endif
