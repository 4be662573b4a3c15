/* SPDX-License-Identifier: MIT */
/*
 * Writes figures as text for Prometheus: its own format, version 0.0.4, or OpenMetrics 1.0. In both a family has one HELP and
 * one TYPE line, before its samples. Values of labels may be any bytes: they are escaped, and what is no UTF-8 is replaced,
 * since one such byte would make the whole text unreadable for who asks.
 */
#ifndef HOSTLER_API_EXPOSITION_H
#define HOSTLER_API_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/histogram.h"

#define EXPOSITION_TEXT "text/plain; version=0.0.4; charset=utf-8"
#define EXPOSITION_OPEN "application/openmetrics-text; version=1.0.0; charset=utf-8"

enum exposition_type { EXPOSITION_COUNTER, EXPOSITION_GAUGE, EXPOSITION_HISTOGRAM };

struct exposition_family {
    const char *name; /* a counter's without `_total` */
    const char *unit; /* with which the name ends; NULL: none */
    const char *help; /* one line without backslashes */
    enum exposition_type type;
};

struct exposition_form;

struct exposition {
    struct buf *out;
    const struct exposition_form *form; /* NULL: Prometheus' text or OpenMetrics */
    bool open_metrics;
    int rc; /* the first error of an append; 0 */
    /* Of another form: */
    const char *started, *now;              /* of what it needs; lent */
    const struct exposition_family *family; /* that was begun last; NULL */
    unsigned families, points;              /* that were written, and of `family` */
};

/* Ends with the one whose name is NULL, at most EXPOSITION_LABELS_MAX. */
struct exposition_label {
    const char *name, *value;
};
#define EXPOSITION_LABELS_MAX 4

/* Another form than text: the same calls. */
struct exposition_form {
    void (*value)(struct exposition *e, const struct exposition_family *f,
                  const struct exposition_label *labels, double value);
    void (*count)(struct exposition *e, const struct exposition_family *f,
                  const struct exposition_label *labels, uint64_t value);
    void (*histogram)(struct exposition *e, const struct exposition_family *f,
                      const struct exposition_label *labels, const struct histogram_scale *s,
                      const struct histogram *h);
    void (*end)(struct exposition *e);
};

/* What stands in the array `metrics` of OTLP's JSON; `started` and `now` are nanoseconds of Unix time. Only families that have rows. */
extern const struct exposition_form exposition_otlp;

/* Whether a request with that Accept field (NULL: it has none) prefers OpenMetrics 1.0. */
bool exposition_wants_open_metrics(const char *accept);
void exposition_begin_family(struct exposition *e, const struct exposition_family *f);
void exposition_value(struct exposition *e, const struct exposition_family *f,
                      const struct exposition_label *labels, double value);
void exposition_count(struct exposition *e, const struct exposition_family *f,
                      const struct exposition_label *labels, uint64_t value);
void exposition_histogram(struct exposition *e, const struct exposition_family *f,
                          const struct exposition_label *labels, const struct histogram_scale *s,
                          const struct histogram *h);
/* Of a label, without the quotes. */
void exposition_escape(struct exposition *e, const char *text);
/* After the last family. */
void exposition_end(struct exposition *e);

#endif
