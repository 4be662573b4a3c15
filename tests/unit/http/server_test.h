/* SPDX-License-Identifier: MIT */
/* A server on a unix socket whose handler does what the test says, and notes what happens. */
#ifndef HOSTLER_TESTS_SERVER_TEST_H
#define HOSTLER_TESTS_SERVER_TEST_H

#include "loop_test.h"

#include "http/server.h"

struct server_test {
    struct loop_test t;
    struct http_server *server;
    /* What the handler does with a request; and what happens when its body is complete. */
    void (*on_request)(struct http_exchange *x);
    void (*on_body_end)(struct http_exchange *x);
    struct http_exchange *x; /* the last one that was taken; NULL when it is gone */
    unsigned requests, body_ends, drains, gones;
    char targets[256]; /* of all requests, each followed by a blank */
    struct buf body;
    size_t after_pause; /* bytes of bodies that came while `paused` */
    bool paused, closed;
};

static struct server_test f;

static void note_body(struct http_exchange *x, const char *data, size_t len, void *ctx)
{
    (void)ctx;
    assert_ptr_equal(x, f.x);
    f.after_pause += f.paused ? len : 0;
    assert_int_equal(buf_append(&f.body, data, len), 0);
}

static void note_body_end(struct http_exchange *x, void *ctx)
{
    (void)ctx;
    f.body_ends++;
    if (f.on_body_end)
        f.on_body_end(x);
}

static void note_drain(struct http_exchange *x, void *ctx)
{
    (void)ctx;
    (void)x;
    f.drains++;
}

static void note_gone(struct http_exchange *x, void *ctx)
{
    (void)ctx;
    assert_ptr_equal(x, f.x);
    f.x = NULL;
    f.gones++;
}

static const struct http_exchange_events note_events = {
    .body = note_body, .body_end = note_body_end, .drain = note_drain, .gone = note_gone};

static void handle(struct http_exchange *x, void *ctx)
{
    assert_ptr_equal(ctx, &f);
    size_t n = strlen(f.targets);
    snprintf(f.targets + n, sizeof f.targets - n, "%s ", http_exchange_target(x));
    f.requests++;
    f.on_request(x);
}

/* --- what a handler may do --------------------------------------------------------------- */

static inline void reply(struct http_exchange *x)
{
    http_exchange_reply(x, 200, "text/plain", "hello", 5, NULL);
}

static inline void take(struct http_exchange *x)
{
    f.x = x;
    http_exchange_take(x, &note_events, NULL);
}

static inline void take_and_pause(struct http_exchange *x)
{
    take(x);
    f.paused = true;
    http_exchange_pause(x);
}

/* --- the fixture ------------------------------------------------------------------------- */

static void note_closed(void *ctx)
{
    assert_ptr_equal(ctx, &f);
    f.closed = true;
    f.server = NULL;
}

static inline int set_up(void **state)
{
    struct error err = {0};
    (void)state;
    f = (struct server_test){.on_request = reply};
    loop_test_init(&f.t);
    buf_init(&f.body, BUF_UNBOUNDED);
    f.server = http_server_create(&f.t.loop, handle, &f);
    assert_int_equal(http_server_listen(f.server, f.t.path, 0, 0, &err), 0);
    return 0;
}

static inline void close_server(void)
{
    http_server_close(f.server, note_closed, &f);
    UNTIL(&f.t, f.closed);
}

static inline int tear_down(void **state)
{
    (void)state;
    if (f.server)
        close_server();
    buf_finish(&f.body);
    loop_test_finish(&f.t);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#define HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello"
#define HELLO_CLOSE                                                                                \
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n"                                \
    "Content-Type: text/plain\r\n\r\nhello"

/* Sends it on a new connection, and waits until all is quiet. */
static inline struct peer *ask(const char *request)
{
    struct peer *p = peer_connect(&f.t);
    peer_send(p, request);
    loop_settle(&f.t);
    return p;
}

static inline void assert_text(struct peer *p, const char *wanted)
{
    assert_string_equal(peer_text(p), wanted);
}

#endif
