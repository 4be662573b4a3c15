/* SPDX-License-Identifier: MIT */
/*
 * Sends spans and metrics to an OpenTelemetry collector: OTLP over HTTP with JSON, by libcurl in the pool, one post at a
 * time. Spans are sent in batches; what waits is bounded in number and bytes, and what finds no room is dropped and counted.
 * A post that fails for a reason that may pass (no answer, 429, 502, 503, 504) is sent again, after 1, 2, 4, … 30 s or
 * what Retry-After says; any other drops its batch.
 */
#ifndef HOSTLER_SERVER_OTLP_H
#define HOSTLER_SERVER_OTLP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/error.h"
#include "server/otlp_settings.h"

#define OTLP_WAITING_MAX                                                                           \
    ((size_t)8 << 20) /* bytes of spans that wait, the batch under way included */

struct otlp;

/* Loads libcurl. It takes the settings, also when it fails: NULL and `err`. */
struct otlp *otlp_create(uv_loop_t *loop, struct otlp_settings *settings, struct error *err);
const struct otlp_settings *otlp_settings(const struct otlp *o);
/* What waits is sent, for at most 2 s; then `closed` is called on the loop. */
void otlp_close(struct otlp *o, void (*closed)(void *ctx), void *ctx);

/* `json`: an OTLP Span. No-op when traces are not sent. */
void otlp_add_span(struct otlp *o, const char *json, size_t len);
/* `json`: what stands in the array `metrics` of an OTLP ScopeMetrics. False, and nothing is kept: a post of metrics is under way or waits, or metrics
 * are not sent. */
bool otlp_send_metrics(struct otlp *o, const char *json, size_t len);

struct otlp_counts {
    uint64_t sent, dropped; /* spans */
    uint64_t posts, failed; /* of both signals */
    const char *error;      /* of the last post, until one succeeds; NULL */
};
struct otlp_counts otlp_counts(const struct otlp *o);

#endif
