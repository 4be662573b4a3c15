/* SPDX-License-Identifier: MIT */
/*
 * JSON as text, as jansson's JSON_COMPACT writes it, in a third of the time: jansson keeps a table of
 * the containers it is in, to notice loops, which our answers do not have. Long lists are written by
 * this.
 */
#ifndef HOSTLER_API_ENCODE_H
#define HOSTLER_API_ENCODE_H

#include <jansson.h>

#include "base/buf.h"

/* 0, or buf_append()'s errors. */
int encode_json(struct buf *out, const json_t *value) __attribute__((warn_unused_result));

#endif
