/* SPDX-License-Identifier: MIT */
/* What pages of other origins may do with the answers (CORS), by --cors-origins and the like. The
 * rules are llama-server's, which its engines would otherwise apply each for itself. */
#ifndef HOSTLER_API_CORS_H
#define HOSTLER_API_CORS_H

#include "http/exchange.h"
#include "server/config.h"

/* Into the head of an answer, whatever it is. Nothing when the request names no origin: then no page
 * asks. */
void cors_add_fields(const struct config *c, struct http_exchange *x);
/* What a browser asks (OPTIONS) before a page of another origin may send a request. */
void cors_answer_preflight(const struct config *c, struct http_exchange *x);

#endif
