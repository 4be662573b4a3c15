/* SPDX-License-Identifier: MIT */
/*
 * A span for each request that an engine answers, with spans below it for the wait, the load that it caused, the restoring of
 * its prompt, the time to its first token and the stream: OpenTelemetry, with the names of its conventions for generative AI.
 * A caller's trace is continued by its `traceparent` (W3C Trace Context), and the engine gets one of ours.
 */
#ifndef HOSTLER_API_TRACING_H
#define HOSTLER_API_TRACING_H

#include <stdbool.h>

#define TRACEPARENT_MAX 56 /* the text of version 00, with its end */

/* Of a request; zeroed: none. */
struct trace_context {
    char trace[33], span[17]; /* hexadecimal */
    char parent[17];          /* empty: the trace begins here */
    bool recorded;
    char traceparent[TRACEPARENT_MAX]; /* for the engine; empty: the client's own passes */
    double load_began, load_ended;     /* Unix time, s; 0: it caused no load */
};

struct otlp;
struct request_log;
struct tracing;

/* Whether `text` is a traceparent; if so, the context gets its trace and parent, and `sampled` its flag. */
bool trace_context_read(struct trace_context *c, const char *text, bool *sampled);

struct tracing *tracing_create(struct request_log *log, struct otlp *otlp);
/* NULL: no-op. */
void tracing_destroy(struct tracing *t);

#endif
