/* SPDX-License-Identifier: MIT */
/* Writes an answer into a stream: its first line, its framing (RFC 9112, 6), its fields and its body. */
#ifndef HOSTLER_HTTP_ANSWER_H
#define HOSTLER_HTTP_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "http/stream.h"

enum answer_state { ANSWER_NONE, ANSWER_HEAD, ANSWER_BODY, ANSWER_DONE };

/* How a client learns where the body ends. */
enum answer_framing {
    FRAMING_LENGTH,  /* it was announced */
    FRAMING_CHUNKED, /* the last chunk is empty */
    FRAMING_CLOSE,   /* the connection ends: a body of unknown length for HTTP/1.0 */
    FRAMING_EMPTY,   /* there is none on the wire: HEAD, 204, 304 */
};

struct answer {
    enum answer_state state;
    enum answer_framing framing;
    int status;
    uint64_t body_bytes; /* written so far, without their framing */
};

struct answer_head {
    int status;
    int64_t length; /* of the body; negative: not known */
    bool to_head;   /* the request was HEAD */
    bool to_old;    /* it was HTTP/1.0 */
    bool keep_alive;
    uint64_t now; /* of the loop, ms */
};

/* Whether this body can end only with the connection. */
bool answer_needs_close(const struct answer_head *head);
/* Begins the head, with Date; further fields follow by stream_write_field(). */
void answer_begin(struct answer *a, struct stream *s, const struct answer_head *head);
void answer_head_end(struct answer *a, struct stream *s);
static inline void answer_write(struct answer *a, struct stream *s, const char *data, size_t len)
{
    if (a->framing == FRAMING_EMPTY || !len)
        return;
    a->body_bytes += len;
    if (a->framing == FRAMING_CHUNKED)
        stream_write_chunk(s, data, len);
    else
        stream_write(s, data, len);
}
void answer_end(struct answer *a, struct stream *s);

#endif
