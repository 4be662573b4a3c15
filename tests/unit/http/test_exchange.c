/* SPDX-License-Identifier: MIT */
/* Requests and answers; test_connection.c has bodies, back-pressure and ends, test_connection_refuse.c
 * what is no HTTP, test_listener.c the sockets. */
#include "server_test.h"

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"

static void one_request(void **state)
{
    (void)state;
    struct peer *p = ask(GET("/a"));
    assert_text(p, HELLO);
    assert_false(p->ended);
    assert_string_equal(f.targets, "/a ");
}

static void the_connection_is_kept(void **state)
{
    (void)state;
    struct peer *p = ask(GET("/a"));
    peer_send(p, GET("/b"));
    loop_settle(&f.t);
    assert_text(p, HELLO HELLO);
    assert_string_equal(f.targets, "/a /b ");
}

static void it_ends_when_the_client_wants_so(void **state)
{
    (void)state;
    struct peer *p = ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n");
    assert_text(p, HELLO_CLOSE);
    assert_true(p->ended);
}

static void byte_by_byte(void **state)
{
    (void)state;
    static const char request[] = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    struct peer *p = peer_connect(&f.t);
    f.on_request = take;
    f.on_body_end = reply;
    for (size_t i = 0; i < sizeof request - 1; i++) {
        peer_send_bytes(p, request + i, 1);
        loop_settle(&f.t);
    }
    assert_text(p, HELLO);
    assert_string_equal(buf_cstr(&f.body), "abc");
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    f.on_request = take;
    struct peer *p = ask(GET("/a") GET("/b") GET("/c"));
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(f.requests, i); /* one at a time */
        assert_string_equal(http_exchange_target(f.x), i == 1 ? "/a" : i == 2 ? "/b" : "/c");
        http_exchange_reply(f.x, 200, NULL, http_exchange_target(f.x), 2, NULL);
        loop_settle(&f.t);
    }
#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    assert_text(p, ANSWER "/a" ANSWER "/b" ANSWER "/c");
}

static void a_pipelined_request_after_a_body(void **state)
{
    (void)state;
    f.on_request = take;
    f.on_body_end = reply;
    struct peer *p =
        ask("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxy"
            "POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nz\r\n0\r\n\r\n"
            "GET /c HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_text(p, HELLO HELLO HELLO);
    assert_string_equal(buf_cstr(&f.body), "xyz");
    assert_string_equal(f.targets, "/a /b /c ");
}

static void a_chunked_body(void **state)
{
    (void)state;
    f.on_request = take;
    struct peer *p = ask("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "3;ext=1\r\nabc\r\nA\r\n0123456789\r\n");
    assert_int_equal(http_exchange_body_length(f.x), -1);
    assert_int_equal(f.body_ends, 0);
    peer_send(p, "0\r\nTrailer: x\r\n\r\n");
    loop_settle(&f.t);
    assert_int_equal(f.body_ends, 1);
    assert_string_equal(buf_cstr(&f.body), "abc0123456789");
    assert_null(http_head_get(http_exchange_head(f.x), "trailer"));
    reply(f.x);
    loop_settle(&f.t);
    assert_text(p, HELLO);
}

static void what_a_handler_can_ask(void **state)
{
    (void)state;
    f.on_request = take;
    ask("PUT /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nX: y\r\n\r\n");
    assert_string_equal(http_exchange_method(f.x), "PUT");
    assert_string_equal(http_exchange_target(f.x), "/a?b");
    assert_string_equal(http_exchange_peer(f.x), "unix");
    assert_string_equal(http_head_get(http_exchange_head(f.x), "x"), "y");
    assert_int_equal(http_exchange_body_length(f.x), 4);
    assert_false(http_exchange_is_head(f.x));
    assert_false(http_exchange_begun(f.x));
    assert_int_equal(http_exchange_pending(f.x), 0);
    http_exchange_begin(f.x, 200, HTTP_STREAMED);
    assert_true(http_exchange_begun(f.x));
}

static void a_whole_url_is_as_good_as_a_path(void **state)
{
    static const char *const cases[][2] = {
        {"http://a/b?c", "/b?c"},
        {"HTTPS://a:1/b", "/b"},
        {"http://a", "/"},
        {"http://a?c", "/?c"},
        {"http://a/", "/"},
        {"http://a?c=/d", "/?c=/d"},
        {"/http://a/b", "/http://a/b"},
        {"*", "*"},
    };
    (void)state;
    f.on_request = take;
    struct peer *p = peer_connect(&f.t);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[128];
        snprintf(text, sizeof text, "OPTIONS %s HTTP/1.1\r\nHost: a\r\n\r\n", cases[i][0]);
        peer_send(p, text);
        loop_settle(&f.t);
        assert_string_equal(http_exchange_target(f.x), cases[i][1]);
        reply(f.x);
        loop_settle(&f.t);
    }
}

static void skip_and_take(struct http_exchange *x)
{
    http_exchange_skip_target(x, 4);
    take(x);
}

static void a_part_of_the_target_can_be_skipped(void **state)
{
    (void)state;
    f.on_request = skip_and_take;
    struct peer *p = ask(GET("/pre/a?b"));
    assert_string_equal(http_exchange_target(f.x), "/a?b");
    reply(f.x);
    peer_send(p, GET("/two/b")); /* and the next one is whole again */
    loop_settle(&f.t);
    assert_string_equal(f.targets, "/pre/a?b /two/b ");
}

static void no_body_has_length_zero(void **state)
{
    (void)state;
    f.on_request = take;
    ask(GET("/"));
    assert_int_equal(http_exchange_body_length(f.x), 0);
    assert_int_equal(f.body_ends, 1);
}

static void stream(struct http_exchange *x)
{
    http_exchange_begin(x, 200, HTTP_STREAMED);
    http_exchange_raw_fields(x, "A: b\r\nC: d\r\n");
    http_exchange_head_end(x);
    http_exchange_write(x, "abc", 3);
    http_exchange_write(x, "", 0); /* would be the last chunk */
    http_exchange_write(x, "0123456789abcdef", 16);
    http_exchange_end(x);
}

static void a_streamed_answer_is_chunked(void **state)
{
    (void)state;
    f.on_request = stream;
    struct peer *p = ask(GET("/"));
    assert_text(p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\nC: d\r\n\r\n"
                   "3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n");
    assert_false(p->ended);
}

static void nothing_is_sent_before_a_flush(void **state)
{
    (void)state;
    f.on_request = take;
    struct peer *p = ask(GET("/"));
    http_exchange_begin(f.x, 200, 2);
    http_exchange_head_end(f.x);
    http_exchange_write(f.x, "a", 1);
    loop_settle(&f.t);
    assert_int_equal(p->in.len, 0);
    http_exchange_flush(f.x);
    loop_settle(&f.t);
    assert_true(peer_has(p, "\r\n\r\na"));
}

static void head_has_no_body(void **state)
{
    (void)state;
    struct peer *p = ask("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" GET("/b"));
    assert_text(p,
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\n" HELLO);
}

static void a_streamed_answer_to_head(void **state)
{
    (void)state;
    f.on_request = stream;
    struct peer *p = ask("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_text(p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\nC: d\r\n\r\n");
    assert_false(p->ended);
}

static void reply_204(struct http_exchange *x)
{
    http_exchange_reply(x, 204, NULL, "", 0, NULL);
}

static void no_content(void **state)
{
    (void)state;
    f.on_request = reply_204;
    struct peer *p = ask(GET("/a") GET("/b"));
    assert_text(p, "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
}

static void reply_503(struct http_exchange *x)
{
    http_exchange_reply(x, 503, NULL, "", 0, "Retry-After: 1\r\n");
}

static void more_fields_and_a_reason_in_words(void **state)
{
    (void)state;
    f.on_request = reply_503;
    struct peer *p = ask(GET("/"));
    assert_text(p, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
                   "Retry-After: 1\r\n\r\n");
}

/* --- HTTP/1.0 ---------------------------------------------------------------------------- */

static void http_1_0_closes(void **state)
{
    (void)state;
    struct peer *p = ask("GET / HTTP/1.0\r\n\r\n");
    assert_text(p, HELLO_CLOSE);
    assert_true(p->ended);
}

static void http_1_0_is_kept_when_it_asks(void **state)
{
    (void)state;
    struct peer *p = ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_true(peer_has(p, "Connection: keep-alive\r\n"));
    peer_send(p, "GET /b HTTP/1.0\r\n\r\n");
    loop_settle(&f.t);
    assert_int_equal(f.requests, 2);
    assert_true(p->ended);
}

static void http_1_0_gets_a_stream_without_chunks(void **state)
{
    (void)state;
    f.on_request = stream;
    struct peer *p = ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_text(p, "HTTP/1.1 200 OK\r\nConnection: close\r\nA: b\r\nC: d\r\n\r\n"
                   "abc0123456789abcdef");
    assert_true(p->ended);
}

/* --- Upgrade: not offered, so ignored (RFC 9110, 7.8) ------------------------------------ */

/* As curl --http2 and Java's HttpClient send it with their first request. */
#define H2C                                                                                        \
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"                                      \
    "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"

static void an_offered_upgrade_is_ignored(void **state)
{
    (void)state;
    struct peer *p = ask("GET /a HTTP/1.1\r\nHost: a\r\n" H2C "\r\n");
    assert_true(peer_has(p, "\r\n\r\nhello"));
    assert_int_equal(f.requests, 1);
}

static void the_connection_lives_after_an_offered_upgrade(void **state)
{
    (void)state;
    struct peer *p = ask("GET /a HTTP/1.1\r\nHost: a\r\n" H2C "\r\n");
    if (p->ended && peer_has(p, "Connection: close"))
        return; /* would do as well */
    peer_send(p, GET("/b"));
    loop_settle(&f.t);
    assert_string_equal(f.targets, "/a /b ");
    assert_text(p, HELLO HELLO);
}

static void an_offered_upgrade_with_a_body(void **state)
{
    (void)state;
    f.on_request = take;
    f.on_body_end = reply;
    struct peer *p =
        ask("POST /a HTTP/1.1\r\nHost: a\r\n" H2C "Content-Length: 3\r\n\r\nabc" GET("/b"));
    assert_string_equal(buf_cstr(&f.body), "abc");
    assert_true(peer_has(p, "\r\n\r\nhello"));
    if (p->ended && peer_has(p, "Connection: close"))
        return;
    assert_string_equal(f.targets, "/a /b ");
    assert_text(p, HELLO HELLO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_request),
        TEST(the_connection_is_kept),
        TEST(it_ends_when_the_client_wants_so),
        TEST(byte_by_byte),
        TEST(pipelined_requests_are_answered_in_order),
        TEST(a_pipelined_request_after_a_body),
        TEST(a_chunked_body),
        TEST(what_a_handler_can_ask),
        TEST(a_part_of_the_target_can_be_skipped),
        TEST(a_whole_url_is_as_good_as_a_path),
        TEST(no_body_has_length_zero),
        TEST(a_streamed_answer_is_chunked),
        TEST(nothing_is_sent_before_a_flush),
        TEST(head_has_no_body),
        TEST(a_streamed_answer_to_head),
        TEST(no_content),
        TEST(more_fields_and_a_reason_in_words),
        TEST(http_1_0_closes),
        TEST(http_1_0_is_kept_when_it_asks),
        TEST(http_1_0_gets_a_stream_without_chunks),
        TEST(an_offered_upgrade_is_ignored),
        TEST(the_connection_lives_after_an_offered_upgrade),
        TEST(an_offered_upgrade_with_a_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
