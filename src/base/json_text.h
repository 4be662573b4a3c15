/* SPDX-License-Identifier: MIT */
/*
 * JSON where memory may run out. jansson passes over some failed allocations: an object then lacks members,
 * and json_dumps() writes a text that breaks off inside. So:
 *
 * - What hostler itself builds takes its small pieces from the reserve (base/memory_reserve.h) and gets
 *   them. A large piece (the table of an object or an array of thousands) may fail: whoever sends the
 *   document asks json_text_was_incomplete(), and calls json_text_begin() before it builds it.
 * - A text that somebody else wrote is parsed without the reserve, and as a whole or not at all.
 */
#ifndef HOSTLER_BASE_JSON_TEXT_H
#define HOSTLER_BASE_JSON_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* Has jansson allocate as said above: once, before threads begin. */
void json_text_init(void);
/* A byte order mark before the document is passed over, and so is what follows a zero byte after it, as by llama-server's reader.
 * 0; -EINVAL: it is no JSON, for the reason `why` (may be NULL); -ENOBUFS: the document would take more than
 * `max` bytes; -ENOMEM. The caller owns `*out`. */
int json_text_parse(json_t **out, const char *text, size_t len, size_t max, json_error_t *why)
    __attribute__((warn_unused_result));
/* Appends `value` as json_dumps() writes it, with its flags. 0, or buf_append()'s errors. */
int json_text_append(struct buf *out, const json_t *value, size_t flags)
    __attribute__((warn_unused_result));
/* From here on this thread builds a document: what earlier ones lack does not count. */
void json_text_begin(void);
/* Whether this thread built a document, since it last began one or asked, that lacks something for want of
 * memory. */
bool json_text_was_incomplete(void);

#endif
