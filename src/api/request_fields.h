/* SPDX-License-Identifier: MIT */
/*
 * What is kept of the header fields of a request and of its answer, so that people can look at them later: of those that carry
 * secrets only the name is told. Bounded, whatever a client sends.
 */
#ifndef HOSTLER_API_REQUEST_FIELDS_H
#define HOSTLER_API_REQUEST_FIELDS_H

#include <jansson.h>

#include "http/head.h"

#define REQUEST_FIELDS_MAX                                                                         \
    ((size_t)2048) /* bytes that are kept of a head; fields beyond are left out */

/* `fields`: empty until they are set; only request_fields_json() reads it. buf_finish() frees it. */
void request_fields_init(struct buf *fields);
/* Without memory they are left out. */
void request_fields_set(struct buf *fields, const struct http_head *head);
/* [[name, value], …], value null where it was left out; null: there are none. */
json_t *request_fields_json(const struct buf *fields);

#endif
