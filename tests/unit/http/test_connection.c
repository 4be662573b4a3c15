/* SPDX-License-Identifier: MIT */
/* Bodies that nobody wants, back-pressure, slow clients, and the ends of an exchange. */
#include "server_test.h"

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"

static bool is_pending(void)
{
    return f.x && http_exchange_pending(f.x);
}

/* --- Expect ------------------------------------------------------------------------------ */

#define CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"
#define EXPECTING "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"

static void a_taken_body_is_asked_for(void **state)
{
    (void)state;
    f.on_request = take;
    f.on_body_end = reply;
    struct peer *p = ask("POST / HTTP/1.1\r\nHost: a\r\n" EXPECTING);
    assert_text(p, CONTINUE);
    peer_send(p, "abc");
    loop_settle(&f.t);
    assert_text(p, CONTINUE HELLO);
    peer_send(p, GET("/b"));
    loop_settle(&f.t);
    assert_int_equal(f.requests, 2);
}

static void a_refused_body_is_not_asked_for(void **state)
{
    (void)state;
    struct peer *p = ask("POST / HTTP/1.1\r\nHost: a\r\n" EXPECTING);
    assert_text(p, HELLO_CLOSE);
    assert_true(p->ended);
}

static void nothing_is_expected_without_a_body(void **state)
{
    (void)state;
    f.on_request = take;
    struct peer *p =
        ask("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(p->in.len, 0);
}

/* RFC 9110, 10.1.1: it knows no interim answers. */
static void http_1_0_cannot_expect(void **state)
{
    (void)state;
    f.on_request = take;
    struct peer *p = ask("POST / HTTP/1.0\r\n" EXPECTING);
    assert_int_equal(p->in.len, 0);
}

/* --- answers before the body was read ---------------------------------------------------- */

static void a_small_rest_is_thrown_away(void **state)
{
    (void)state;
    struct peer *p = ask("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    assert_text(p, HELLO);
    peer_send_fill(p, 100000);
    peer_send(p, GET("/b"));
    loop_settle(&f.t);
    assert_text(p, HELLO HELLO);
    assert_int_equal(f.body.len, 0);
    assert_string_equal(f.targets, "/a /b ");
}

static void a_small_rest_of_a_taken_body(void **state)
{
    (void)state;
    f.on_request = take;
    struct peer *p = ask("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    reply(f.x);
    peer_send(p, "defghij" GET("/b"));
    loop_settle(&f.t);
    assert_string_equal(buf_cstr(&f.body), "abc");
    assert_int_equal(f.body_ends, 1); /* that of /b: after its answer, /a hears nothing more */
    assert_string_equal(f.targets, "/a /b ");
    assert_int_equal(f.gones, 0);
}

static void a_large_rest_ends_the_connection(void **state)
{
    (void)state;
    struct peer *p = peer_connect(&f.t);
    peer_send(p, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n");
    peer_send_fill(p, 3000000);
    UNTIL(&f.t, p->ended);
    assert_text(p, HELLO_CLOSE);
    UNTIL(&f.t, !p->out.len); /* it could say all it had to say: nothing was reset */
    assert_false(p->reset);
    peer_send(p, GET("/b"));
    loop_settle(&f.t);
    assert_int_equal(f.requests, 1);
}

static void an_unwanted_body_of_unknown_length(void **state)
{
    (void)state;
    struct peer *p =
        ask("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n");
    assert_text(p, HELLO_CLOSE);
    assert_true(p->ended);
}

/* --- back-pressure ----------------------------------------------------------------------- */

static void a_pause_stops_the_body(void **state)
{
    (void)state;
    f.on_request = take_and_pause;
    struct peer *p = peer_connect(&f.t);
    peer_send(p, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n");
    peer_send_fill(p, 3000000);
    loop_settle(&f.t);
    assert_in_range(f.after_pause, 0, 131072);
    assert_true(p->out.len > 0); /* the client feels it */
    f.paused = false;
    http_exchange_resume(f.x);
    UNTIL(&f.t, f.body_ends);
    assert_int_equal(f.body.len, 3000000);
}

static void a_pause_in_the_middle(void **state)
{
    (void)state;
    f.on_request = take;
    struct peer *p = ask("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n");
    peer_send_fill(p, 100000);
    loop_settle(&f.t);
    f.paused = true;
    http_exchange_pause(f.x);
    peer_send_fill(p, 2900000);
    loop_settle(&f.t);
    assert_in_range(f.after_pause, 0, 131072);
    http_exchange_resume(f.x);
    UNTIL(&f.t, f.body_ends);
    assert_int_equal(f.body.len, 3000000);
}

static void a_pause_of_a_pipelined_request(void **state)
{
    (void)state;
    f.on_request = take;
    struct peer *p = peer_connect(&f.t);
    peer_send(p, GET("/a") "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n");
    peer_send_fill(p, 3000000);
    loop_settle(&f.t);
    f.on_request = take_and_pause;
    reply(f.x);
    loop_settle(&f.t);
    assert_string_equal(f.targets, "/a /b ");
    assert_in_range(f.after_pause, 0, 131072);
}

/* Fills the client's socket and more. */
static void write_until_full(void)
{
    static char piece[10000];
    while (http_exchange_pending(f.x) < HTTP_HIGH_WATER) {
        http_exchange_write(f.x, piece, sizeof piece);
        http_exchange_flush(f.x);
    }
}

static struct peer *ask_and_fill(const char *request)
{
    struct peer *p = peer_connect(&f.t);
    p->deaf = true;
    f.on_request = take;
    peer_send(p, request);
    loop_settle(&f.t);
    http_exchange_begin(f.x, 200, HTTP_STREAMED);
    http_exchange_head_end(f.x);
    write_until_full();
    return p;
}

static void drain_comes_when_the_client_reads(void **state)
{
    (void)state;
    struct peer *p = ask_and_fill(GET("/"));
    loop_settle(&f.t);
    assert_int_equal(f.drains, 0);
    p->deaf = false;
    UNTIL(&f.t, f.drains == 1);
    assert_in_range(http_exchange_pending(f.x), 0, HTTP_LOW_WATER);
    loop_settle(&f.t);
    assert_int_equal(f.drains, 1);
    write_until_full();
    loop_settle(&f.t);
    assert_int_equal(f.drains, 2);
}

static void no_drain_after_the_end(void **state)
{
    (void)state;
    struct peer *p = ask_and_fill(GET("/"));
    http_exchange_end(f.x);
    p->deaf = false;
    UNTIL(&f.t, peer_has(p, "\r\n0\r\n\r\n"));
    assert_int_equal(f.drains, 0);
}

static void a_slow_client_gets_the_last_answer_whole(void **state)
{
    (void)state;
    /* Connection: close, and the end comes while earlier pieces still wait for the socket. */
    struct peer *p = ask_and_fill("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    http_exchange_write(f.x, "last", 4);
    http_exchange_end(f.x);
    loop_settle(&f.t);
    p->deaf = false;
    UNTIL(&f.t, p->ended || p->reset);
    assert_true(peer_has(p, "\r\n4\r\nlast\r\n0\r\n\r\n"));
    assert_false(p->reset);
}

static void a_kept_connection_gets_the_next_request_after_a_slow_answer(void **state)
{
    (void)state;
    struct peer *p = ask_and_fill(GET("/"));
    http_exchange_end(f.x);
    f.on_request = reply;
    peer_send(p, GET("/b"));
    loop_settle(&f.t);
    p->deaf = false;
    UNTIL(&f.t, peer_has(p, "\r\n0\r\n\r\n" HELLO));
}

static void reply_64k(struct http_exchange *x)
{
    static char body[65536];
    http_exchange_reply(x, 200, NULL, body, sizeof body, NULL);
}

/* Requests are cheap to send: who does not read answers must not make us keep them all. */
static void a_client_that_never_reads_is_bounded(void **state)
{
    (void)state;
    struct peer *p = peer_connect(&f.t);
    p->deaf = true;
    f.on_request = reply_64k;
    for (int i = 0; i < 500; i++)
        peer_send(p, GET("/"));
    loop_settle(&f.t);
    assert_in_range(f.requests, 1, 20);
    p->deaf = false;
    UNTIL(&f.t, f.requests == 500);
}

/* --- ends -------------------------------------------------------------------------------- */

static void a_client_that_leaves_is_told_once(void **state)
{
    (void)state;
    f.on_request = take;
    struct peer *p = ask(GET("/"));
    peer_close(p);
    UNTIL(&f.t, f.gones);
    loop_settle(&f.t);
    assert_int_equal(f.gones, 1);
    assert_int_equal(http_server_busy(f.server), 0);
}

static void a_client_that_leaves_within_its_body(void **state)
{
    (void)state;
    f.on_request = take;
    struct peer *p = ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
    peer_close(p);
    loop_settle(&f.t);
    assert_int_equal(f.gones, 1);
    assert_int_equal(f.body_ends, 0);
}

static void a_client_that_leaves_while_we_write(void **state)
{
    (void)state;
    struct peer *p = ask_and_fill(GET("/"));
    assert_true(is_pending());
    peer_close(p);
    UNTIL(&f.t, f.gones);
    loop_settle(&f.t);
    assert_int_equal(f.gones, 1);
}

static void a_broken_chunk_ends_the_exchange(void **state)
{
    (void)state;
    f.on_request = take;
    struct peer *p = ask("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n");
    assert_int_equal(f.gones, 1);
    assert_true(p->ended || p->reset);
}

static void nobody_is_told_after_the_end(void **state)
{
    (void)state;
    f.on_request = take;
    struct peer *p = ask(GET("/"));
    reply(f.x);
    peer_close(p);
    loop_settle(&f.t);
    assert_int_equal(f.gones, 0);
}

static void abort_closes_without_a_word(void **state)
{
    (void)state;
    f.on_request = take;
    struct peer *p = ask(GET("/"));
    http_exchange_begin(f.x, 200, HTTP_STREAMED);
    http_exchange_head_end(f.x);
    http_exchange_write(f.x, "abc", 3);
    http_exchange_flush(f.x);
    http_exchange_abort(f.x);
    loop_settle(&f.t);
    assert_true(p->ended);
    assert_true(peer_has(p, "abc"));
    assert_false(peer_has(p, "\r\n0\r\n"));
    assert_int_equal(f.gones, 0);
}

static void abort_from_the_handler(void **state)
{
    (void)state;
    f.on_request = http_exchange_abort;
    struct peer *p = ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" GET("/b"));
    assert_true(p->ended || p->reset);
    assert_int_equal(f.requests, 1);
    assert_int_equal(p->in.len, 0);
}

static void abort_from_the_body(void **state)
{
    (void)state;
    f.on_request = take;
    f.on_body_end = http_exchange_abort;
    struct peer *p = ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" GET("/b"));
    assert_true(p->ended || p->reset);
    assert_int_equal(f.requests, 1);
    assert_int_equal(f.gones, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_taken_body_is_asked_for),
        TEST(a_refused_body_is_not_asked_for),
        TEST(nothing_is_expected_without_a_body),
        TEST(http_1_0_cannot_expect),
        TEST(a_small_rest_is_thrown_away),
        TEST(a_small_rest_of_a_taken_body),
        TEST(a_large_rest_ends_the_connection),
        TEST(an_unwanted_body_of_unknown_length),
        TEST(a_pause_stops_the_body),
        TEST(a_pause_in_the_middle),
        TEST(a_pause_of_a_pipelined_request),
        TEST(drain_comes_when_the_client_reads),
        TEST(no_drain_after_the_end),
        TEST(a_slow_client_gets_the_last_answer_whole),
        TEST(a_kept_connection_gets_the_next_request_after_a_slow_answer),
        TEST(a_client_that_never_reads_is_bounded),
        TEST(a_client_that_leaves_is_told_once),
        TEST(a_client_that_leaves_within_its_body),
        TEST(a_client_that_leaves_while_we_write),
        TEST(a_broken_chunk_ends_the_exchange),
        TEST(nobody_is_told_after_the_end),
        TEST(abort_closes_without_a_word),
        TEST(abort_from_the_handler),
        TEST(abort_from_the_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
