/* SPDX-License-Identifier: MIT */
#include "http/stream.h"

#include <string.h>

#include "base/memory.h"

/* An empty buffer gives its memory back when it has grown beyond this: idle streams stay small. */
#define KEEP_CAPACITY ((size_t)4 * 1024)

/* One read buffer serves all streams: a read is consumed before the next one begins. */
static char read_buffer[STREAM_READ_SIZE];

static void stream_init(struct stream *s, const struct stream_events *events)
{
    s->events = events;
    s->handle.data = s;
    buf_init(&s->out, BUF_UNBOUNDED);
    buf_init(&s->in_flight, BUF_UNBOUNDED);
    s->writing = s->reading = s->closing = s->broken = false;
    s->write_error = 0;
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
    (void)handle;
    (void)suggested;
    *out = uv_buf_init(read_buffer, sizeof read_buffer);
}

static void on_read(uv_stream_t *handle, ssize_t n, const uv_buf_t *data)
{
    struct stream *s = handle->data;
    if (n > 0) {
        s->events->read(s, data->base, (size_t)n);
    } else if (n < 0) {
        stream_read_stop(s);
        s->broken = n != UV_EOF;
        s->events->ended(s, n == UV_EOF ? 0 : (int)n);
    }
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
    if (!s->reading)
        return;
    s->reading = false;
    uv_read_stop(&s->stream);
}

static void shrink(struct buf *b)
{
    if (b->cap > KEEP_CAPACITY)
        buf_finish(b);
    else
        buf_clear(b);
}

void stream_write(struct stream *s, const void *data, size_t len)
{
    if (s->closing || s->broken || s->write_error)
        return;
    if (buf_append(&s->out, data, len))
        mem_out();
}

void stream_write_take(struct stream *s, struct buf *data)
{
    if (s->out.len || s->closing || s->broken || s->write_error) {
        stream_write(s, data->data, data->len);
        buf_finish(data);
        return;
    }
    buf_finish(&s->out);
    s->out = *data;
    s->out.max = BUF_UNBOUNDED;
    *data = (struct buf){.max = data->max};
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
        if (s->reading) /* the peer may have answered before it closed: reading will tell the end */
            return;
        s->broken = true;
        s->events->ended(s, status);
        return;
    }
    stream_flush(s);
    if (!s->closing && s->events->written)
        s->events->written(s);
}

/* Hands `out` to libuv as it is; it comes back in on_written(). */
static void write_rest(struct stream *s)
{
    struct buf empty = s->in_flight;
    s->in_flight = s->out;
    s->out = empty;
    uv_buf_t data = uv_buf_init(s->in_flight.data, (unsigned)s->in_flight.len);
    s->write.data = s;
    s->writing = uv_write(&s->write, &s->stream, &data, 1, on_written) == 0;
}

void stream_flush(struct stream *s)
{
    if (s->writing || s->closing || s->broken || !s->out.len)
        return;
    uv_buf_t data = uv_buf_init(s->out.data, (unsigned)s->out.len);
    int n = uv_try_write(&s->stream, &data, 1);
    if (n == (int)s->out.len) {
        shrink(&s->out);
        return;
    }
    if (n > 0)
        buf_consume(&s->out, (size_t)n);
    else if (n != UV_EAGAIN)
        s->write_error = n; /* known here already: the peer's end may be read before the callback */
    /* An error of the socket is not reported here, in the writer's own call, but by uv_write's
     * callback. */
    write_rest(s);
}

size_t stream_pending(const struct stream *s)
{
    return s->out.len + s->in_flight.len;
}

static void on_closed(uv_handle_t *handle)
{
    struct stream *s = handle->data;
    buf_finish(&s->out);
    buf_finish(&s->in_flight);
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
