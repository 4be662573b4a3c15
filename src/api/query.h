/* SPDX-License-Identifier: MIT */
/* Parameters of a request's query, read as values. O(bytes of the query). */
#ifndef HOSTLER_API_QUERY_H
#define HOSTLER_API_QUERY_H

#include <stdbool.h>

#include "http/exchange.h"

bool query_has(const struct http_exchange *x, const char *name);
/* Whether it is there, and neither `0` nor `false`. */
bool query_flag(const struct http_exchange *x, const char *name);
/* A whole number, which leaves `*n` alone when it is not there. 0, or -1 after answering 400. */
int query_count(struct http_exchange *x, const char *name, unsigned *n)
    __attribute__((warn_unused_result));

#endif
