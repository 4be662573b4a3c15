/* SPDX-License-Identifier: MIT */
#include "http/request_check.h"

#include <string.h>
#include <strings.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

void request_check_keep(struct request_check *c, size_t len)
{
    size_t n = len < sizeof c->tail ? len : sizeof c->tail;
    const char *end = c->chunk + len;
    memmove(c->tail, c->tail + n, sizeof c->tail - n);
    memcpy(c->tail + sizeof c->tail - n, end - n, n);
    while (end > c->chunk && is_blank(end[-1]))
        end--;
    if (end > c->chunk)
        c->last = end[-1];
    for (size_t i = 0; i < len; i++) {
        c->folded |= c->line_ended && is_blank(c->chunk[i]);
        c->line_ended = c->chunk[i] == '\n';
    }
}

bool request_check_folds_empty(const struct request_check *c, const char *at)
{
    if (c->folded || at == c->chunk)
        return c->folded;
    if (at > c->chunk && at[-1] == '\n')
        at--;
    if (at > c->chunk && at[-1] == '\r')
        at--;
    while (at > c->chunk && is_blank(at[-1]))
        at--;
    return (at > c->chunk ? at[-1] : c->last) == '\n';
}

/* The byte `back` before `at`: of the chunk, or of what came before it. */
static char byte_before(const struct request_check *c, const char *at, size_t back)
{
    size_t here = (size_t)(at - c->chunk);
    return back <= here ? at[-(ptrdiff_t)back] : c->tail[sizeof c->tail - (back - here)];
}

bool request_check_protocol_before(const struct request_check *c, const char *at)
{
    static const char name[] = "HTTP/";
    for (size_t i = 0; i < REQUEST_CHECK_TAIL; i++)
        if (byte_before(c, at, REQUEST_CHECK_TAIL - i) != name[i])
            return false;
    return true;
}

/* Bytes of a host and its port (RFC 3986, 3.2); Host is empty where the target has none. */
static const bool host_byte[256] = {
    ['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true, ['-'] = true, ['.'] = true,
    ['_'] = true,         ['~'] = true,         ['%'] = true,         ['!'] = true, ['$'] = true,
    ['&'] = true,         ['\''] = true,        ['('] = true,         [')'] = true, ['*'] = true,
    ['+'] = true,         [';'] = true,         ['='] = true,         [':'] = true, ['['] = true,
    [']'] = true,
};

static bool is_host(const char *value)
{
    while (host_byte[(unsigned char)*value])
        value++;
    return !*value;
}

static bool is_transfer_coding_wrong(const llhttp_t *parser, const char *coding)
{
    return !(parser->flags & F_CHUNKED) || strcasecmp(coding, "chunked") != 0;
}

/* The fields that are looked at, found in one pass: every request pays for it. */
struct fields {
    const char *host, *coding; /* the first of each; NULL: none */
    unsigned n_hosts;
    bool blank; /* a blank stands in a name, or between it and its colon */
};

static struct fields find_fields(const struct http_head *head)
{
    struct fields f = {0};
    for (unsigned i = 0; i < head->n_fields; i++) {
        const char *value = http_field_value(head, i);
        const char *name = http_field_name(head, i);
        /* RFC 9112, 5.1. llhttp takes a blank for a part of the name, after which is a zero. */
        f.blank |= memchr(name, ' ', (size_t)(value - 1 - name)) != NULL;
        if (http_field_is(head, i, "host")) {
            f.host = f.host ? f.host : value;
            f.n_hosts++;
        } else if (!f.coding && http_field_is(head, i, "transfer-encoding")) {
            f.coding = value;
        }
    }
    return f;
}

/* Of Host there is exactly one (RFC 9112, 3.2); HTTP/1.0 may have none. */
static const char *host_problem(const struct fields *f, bool is_old)
{
    if (f->n_hosts > 1)
        return "Host is given more than once";
    if (!f->host)
        return is_old ? NULL : "Host is missing: every HTTP/1.1 request names it";
    return is_host(f->host) ? NULL : "Host is not the name of a host";
}

/* What a TLS client sends first: a record of the type `handshake` (RFC 8446, 5.1). */
#define TLS_HANDSHAKE 0x16

const char *request_check_bytes(const llhttp_t *parser)
{
    llhttp_errno_t error = llhttp_get_errno(parser);
    const char *at = llhttp_get_error_pos(parser);
    if (error == HPE_PAUSED_H2_UPGRADE)
        return "HTTP/2 is not spoken here: use HTTP/1.1";
    if (error == HPE_INVALID_METHOD && at && *at == TLS_HANDSHAKE)
        return "this port speaks plain HTTP: write http:// in place of https://";
    return llhttp_get_error_reason(parser);
}

const char *request_check_head(const llhttp_t *parser, const struct http_head *head)
{
    const struct fields f = find_fields(head);
    if (parser->http_major != 1)
        return "only HTTP/1.0 and HTTP/1.1 are spoken here";
    if (f.coding && parser->http_minor == 0)
        return "Transfer-Encoding is not possible in an HTTP/1.0 request";
    if (f.coding && is_transfer_coding_wrong(parser, f.coding))
        return "Transfer-Encoding must be chunked, and nothing else";
    if (parser->content_length > INT64_MAX)
        return "Content-Length is too large";
    if (f.blank)
        return "a blank in the name of a header field, or between it and its colon";
    return host_problem(&f, parser->http_minor == 0);
}
