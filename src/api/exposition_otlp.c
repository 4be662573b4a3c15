/* SPDX-License-Identifier: MIT */
/*
 * Figures as OTLP's JSON (opentelemetry-proto, metrics.proto). A family is written with its first row and closed by the next one's.
 * Names: `hostler_request_queue_seconds` is `hostler.request_queue` with the unit `s`; what the conventions for generative AI have
 * a name for has that. Counts are cumulative since the daemon's start.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "api/encode.h"
#include "api/exposition.h"
#include "base/memory.h"

static const struct {
    const char *name, *other;
} names[] = {
    {"hostler_request_duration_seconds", "gen_ai.server.request.duration"},
    {"hostler_request_time_to_first_token_seconds", "gen_ai.server.time_to_first_token"},
    {"hostler_request_time_per_output_token_seconds", "gen_ai.server.time_per_output_token"},
};

static void put(struct exposition *e, const char *text)
{
    if (!e->rc)
        e->rc = buf_puts(e->out, text);
}

static void put_string(struct exposition *e, const char *text)
{
    json_t *string = json_string(text);
    if (!string)
        string = json_string("?"); /* it is no UTF-8 */
    if (!e->rc)
        e->rc = encode_json(e->out, string);
    json_decref(string);
}

static void put_number(struct exposition *e, uint64_t value)
{
    if (!e->rc)
        e->rc = buf_printf(e->out, "\"%" PRIu64 "\"", value); /* 64-bit numbers are strings */
}

static void put_double(struct exposition *e, double value)
{
    json_t *number = json_real(value);
    if (!e->rc)
        e->rc = encode_json(e->out, number);
    json_decref(number);
}

/* --- families ----------------------------------------------------------------------------------
 */

/* The caller frees it. */
static char *name_of(const struct exposition_family *f)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(f->name, names[i].name) == 0)
            return mem_strdup(names[i].other);
    const size_t unit = f->unit ? strlen(f->unit) + 1 : 0;
    char *name = mem_strndup(f->name, strlen(f->name) - unit);
    char *first = strchr(name, '_');
    if (first)
        *first = '.';
    return name;
}

/* UCUM's, as the conventions demand. */
static const char *unit_of(const struct exposition_family *f)
{
    if (!f->unit)
        return "1";
    return strcmp(f->unit, "seconds") == 0 ? "s" : strcmp(f->unit, "bytes") == 0 ? "By" : f->unit;
}

static void close_family(struct exposition *e)
{
    if (e->families)
        put(e, "]}}");
}

static void open_family(struct exposition *e, const struct exposition_family *f)
{
    static const char *const kinds[] = {
        [EXPOSITION_COUNTER] =
            ",\"sum\":{\"aggregationTemporality\":2,\"isMonotonic\":true,\"dataPoints\":[",
        [EXPOSITION_GAUGE] = ",\"gauge\":{\"dataPoints\":[",
        [EXPOSITION_HISTOGRAM] = ",\"histogram\":{\"aggregationTemporality\":2,\"dataPoints\":[",
    };
    char *name = name_of(f);
    close_family(e);
    put(e, e->families++ ? ",{\"name\":" : "{\"name\":");
    put_string(e, name);
    put(e, ",\"unit\":");
    put_string(e, unit_of(f));
    put(e, ",\"description\":");
    put_string(e, f->help);
    put(e, kinds[f->type]);
    free(name);
}

/* --- rows --------------------------------------------------------------------------------------
 */

static void begin_point(struct exposition *e, const struct exposition_family *f,
                        const struct exposition_label *labels)
{
    if (!e->points)
        open_family(e, f);
    put(e, e->points++ ? ",{" : "{");
    if (f->type != EXPOSITION_GAUGE) {
        put(e, "\"startTimeUnixNano\":");
        put_string(e, e->started);
        put(e, ",");
    }
    put(e, "\"timeUnixNano\":");
    put_string(e, e->now);
    put(e, ",\"attributes\":[");
    for (const struct exposition_label *l = labels; l && l->name; l++) {
        put(e, l == labels ? "{\"key\":" : ",{\"key\":");
        put_string(e, strcmp(l->name, "model") == 0 ? "gen_ai.request.model" : l->name);
        put(e, ",\"value\":{\"stringValue\":");
        put_string(e, l->value);
        put(e, "}}");
    }
    put(e, "]");
}

static void value(struct exposition *e, const struct exposition_family *f,
                  const struct exposition_label *labels, double number)
{
    begin_point(e, f, labels);
    put(e, ",\"asDouble\":");
    put_double(e, number);
    put(e, "}");
}

static void count(struct exposition *e, const struct exposition_family *f,
                  const struct exposition_label *labels, uint64_t value)
{
    begin_point(e, f, labels);
    put(e, ",\"asInt\":");
    put_number(e, value);
    put(e, "}");
}

static void histogram(struct exposition *e, const struct exposition_family *f,
                      const struct exposition_label *labels, const struct histogram_scale *s,
                      const struct histogram *h)
{
    uint64_t n = 0;
    begin_point(e, f, labels);
    put(e, ",\"explicitBounds\":[");
    for (unsigned i = 0; i < s->n; i++) {
        put(e, i ? "," : "");
        put_double(e, s->bound[i]);
    }
    put(e, "],\"bucketCounts\":[");
    for (unsigned i = 0; i <= s->n; i++) {
        put(e, i ? "," : "");
        put_number(e, h->count[i]);
        n += h->count[i];
    }
    put(e, "],\"count\":");
    put_number(e, n);
    put(e, ",\"sum\":");
    put_double(e, h->sum);
    put(e, "}");
}

const struct exposition_form exposition_otlp = {
    .value = value, .count = count, .histogram = histogram, .end = close_family};
