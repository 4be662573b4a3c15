/* SPDX-License-Identifier: MIT */
/*
 * A byte stream (TCP or unix socket) with an outgoing buffer: what both the server's and the
 * client's connections are made of. Writes are collected and sent by stream_flush() in one system
 * call; what the socket does not take waits in memory, and its size is known to the writer.
 *
 * With TLS (stream_secure) the same is true of the plain text: it is encrypted when it is flushed.
 */
#ifndef HOSTLER_HTTP_STREAM_H
#define HOSTLER_HTTP_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/buf.h"

#define STREAM_READ_SIZE ((size_t)64 * 1024)
#define STREAM_READ_LITTLE ((size_t)8 * 1024)

struct stream;
struct tls;

struct stream_events {
    void (*read)(struct stream *s, const char *data, size_t len);
    /* The peer closed (0), or the connection broke (a negative errno). Once. After a failed write
     * it comes when what the peer had sent has been read. */
    void (*ended)(struct stream *s, int error);
    /* Some of what was pending has been taken by the socket. */
    void (*written)(struct stream *s);
    /* The handle is closed: the owner may free the memory that embeds it. */
    void (*closed)(struct stream *s);
};

/* Embedded by its owner. */
struct stream {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    };
    const struct stream_events *events;
    struct buf out;       /* to be sent */
    struct buf in_flight; /* handed to libuv */
    uv_write_t write;
    struct tls *tls; /* NULL: plain */
    int write_error; /* the first failed write: the peer takes no more, but may have answered */
    bool writing, reading, closing, broken;
    bool reads_little;
    bool tls_begun;
    bool lost; /* memory ran out for what is to be sent: what comes is dropped until the end */
    bool spoke_plain; /* TLS was wanted, and the peer began in plain text: so does this stream */
};

void stream_init_tcp(struct stream *s, uv_loop_t *loop, const struct stream_events *events);
void stream_init_pipe(struct stream *s, uv_loop_t *loop, const struct stream_events *events);
/* Before the first byte: TLS from here on. The session is taken over. */
void stream_secure(struct stream *s, struct tls *tls);
/* Whether TLS is wanted and its handshake not over. */
bool stream_is_shaking_hands(const struct stream *s);
void stream_read_start(struct stream *s);
void stream_read_stop(struct stream *s);
/* Reads in small pieces (or not any more): of what trickles in, so that little is at hand when nobody takes it. */
void stream_read_little(struct stream *s, bool little);
/* Collects. The writer bounds it by watching stream_pending(). When there is no memory for it, the
 * connection is given up: `ended` follows from the loop. */
void stream_write(struct stream *s, const void *data, size_t len);
/* The same for a whole buffer, which is taken over without a copy when nothing else waits. */
void stream_write_take(struct stream *s, struct buf *data);
/* `name: value` as a line. */
void stream_write_field(struct stream *s, const char *name, const char *value);
/* `base` is at most 16. */
void stream_write_number(struct stream *s, uint64_t n, unsigned base);
/* A chunk of a body that is sent in chunks (RFC 9112, 7.1). */
void stream_write_chunk(struct stream *s, const void *data, size_t len);
void stream_flush(struct stream *s);
/* Bytes that the socket has not taken yet. */
size_t stream_pending(const struct stream *s);
/* With TLS, tells the peer that this is the end and no loss; nothing may be written after it. */
void stream_end(struct stream *s);
/* Closes now; what is pending is lost. `closed` follows from the loop. */
void stream_close(struct stream *s);

#endif
