/* SPDX-License-Identifier: MIT */
#include "http/peek_multipart.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"

/* --- parameters of a header value: `form-data; name="model"; filename=x` ------------------------
 */
struct span {
    const char *at;
    size_t len;
};

struct param {
    struct span name;
    struct span value; /* quotes taken off, escapes left in */
};

static bool span_is(struct span s, const char *text)
{
    return s.len == strlen(text) && strncasecmp(s.at, text, s.len) == 0;
}

static struct span skip_blanks(struct span s)
{
    while (s.len && (*s.at == ' ' || *s.at == '\t'))
        s = (struct span){s.at + 1, s.len - 1};
    return s;
}

static struct span after(struct span s, size_t n)
{
    return (struct span){s.at + n, s.len - n};
}

/* Bytes up to one of `stops`. */
static size_t span_until(struct span s, const char *stops)
{
    size_t n = 0;
    while (n < s.len && !(s.at[n] && strchr(stops, s.at[n])))
        n++;
    return n;
}

static struct span trimmed(const char *at, size_t len)
{
    while (len && (at[len - 1] == ' ' || at[len - 1] == '\t'))
        len--;
    return (struct span){at, len};
}

/* A value in quotes; `rest` begins after the opening one. */
static struct span quoted(struct span *rest)
{
    const char *begin = rest->at;
    size_t n = 0;
    while (n < rest->len && begin[n] != '"')
        n += begin[n] == '\\' && n + 1 < rest->len ? 2 : 1;
    *rest = after(*rest, n < rest->len ? n + 1 : n);
    return (struct span){begin, n};
}

static struct span token(struct span *rest)
{
    size_t n = span_until(*rest, ";");
    struct span value = trimmed(rest->at, n);
    *rest = after(*rest, n);
    return value;
}

/* Takes the next parameter off the front of `rest`. A piece without `=` has an empty value. */
static bool next_param(struct span *rest, struct param *out)
{
    *rest = skip_blanks(*rest);
    while (rest->len && *rest->at == ';')
        *rest = skip_blanks(after(*rest, 1));
    if (!rest->len)
        return false;
    size_t n = span_until(*rest, "=;");
    *out = (struct param){.name = trimmed(rest->at, n)};
    *rest = after(*rest, n);
    if (!rest->len || *rest->at != '=')
        return true;
    *rest = skip_blanks(after(*rest, 1));
    if (!rest->len || *rest->at != '"') {
        out->value = token(rest);
        return true;
    }
    *rest = after(*rest, 1);
    out->value = quoted(rest);
    *rest = after(*rest, span_until(*rest, ";"));
    return true;
}

/* Undoes the escapes of a quoted string (RFC 9110, 5.6.4) into `out`, which has room for it. */
static size_t unescape(struct span s, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] == '\\' && i + 1 < s.len)
            i++;
        out[n++] = s.at[i];
    }
    return n;
}

/* --- set-up -------------------------------------------------------------------------------------
 */
static void set_boundary(struct peek_multipart *m, struct span boundary)
{
    static const char prefix[] = "\r\n--";
    m->delimiter = mem_zalloc(sizeof prefix - 1 + boundary.len);
    memcpy(m->delimiter, prefix, sizeof prefix - 1);
    m->delimiter_len = sizeof prefix - 1 + unescape(boundary, m->delimiter + sizeof prefix - 1);
}

/* What follows may begin with a delimiter whose line end has been seen already. */
static void begin_body(struct peek_multipart *m)
{
    m->state = MULTIPART_BODY;
    m->matched = m->borrowed = 2;
}

bool peek_multipart_init(struct peek_multipart *m, const char *content_type)
{
    if (!content_type)
        return false;
    struct span rest = {content_type, strlen(content_type)};
    struct param p;
    if (!next_param(&rest, &p) || !span_is(p.name, "multipart/form-data"))
        return false;
    while (next_param(&rest, &p)) {
        if (!span_is(p.name, "boundary") || !p.value.len)
            continue;
        *m = (struct peek_multipart){0};
        set_boundary(m, p.value);
        begin_body(m);
        return true;
    }
    return false;
}

void peek_multipart_finish(struct peek_multipart *m)
{
    free(m->delimiter);
    m->delimiter = NULL;
}

/* --- a part's head ------------------------------------------------------------------------------
 */
static void begin_header(struct peek_multipart *m)
{
    m->state = MULTIPART_HEADER;
    m->header_len = 0;
    m->header_empty = true;
}

static void read_disposition(struct peek_multipart *m, struct span value)
{
    struct param p;
    bool named = false;
    if (!next_param(&value, &p) || !span_is(p.name, "form-data"))
        return;
    while (next_param(&value, &p)) {
        if (span_is(p.name, "name") && !named) {
            char name[PEEK_HEADER_MAX];
            size_t len = unescape(p.value, name);
            named = true;
            m->is_model = len == 5 && memcmp(name, "model", 5) == 0;
        }
        if (span_is(p.name, "filename") || span_is(p.name, "filename*")) {
            m->is_model = false;
            return;
        }
    }
}

static void header_over(struct peek_multipart *m)
{
    struct span line = {m->header, m->header_len};
    size_t n = span_until(line, ":");
    if (n < line.len && span_is((struct span){line.at, n}, "content-disposition"))
        read_disposition(m, after(line, n + 1));
}

static void head_over(struct peek_multipart *m, struct peek_name *name)
{
    begin_body(m);
    if (m->is_model)
        peek_name_begin(name);
}

static void header_bytes(struct peek_multipart *m, const char *data, size_t len)
{
    size_t room = PEEK_HEADER_MAX - m->header_len;
    memcpy(m->header + m->header_len, data, len < room ? len : room);
    m->header_len += len < room ? len : room;
    m->header_empty = m->header_empty && !len;
}

static size_t scan_header(struct peek_multipart *m, const char *data, size_t len)
{
    const char *end = memchr(data, '\r', len);
    size_t n = end ? (size_t)(end - data) : len;
    header_bytes(m, data, n);
    if (!end)
        return n;
    m->state = MULTIPART_HEADER_END;
    return n + 1;
}

/* A CR that no LF follows is part of the line. The byte after it is looked at again. */
static size_t scan_header_end(struct peek_multipart *m, struct peek_name *name, char c)
{
    if (c != '\n') {
        header_bytes(m, "\r", 1);
        m->state = MULTIPART_HEADER;
        return 0;
    }
    if (m->header_empty) {
        head_over(m, name);
        return 1;
    }
    header_over(m);
    begin_header(m);
    return 1;
}

/* --- a part's content ---------------------------------------------------------------------------
 */
static bool content(const struct peek_multipart *m, struct peek_name *name, const char *data,
                    size_t len, size_t *right)
{
    *right = m->is_model ? peek_name_append(name, data, len) : len;
    return *right == len;
}

/* It was not the delimiter: the bytes matched so far are content. */
static bool release_matched(struct peek_multipart *m, struct peek_name *name)
{
    size_t right, from = m->borrowed, n = m->matched - from;
    m->matched = m->borrowed = 0;
    return content(m, name, m->delimiter + from, n, &right);
}

static bool delimiter_over(struct peek_multipart *m, struct peek_name *name)
{
    bool ok = !m->is_model || peek_name_end(name);
    m->is_model = false;
    m->matched = m->borrowed = 0;
    m->state = MULTIPART_DELIMITER;
    return ok;
}

/*
 * A delimiter begins with a CR and has no other one (a header's value cannot hold it). So after a mismatch
 * none of the matched bytes can begin another delimiter.
 */
static enum peek_scan scan_body(struct peek_multipart *m, struct peek_name *name, const char *data,
                                size_t len, size_t *taken)
{
    *taken = 0;
    if (!m->matched) {
        const char *cr = memchr(data, '\r', len);
        size_t n = cr ? (size_t)(cr - data) : len;
        if (!content(m, name, data, n, taken))
            return PEEK_SCAN_BAD;
        if (!cr)
            return PEEK_SCAN_MORE;
        m->matched = 1;
        ++*taken;
        return PEEK_SCAN_MORE;
    }
    if (*data != m->delimiter[m->matched])
        return release_matched(m, name) ? PEEK_SCAN_MORE : PEEK_SCAN_BAD;
    if (m->matched + 1 == m->delimiter_len && !delimiter_over(m, name))
        return PEEK_SCAN_BAD;
    if (m->state == MULTIPART_BODY)
        m->matched++;
    *taken = 1;
    return PEEK_SCAN_MORE;
}

/* --- the machine --------------------------------------------------------------------------------
 */
static enum peek_scan scan_line_end(struct peek_multipart *m, char c)
{
    if (m->state == MULTIPART_DELIMITER && c == '-') {
        m->state = MULTIPART_DASH;
        return PEEK_SCAN_MORE;
    }
    m->state = c == '\r' ? MULTIPART_LINE_FEED : MULTIPART_PADDING;
    return c == '\r' || c == ' ' || c == '\t' ? PEEK_SCAN_MORE : PEEK_SCAN_BAD;
}

/* Takes at least one byte or changes the state; `*taken` says how many. */
static enum peek_scan scan_some(struct peek_multipart *m, struct peek_name *name, const char *data,
                                size_t len, size_t *taken)
{
    *taken = 1;
    switch (m->state) {
    case MULTIPART_BODY:
        return scan_body(m, name, data, len, taken);
    case MULTIPART_DELIMITER:
    case MULTIPART_PADDING:
        return scan_line_end(m, *data);
    case MULTIPART_DASH:
        return *data == '-' ? PEEK_SCAN_OVER : PEEK_SCAN_BAD;
    case MULTIPART_LINE_FEED:
        if (*data != '\n')
            return PEEK_SCAN_BAD;
        begin_header(m);
        return PEEK_SCAN_MORE;
    case MULTIPART_HEADER:
        *taken = scan_header(m, data, len);
        return PEEK_SCAN_MORE;
    case MULTIPART_HEADER_END:
        *taken = scan_header_end(m, name, *data);
        return PEEK_SCAN_MORE;
    }
    return PEEK_SCAN_BAD;
}

enum peek_scan peek_multipart_scan(struct peek_multipart *m, struct peek_name *name,
                                   const char *data, size_t len, size_t *used)
{
    *used = 0;
    while (*used < len) {
        size_t taken;
        enum peek_scan scan = scan_some(m, name, data + *used, len - *used, &taken);
        if (scan == PEEK_SCAN_BAD && m->state != MULTIPART_BODY)
            taken = 0;
        *used += taken;
        if (scan != PEEK_SCAN_MORE)
            return scan;
        if (peek_name_settled(name))
            return PEEK_SCAN_OVER;
    }
    return PEEK_SCAN_MORE;
}
