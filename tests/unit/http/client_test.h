/* SPDX-License-Identifier: MIT */
/* A client, and its origin: a listening unix socket whose connections the test plays itself. */
#ifndef HOSTLER_TESTS_CLIENT_TEST_H
#define HOSTLER_TESTS_CLIENT_TEST_H

#include "loop_test.h"

#include "http/client.h"
#include "origin_test.h"

/* --- the fixture ------------------------------------------------------------------------- */

#define REQUEST "GET / HTTP/1.1\r\n\r\n"
#define OK_2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"

static struct loop_test t;
static struct http_client *client;
static int origin;

/* One call and what it was told. */
struct told {
    struct http_call *call;
    unsigned connected, heads, flushes, drains, ends, fails;
    int status;
    int64_t length;
    struct buf body;
    enum http_call_failure why;
    bool is_upload; /* the test writes the request */
    bool cancels;   /* at its head */
};

static struct told a, b;

static void on_connected(struct http_call *call, void *ctx)
{
    struct told *c = ctx;
    c->call = call;
    c->connected++;
    if (c->is_upload)
        return;
    http_call_write(call, REQUEST, strlen(REQUEST));
    http_call_flush(call);
    http_call_sent(call);
}

static void on_head(struct http_call *call, const struct http_head *head, int64_t length, void *ctx)
{
    struct told *c = ctx;
    c->heads++;
    c->status = head->status;
    c->length = length;
    if (c->cancels)
        http_call_cancel(call);
}

static void on_body(struct http_call *call, const char *data, size_t len, void *ctx)
{
    struct told *c = ctx;
    assert_ptr_equal(call, c->call);
    assert_int_equal(buf_append(&c->body, data, len), 0);
}

static void on_flush(struct http_call *call, void *ctx)
{
    (void)call;
    ((struct told *)ctx)->flushes++;
}

static void on_drain(struct http_call *call, void *ctx)
{
    (void)call;
    ((struct told *)ctx)->drains++;
}

static void on_end(struct http_call *call, void *ctx)
{
    (void)call;
    ((struct told *)ctx)->ends++;
}

static void on_fail(struct http_call *call, enum http_call_failure why, void *ctx)
{
    struct told *c = ctx;
    (void)call;
    c->fails++;
    c->why = why;
}

static const struct http_call_events events = {.connected = on_connected,
                                               .head = on_head,
                                               .body = on_body,
                                               .flush = on_flush,
                                               .drain = on_drain,
                                               .end = on_end,
                                               .fail = on_fail};

static inline int set_up(void **state)
{
    (void)state;
    loop_test_init(&t);
    origin = listen_at(t.path, 16);
    client = client_to(&t, 0);
    a = b = (struct told){0};
    buf_init(&a.body, BUF_UNBOUNDED);
    buf_init(&b.body, BUF_UNBOUNDED);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    http_client_close(client);
    origin_close(&origin);
    loop_test_finish(&t);
    buf_finish(&a.body);
    buf_finish(&b.body);
    return 0;
}

static inline void call(struct told *c)
{
    c->call = http_client_call(client, 0, &events, c);
    loop_settle(&t);
}

/* A call on a new connection; returns the origin's side of it. */
static inline struct peer *call_fresh(struct told *c)
{
    call(c);
    return origin_accept(&t, origin);
}

static inline void answer(struct peer *p, const char *text)
{
    peer_send(p, text);
    loop_settle(&t);
}

static inline void assert_ended(const struct told *c, const char *body)
{
    assert_int_equal(c->ends, 1);
    assert_int_equal(c->fails, 0);
    assert_int_equal(c->heads, 1);
    assert_int_equal(c->body.len, strlen(body));
    assert_memory_equal(c->body.data ? c->body.data : "", body, c->body.len);
}

static inline void assert_failed(const struct told *c, enum http_call_failure why)
{
    assert_int_equal(c->ends, 0);
    assert_int_equal(c->fails, 1);
    assert_int_equal(c->why, why);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
