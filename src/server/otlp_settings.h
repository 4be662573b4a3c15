/* SPDX-License-Identifier: MIT */
/*
 * Where traces and metrics go, by OpenTelemetry's own variables (specification, "Environment variables" and "OTLP
 * exporter configuration"). Only OTLP over HTTP with JSON is spoken. A value that cannot be used is warned of and left out, as the
 * specification demands: telemetry keeps no server from starting.
 */
#ifndef HOSTLER_SERVER_OTLP_SETTINGS_H
#define HOSTLER_SERVER_OTLP_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strv.h"

enum otlp_signal { OTLP_TRACES, OTLP_METRICS, OTLP_SIGNALS };

struct otlp_settings {
    char *url[OTLP_SIGNALS];   /* whole; NULL: the signal is not sent */
    char *shown[OTLP_SIGNALS]; /* the same without user, password and query, which may be secrets */
    struct strv headers[OTLP_SIGNALS]; /* `Name: value`; may be secrets */
    uint64_t timeout_ms[OTLP_SIGNALS];
    char *resource;         /* JSON: an OTLP Resource */
    uint64_t span_delay_ms; /* from a span to the post that has it */
    size_t spans_max;       /* that wait */
    size_t batch_max;       /* spans a post */
    uint64_t metrics_interval_ms;
    bool follows_parent; /* a caller's trace is recorded as the caller says */
    double ratio;        /* of other traces, 0 to 1, that are recorded */
};

/* `env` as of a process. False: no signal is sent anywhere. */
bool otlp_settings_read(struct otlp_settings *s, char *const *env);
void otlp_settings_finish(struct otlp_settings *s);

#endif
