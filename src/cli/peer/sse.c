/* SPDX-License-Identifier: MIT */
#include "cli/peer/sse.h"

#include <errno.h>
#include <string.h>

#define EVENT_MAX ((size_t)16 << 20)
#define UNPARSED_MAX ((size_t)512)

void sse_init(struct sse_reader *s)
{
    *s = (struct sse_reader){0};
    buf_init(&s->line, EVENT_MAX);
    buf_init(&s->data, EVENT_MAX);
    buf_init(&s->unparsed, UNPARSED_MAX);
}

void sse_finish(struct sse_reader *s)
{
    buf_finish(&s->line);
    buf_finish(&s->data);
    buf_finish(&s->unparsed);
}

static int dispatch(struct sse_reader *s, sse_on_event *event, void *ctx)
{
    int rc = 0;
    if (s->has_data) {
        const char *data = buf_cstr(&s->data);
        rc = data ? event(data, s->data.len, s->error, ctx) : -ENOMEM;
    }
    buf_clear(&s->data);
    s->has_data = s->error = false;
    return rc;
}

static int add_data(struct sse_reader *s, const char *value, size_t len, bool error)
{
    int rc = s->has_data ? buf_append(&s->data, "\n", 1) : 0;
    s->has_data = true;
    s->error |= error;
    return rc ? rc : buf_append(&s->data, value, len);
}

static bool is(const char *name, size_t len, const char *field)
{
    return len == strlen(field) && memcmp(name, field, len) == 0;
}

static int read_field(struct sse_reader *s, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    size_t name = colon ? (size_t)(colon - line) : len;
    const char *value = colon ? colon + 1 : line + len;
    size_t n = (size_t)(line + len - value);
    if (n && *value == ' ')
        value++, n--;
    if (is(line, name, "data") || is(line, name, "error"))
        return add_data(s, value, n, *line == 'e');
    if (name && !is(line, name, "event") && !is(line, name, "id") && !is(line, name, "retry")) {
        buf_clear(&s->unparsed);
        return buf_append(&s->unparsed, line, len < UNPARSED_MAX ? len : UNPARSED_MAX);
    }
    return 0; /* a comment, or nothing that concerns us */
}

/* The line in s->line is complete. */
static int end_line(struct sse_reader *s, sse_on_event *event, void *ctx)
{
    const char *line = s->line.data;
    size_t len = s->line.len;
    if (!s->begun && len >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0)
        line += 3, len -= 3;
    s->begun = true;
    int rc = len ? read_field(s, line, len) : dispatch(s, event, ctx);
    buf_clear(&s->line);
    return rc;
}

int sse_feed(struct sse_reader *s, const char *bytes, size_t len, sse_on_event *event, void *ctx)
{
    const char *end = bytes + len;
    while (bytes < end) {
        if (s->after_cr && *bytes == '\n') {
            s->after_cr = false;
            bytes++;
            continue;
        }
        const char *stop = bytes;
        while (stop < end && *stop != '\n' && *stop != '\r')
            stop++;
        s->after_cr = stop < end && *stop == '\r';
        int rc = buf_append(&s->line, bytes, (size_t)(stop - bytes));
        if (!rc && stop < end)
            rc = end_line(s, event, ctx);
        if (rc)
            return rc;
        bytes = stop < end ? stop + 1 : end;
    }
    return 0;
}

int sse_end(struct sse_reader *s, sse_on_event *event, void *ctx)
{
    int rc = s->line.len ? end_line(s, event, ctx) : 0;
    return rc ? rc : dispatch(s, event, ctx);
}
