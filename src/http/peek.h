/* SPDX-License-Identifier: MIT */
/*
 * Finds the `model` of a request in its body while the body streams in: in JSON, the string under
 * the top-level key "model"; in multipart/form-data, the field named "model" (a part with a
 * filename is a file, not a field). No tree is built: only the state of the scan and the name are
 * stored.
 *
 * If there are several, the last one counts within the first PEEK_WINDOW bytes of the body
 * (llama-server's own JSON reader takes the last one), else the first one after that. A name
 * counts at the place where it ends, a value that is no string where it begins. So the answer
 * depends on the bytes alone, not on how they are cut into reads, and a body of any size that names
 * its model early needs no more memory than the window.
 *
 * Malformed JSON is detected up to the byte that decides the result: in a body that ends within the
 * window, to its end; in a longer one, to the window's end or the name after it.
 * Beyond RFC 8259 it is as strict as llama-server's reader: no half surrogate pairs, no control
 * characters in strings, and a name must be UTF-8 (other strings are not looked at). As with that reader a zero byte after the
 * document ends the body, whatever follows it.
 */
#ifndef HOSTLER_HTTP_PEEK_H
#define HOSTLER_HTTP_PEEK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PEEK_WINDOW ((size_t)256 * 1024)
#define PEEK_NAME_MAX 1024 /* bytes of a model's name */

enum peek_result {
    PEEK_MORE,       /* undecided: wants the next bytes */
    PEEK_FOUND,      /* `model` is the name */
    PEEK_MISSING,    /* the body is complete, or can name no model any more, and named none */
    PEEK_NOT_STRING, /* `model` is no string, or an empty one, or has a zero byte in it */
    PEEK_TOO_LONG,   /* the name is longer than PEEK_NAME_MAX */
    PEEK_MALFORMED, /* not JSON (or not this multipart); `error_at` is the offset of the first wrong
                       byte, or the body's length when it is empty or cut short */
};

struct peek; /* opaque, one a request */

/* `content_type` is the request's header value or NULL; multipart/form-data with a boundary selects
 * the multipart scan, anything else JSON (as llama-server does, which ignores the type). */
struct peek *peek_create(const char *content_type);
void peek_destroy(struct peek *p);

/* Feeds the next bytes of the body. Once it returns anything but PEEK_MORE, it returns the same for
 * ever and looks at no more bytes. */
enum peek_result peek_feed(struct peek *p, const char *data, size_t len);
/* The body is complete. Never returns PEEK_MORE. */
enum peek_result peek_end(struct peek *p);

/* Valid when FOUND: zero-terminated UTF-8, owned by `p`. */
const char *peek_model(const struct peek *p);
size_t peek_error_at(const struct peek *p);

#endif
