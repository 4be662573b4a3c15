/* SPDX-License-Identifier: MIT */
#include "api/exposition.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"

/* --- which format ----------------------------------------------------------------------------------
 */

#define OPEN_TYPE "application/openmetrics-text"

static const char *skip_blanks(const char *p)
{
    return p + strspn(p, " \t");
}

/* The value of parameter `name` of a media range; NULL: it has none. Quoted or not; it ends at `;`, `,` or a quote. */
static const char *parameter(const char *range, size_t len, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = range, *end = range + len; (p = memchr(p, ';', (size_t)(end - p)));) {
        p = skip_blanks(p + 1);
        if ((size_t)(end - p) > n && strncasecmp(p, name, n) == 0 && p[n] == '=')
            return p + n + 1 + (p[n + 1] == '"');
    }
    return NULL;
}

/* RFC 9110, 12.4.2: 1 unless it says less. */
static double quality(const char *range, size_t len)
{
    const char *q = parameter(range, len, "q");
    return q ? strtod(q, NULL) : 1;
}

/* Whether a media range names `type`, whatever its parameters are. */
static bool is_type(const char *range, size_t len, const char *type)
{
    const size_t n = strlen(type);
    return len >= n && strncasecmp(range, type, n) == 0 &&
           (len == n || strchr("; \t", range[n]) != NULL);
}

/* Version 1.0.x is what is written; who names none takes it, too. */
static bool is_open_metrics(const char *range, size_t len)
{
    if (!is_type(range, len, OPEN_TYPE))
        return false;
    const char *version = parameter(range, len, "version");
    return !version || (strncmp(version, "1.0", 3) == 0 && !isdigit((unsigned char)version[3]));
}

/* How closely a media range names Prometheus' text (RFC 9110, 12.5.1); 0: not at all. */
static int closeness_to_text(const char *range, size_t len)
{
    static const char *const types[] = {"*/*", "text/*", "text/plain"};
    for (int i = 0; i < 3; i++)
        if (is_type(range, len, types[i]))
            return i + 1;
    return 0;
}

bool exposition_wants_open_metrics(const char *accept)
{
    double open = 0, text = 0;
    int closest = 1;
    for (const char *p = accept ? accept : ""; *p;) {
        p = skip_blanks(p);
        const size_t len = strcspn(p, ",");
        const int close = closeness_to_text(p, len);
        if (is_open_metrics(p, len))
            open = fmax(open, quality(p, len));
        else if (close >= closest) {
            text = fmax(close > closest ? 0 : text, quality(p, len));
            closest = close;
        }
        p += len + (p[len] == ',');
    }
    return open > 0 && open >= text;
}

/* --- lines -------------------------------------------------------------------------------------------
 */

static void put_n(struct exposition *e, const char *text, size_t len)
{
    if (!e->rc)
        e->rc = buf_append(e->out, text, len);
}

static void put(struct exposition *e, const char *text)
{
    put_n(e, text, strlen(text));
}

/* What a character of a label becomes; NULL: itself. */
static const char *escaped(char c)
{
    return c == '\\' ? "\\\\" : c == '"' ? "\\\"" : c == '\n' ? "\\n" : NULL;
}

/* Bytes of the character at `p`; 0: it is none. */
static size_t character(const char *p)
{
    struct utf8 u = {0};
    size_t n = 0;
    do {
        if (!utf8_next(&u, (unsigned char)p[n]))
            return 0;
        n++;
    } while (u.due);
    return n;
}

void exposition_escape(struct exposition *e, const char *text)
{
    for (const char *p = text; *p;) {
        const char *other = escaped(*p);
        size_t n = character(p);
        if (other)
            put(e, other);
        else if (n)
            put_n(e, p, n);
        else
            put(e, "\xef\xbf\xbd"); /* U+FFFD */
        p += n ? n : 1;
    }
}

static const char *type_name(enum exposition_type type)
{
    switch (type) {
    case EXPOSITION_COUNTER:
        return "counter";
    case EXPOSITION_GAUGE:
        return "gauge";
    case EXPOSITION_HISTOGRAM:
        return "histogram";
    }
    return "unknown";
}

/* In OpenMetrics the family is named without the suffix of its samples. */
static void put_family(struct exposition *e, const struct exposition_family *f)
{
    put(e, f->name);
    if (f->type == EXPOSITION_COUNTER && !e->open_metrics)
        put(e, "_total");
}

static void put_line(struct exposition *e, const char *what, const struct exposition_family *f,
                     const char *text)
{
    put(e, what);
    put_family(e, f);
    put(e, " ");
    put(e, text);
    put(e, "\n");
}

void exposition_begin_family(struct exposition *e, const struct exposition_family *f)
{
    e->family = f;
    e->points = 0;
    if (e->form)
        return;
    put_line(e, "# HELP ", f, f->help);
    put_line(e, "# TYPE ", f, type_name(f->type));
    if (e->open_metrics && f->unit)
        put_line(e, "# UNIT ", f, f->unit);
}

static void put_label(struct exposition *e, const char *name, const char *value, bool first)
{
    put(e, first ? "{" : ",");
    put(e, name);
    put(e, "=\"");
    exposition_escape(e, value);
    put(e, "\"");
}

/* `le`: the bound of a histogram; NULL. */
static void put_labels(struct exposition *e, const struct exposition_label *labels, const char *le)
{
    bool first = true;
    for (const struct exposition_label *l = labels; l && l->name; l++) {
        put_label(e, l->name, l->value, first);
        first = false;
    }
    if (le)
        put_label(e, "le", le, first);
    put(e, first && !le ? " " : "} ");
}

static void begin_sample(struct exposition *e, const struct exposition_family *f,
                         const char *suffix, const struct exposition_label *labels, const char *le)
{
    put(e, f->name);
    put(e, suffix);
    put_labels(e, labels, le);
}

static void put_count(struct exposition *e, uint64_t value)
{
    char text[32];
    put_n(e, text, (size_t)snprintf(text, sizeof text, "%" PRIu64 "\n", value));
}

/* Shortest of those that read back as the same number, with a point, whatever the locale is. */
static void format(char *out, size_t size, double value)
{
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(out, size, "%.*g", digits, value);
        if (strtod(out, NULL) == value)
            return;
    }
}

static void put_value(struct exposition *e, double value)
{
    char text[40];
    format(text, sizeof text, value);
    put(e, text);
    put(e, "\n");
}

static const char *suffix_of(const struct exposition_family *f)
{
    return f->type == EXPOSITION_COUNTER ? "_total" : "";
}

void exposition_value(struct exposition *e, const struct exposition_family *f,
                      const struct exposition_label *labels, double value)
{
    if (e->form) {
        e->form->value(e, f, labels, value);
        return;
    }
    begin_sample(e, f, suffix_of(f), labels, NULL);
    put_value(e, value);
}

void exposition_count(struct exposition *e, const struct exposition_family *f,
                      const struct exposition_label *labels, uint64_t value)
{
    if (e->form) {
        e->form->count(e, f, labels, value);
        return;
    }
    begin_sample(e, f, suffix_of(f), labels, NULL);
    put_count(e, value);
}

/* As OpenMetrics has it, and others too, so that a series keeps its name in both formats: `1.0`, not `1`. */
static void format_bound(char *out, size_t size, double bound)
{
    format(out, size, bound);
    if (!strpbrk(out, ".e"))
        strcat(out, ".0"); // NOLINT(clang-analyzer-security.insecureAPI.strcpy): bounds are short
}

void exposition_histogram(struct exposition *e, const struct exposition_family *f,
                          const struct exposition_label *labels, const struct histogram_scale *s,
                          const struct histogram *h)
{
    uint64_t n = 0;
    char bound[40];
    if (e->form) {
        e->form->histogram(e, f, labels, s, h);
        return;
    }
    for (unsigned i = 0; i <= s->n; i++) {
        n += h->count[i];
        if (i < s->n)
            format_bound(bound, sizeof bound, s->bound[i]);
        begin_sample(e, f, "_bucket", labels, i < s->n ? bound : "+Inf");
        put_count(e, n);
    }
    begin_sample(e, f, "_sum", labels, NULL);
    put_value(e, h->sum);
    begin_sample(e, f, "_count", labels, NULL);
    put_count(e, n);
}

void exposition_end(struct exposition *e)
{
    if (e->form)
        e->form->end(e);
    else if (e->open_metrics)
        put(e, "# EOF\n");
}
