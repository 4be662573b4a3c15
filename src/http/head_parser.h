/* SPDX-License-Identifier: MIT */
/* The part of llhttp's callbacks that requests and answers share: collecting a head. The parser's
 * `data` must point to the struct http_head that is embedded in the parser's owner. */
#ifndef HOSTLER_HTTP_HEAD_PARSER_H
#define HOSTLER_HTTP_HEAD_PARSER_H

#include <llhttp.h>
#include <stddef.h>

#include "http/head.h"

/* Sets the callbacks for the first line and the fields. When they stop the parser, the head's
 * `too_large`, `no_memory` or `problem` says why (llhttp's own codes and texts do not). */
void head_parser_setup(llhttp_settings_t *settings);

/* The struct `type` whose member `head` the parser fills. */
#define head_parser_owner(parser, type)                                                            \
    ((type *)(void *)((char *)(parser)->data - offsetof(type, head)))

#endif
