/* SPDX-License-Identifier: MIT */
/*
 * Part of the peek (peek.h): multipart/form-data (RFC 7578, with the delimiters of RFC 2046, 5.1.1) as a
 * state machine that is fed in pieces of any size.
 *
 * A part counts when its Content-Disposition has the name `model` and no filename: llama-server,
 * too, keeps files apart from fields.
 */
#ifndef HOSTLER_HTTP_PEEK_MULTIPART_H
#define HOSTLER_HTTP_PEEK_MULTIPART_H

#include "http/peek_name.h"

/* Bytes of a part's header line that are parsed; the rest is skipped. */
#define PEEK_HEADER_MAX 4096

enum peek_multipart_state {
    MULTIPART_BODY,      /* in a part's content, or in what stands before the first part */
    MULTIPART_DELIMITER, /* after `--boundary`: `--` or the end of the line */
    MULTIPART_DASH,      /* after its first `-` */
    MULTIPART_PADDING,   /* blanks, then CR LF */
    MULTIPART_LINE_FEED,
    MULTIPART_HEADER,     /* in a header line */
    MULTIPART_HEADER_END, /* after its CR */
};

struct peek_multipart {
    enum peek_multipart_state state;
    char *delimiter; /* CR LF -- boundary; owned */
    size_t delimiter_len;
    size_t matched;  /* its first bytes that the last bytes are equal to */
    size_t borrowed; /* how many of those are no content: the line end before the first boundary or
                        before an empty part's content */
    bool is_model;   /* the part being read is the field `model` */
    char header[PEEK_HEADER_MAX];
    size_t header_len; /* of the line being read, capped */
    bool header_empty;
};

/* False when `content_type` is not multipart/form-data with a boundary. */
bool peek_multipart_init(struct peek_multipart *m, const char *content_type);
void peek_multipart_finish(struct peek_multipart *m);
/* As peek_json_scan(). Over at the last boundary: what follows it is no part. */
enum peek_scan peek_multipart_scan(struct peek_multipart *m, struct peek_name *name,
                                   const char *data, size_t len, size_t *used);

#endif
