/* SPDX-License-Identifier: MIT */
#include "http/stream.h"

#include <string.h>
#include <sys/socket.h>

#include "http/tls.h"

/* An empty buffer gives its memory back when it has grown beyond this: idle streams stay small. */
#define KEEP_CAPACITY ((size_t)4 * 1024)

#define NUMBER_MAX 64 /* digits, to the base 2 */

/* One read buffer serves all streams: a read is consumed before the next one begins. */
static char read_buffer[STREAM_READ_SIZE];
/* And one for what TLS makes of it: a record at a time. */
static char plain_buffer[16 * 1024];

static void stream_init(struct stream *s, const struct stream_events *events)
{
    s->events = events;
    s->handle.data = s;
    buf_init(&s->out, BUF_UNBOUNDED);
    buf_init(&s->in_flight, BUF_UNBOUNDED);
    s->writing = s->reading = s->closing = s->broken = s->reads_little = false;
    s->tls_begun = s->spoke_plain = s->lost = false;
    s->write_error = 0;
    s->tls = NULL;
}

void stream_init_tcp(struct stream *s, uv_loop_t *loop, const struct stream_events *events)
{
    uv_tcp_init(loop, &s->tcp);
    stream_init(s, events);
}

void stream_init_pipe(struct stream *s, uv_loop_t *loop, const struct stream_events *events)
{
    uv_pipe_init(loop, &s->pipe, 0);
    stream_init(s, events);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    const struct stream *s = handle->data;
    (void)suggested;
    *out = uv_buf_init(read_buffer, s->reads_little ? STREAM_READ_LITTLE : STREAM_READ_SIZE);
}

/* The end of a connection that lose() shut down is not the peer's. */
static void end_reading(struct stream *s, int error)
{
    if (s->lost && !error)
        error = s->write_error;
    s->lost = false;
    stream_read_stop(s);
    s->broken = error != 0;
    s->events->ended(s, error);
}

/* The first byte of TLS is 22, that of an HTTP request a letter. */
static bool begins_in_plain(const struct stream *s, const char *data)
{
    return !s->tls_begun && ((*data >= 'A' && *data <= 'Z') || (*data >= 'a' && *data <= 'z'));
}

static void read_sealed(struct stream *s, const char *data, size_t len)
{
    enum tls_result result = TLS_MORE;
    size_t n;
    if (begins_in_plain(s, data)) {
        tls_destroy(s->tls);
        s->tls = NULL;
        s->spoke_plain = true;
        s->events->read(s, data, len);
        return;
    }
    s->tls_begun = true;
    tls_feed(s->tls, data, len);
    while (!s->closing &&
           (result = tls_read(s->tls, plain_buffer, sizeof plain_buffer, &n)) == TLS_DATA)
        s->events->read(s, plain_buffer, n);
    stream_flush(s); /* what the handshake answers */
    if (!s->closing && result != TLS_MORE)
        end_reading(s, result == TLS_ENDED ? 0 : UV_EPROTO);
}

static void on_read(uv_stream_t *handle, ssize_t n, const uv_buf_t *data)
{
    struct stream *s = handle->data;
    if (n > 0 && s->lost) /* only its end counts */
        return;
    if (n > 0 && s->tls)
        read_sealed(s, data->base, (size_t)n);
    else if (n > 0)
        s->events->read(s, data->base, (size_t)n);
    else if (n < 0)
        end_reading(s, n == UV_EOF ? 0 : (int)n);
}

void stream_secure(struct stream *s, struct tls *tls)
{
    s->tls = tls;
}

bool stream_is_shaking_hands(const struct stream *s)
{
    return s->tls && !tls_is_ready(s->tls);
}

void stream_read_start(struct stream *s)
{
    if (s->reading || s->closing || s->broken)
        return;
    s->reading = true;
    uv_read_start(&s->stream, on_alloc, on_read);
}

void stream_read_stop(struct stream *s)
{
    if (!s->reading || s->lost)
        return;
    s->reading = false;
    uv_read_stop(&s->stream);
}

void stream_read_little(struct stream *s, bool little)
{
    s->reads_little = little;
}

static void shrink(struct buf *b)
{
    if (b->cap > KEEP_CAPACITY)
        buf_finish(b);
    else
        buf_clear(b);
}

/* Whether it makes sense to write: nobody takes what comes after an error. */
static bool takes_more(const struct stream *s)
{
    return !s->closing && !s->broken && !s->write_error;
}

/* What is to be sent cannot be, for want of memory here or in the kernel: the connection ends. The owner
 * learns it from the loop, by `ended`, and not in the call that writes. */
static __attribute__((cold, noinline)) void lose(struct stream *s, int error)
{
    int fd;
    s->write_error = error;
    buf_finish(&s->out);
    if (s->tls)
        buf_finish(tls_sealed(s->tls));
    stream_read_start(s);
    s->lost = true;
    if (uv_fileno(&s->handle, &fd) == 0)
        shutdown(fd, SHUT_RDWR);
}

void stream_write(struct stream *s, const void *data, size_t len)
{
    if (takes_more(s) && buf_append(&s->out, data, len))
        lose(s, UV_ENOMEM);
}

/* Room for `len` bytes after what waits: written to directly, and then counted in out.len. NULL when
 * nobody takes them. */
static inline char *room_for(struct stream *s, size_t len)
{
    if (!takes_more(s))
        return NULL;
    if (len > s->out.cap - s->out.len && buf_reserve(&s->out, len)) {
        lose(s, UV_ENOMEM);
        return NULL;
    }
    return s->out.data + s->out.len;
}

static char *put(char *to, const void *data, size_t len)
{
    return (char *)memcpy(to, data, len) + len;
}

/* Every request and token has one: printf takes ten times as long. */
static char *put_number(char *to, uint64_t n, unsigned base)
{
    char digits[NUMBER_MAX], *at = digits + sizeof digits;
    do
        *--at = "0123456789abcdef"[n % base];
    while (n /= base);
    return put(to, at, (size_t)(digits + sizeof digits - at));
}

void stream_write_field(struct stream *s, const char *name, const char *value)
{
    size_t name_len = strlen(name), value_len = strlen(value);
    char *to = room_for(s, name_len + value_len + 4);
    if (!to)
        return;
    to = put(put(put(put(to, name, name_len), ": ", 2), value, value_len), "\r\n", 2);
    s->out.len = (size_t)(to - s->out.data);
}

void stream_write_number(struct stream *s, uint64_t n, unsigned base)
{
    char *to = room_for(s, NUMBER_MAX);
    if (to)
        s->out.len = (size_t)(put_number(to, n, base) - s->out.data);
}

void stream_write_chunk(struct stream *s, const void *data, size_t len)
{
    char *to = room_for(s, len + NUMBER_MAX + 4);
    if (!to)
        return;
    to = put_number(to, len, 16);
    to = put(put(put(to, "\r\n", 2), data, len), "\r\n", 2);
    s->out.len = (size_t)(to - s->out.data);
}

void stream_write_take(struct stream *s, struct buf *data)
{
    if (s->out.len || !takes_more(s)) {
        stream_write(s, data->data, data->len);
        buf_finish(data);
        return;
    }
    buf_finish(&s->out);
    s->out = *data;
    s->out.max = BUF_UNBOUNDED;
    *data = (struct buf){.max = data->max};
}

/* The peer has closed: it may have answered before, so reading tells how the connection ended. */
static bool is_peers_end(int error)
{
    return error == UV_EPIPE || error == UV_ECONNRESET;
}

static void on_written(uv_write_t *write, int status)
{
    struct stream *s = write->data;
    s->writing = false;
    shrink(&s->in_flight);
    if (s->closing)
        return;
    if (status) {
        s->write_error = status;
        buf_finish(&s->out);
        if (s->tls)
            buf_finish(tls_sealed(s->tls));
        if (s->reading && is_peers_end(status))
            return;
        s->broken = true;
        s->events->ended(s, status);
        return;
    }
    stream_flush(s);
    if (!s->closing && s->events->written)
        s->events->written(s);
}

/* Hands `wire` to libuv as it is; it comes back in on_written(). */
static void write_rest(struct stream *s, struct buf *wire)
{
    struct buf empty = s->in_flight;
    s->in_flight = *wire;
    *wire = empty;
    uv_buf_t data = uv_buf_init(s->in_flight.data, (unsigned)s->in_flight.len);
    s->write.data = s;
    s->writing = uv_write(&s->write, &s->stream, &data, 1, on_written) == 0;
}

/* What goes to the socket: the plain text itself, or what TLS makes of it. */
static struct buf *wire_of(struct stream *s)
{
    if (!s->tls)
        return &s->out;
    if (tls_seal(s->tls, &s->out))
        lose(s, UV_ENOMEM);
    shrink(&s->out);
    return tls_sealed(s->tls);
}

void stream_flush(struct stream *s)
{
    if (s->writing || s->closing || s->broken)
        return;
    struct buf *wire = wire_of(s);
    if (!wire->len)
        return;
    uv_buf_t data = uv_buf_init(wire->data, (unsigned)wire->len);
    int n = uv_try_write(&s->stream, &data, 1);
    if (n == (int)wire->len) {
        shrink(wire);
        return;
    }
    if (n < 0 && n != UV_EAGAIN && !is_peers_end(n)) {
        lose(s, n);
        return;
    }
    if (n > 0)
        buf_consume(wire, (size_t)n);
    else if (n != UV_EAGAIN)
        s->write_error = n; /* known here already: the peer's end may be read before the callback */
    /* The peer's end is not reported here, in the writer's own call, but by uv_write's callback. */
    write_rest(s, wire);
}

size_t stream_pending(const struct stream *s)
{
    return s->out.len + s->in_flight.len + (s->tls ? tls_sealed(s->tls)->len : 0);
}

void stream_end(struct stream *s)
{
    if (!s->tls || s->closing || s->broken || s->write_error)
        return;
    stream_flush(s);
    tls_end(s->tls);
    stream_flush(s);
}

static void on_closed(uv_handle_t *handle)
{
    struct stream *s = handle->data;
    buf_finish(&s->out);
    buf_finish(&s->in_flight);
    tls_destroy(s->tls);
    s->tls = NULL; /* the owner may live on, and ask what is pending */
    s->events->closed(s);
}

void stream_close(struct stream *s)
{
    if (s->closing)
        return;
    s->closing = true;
    s->reading = false;
    uv_close(&s->handle, on_closed);
}
