/* SPDX-License-Identifier: MIT */
/* Sends hostler's figures, those of GET /metrics, to an OpenTelemetry collector, again and again. */
#ifndef HOSTLER_API_OTLP_METRICS_H
#define HOSTLER_API_OTLP_METRICS_H

struct api;
struct otlp_metrics;

/* NULL: the collector gets no metrics. Uses api->otlp, api->meter and api->own, which must outlast it. */
struct otlp_metrics *otlp_metrics_create(struct api *api);
/* Sends once more. NULL: no-op. */
void otlp_metrics_destroy(struct otlp_metrics *m);

#endif
