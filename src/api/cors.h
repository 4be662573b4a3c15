/* SPDX-License-Identifier: MIT */
/* What answers tell browsers about pages of other origins (CORS), by --cors-origins and the like. The
 * rules are llama-server's, which its engines would otherwise apply each for itself. */
#ifndef HOSTLER_API_CORS_H
#define HOSTLER_API_CORS_H

#include "http/exchange.h"
#include "server/config.h"

/* Into the head of an answer, whatever it is. Nothing when the request names no origin: then no page
 * asks. */
void cors_add_fields(const struct config *c, struct http_exchange *x);
/* Answers OPTIONS, which a browser sends before a request of another origin's page. */
void cors_answer_preflight(const struct config *c, struct http_exchange *x);

#endif
