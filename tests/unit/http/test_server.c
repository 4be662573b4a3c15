/* SPDX-License-Identifier: MIT */
/* How a server stops; test_listener.c has where it listens. */
#include "server_test.h"

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

static void busy_counts_exchanges(void **state)
{
    (void)state;
    struct peer *idle = peer_connect(&f.t);
    f.on_request = take;
    ask(GET);
    assert_int_equal(http_server_busy(f.server), 1);
    reply(f.x);
    loop_settle(&f.t);
    assert_int_equal(http_server_busy(f.server), 0);
    assert_false(idle->ended);
}

static void quiesce_lets_exchanges_end(void **state)
{
    (void)state;
    struct peer *idle = ask(GET);
    f.on_request = take;
    struct peer *p = ask(GET);
    http_server_quiesce(f.server);
    http_server_quiesce(f.server);
    loop_settle(&f.t);
    assert_true(idle->ended);
    assert_false(p->ended);
    assert_int_equal(access(f.t.path, F_OK), -1); /* nobody new */
    assert_int_equal(http_server_busy(f.server), 1);
    reply(f.x);
    loop_settle(&f.t);
    assert_text(p, HELLO_CLOSE);
    assert_true(p->ended);
    assert_int_equal(http_server_busy(f.server), 0);
}

static void quiesce_lets_a_head_come_in(void **state)
{
    (void)state;
    struct peer *p = ask("GET / HTTP/1.1\r\nHost:");
    http_server_quiesce(f.server);
    loop_settle(&f.t);
    peer_send(p, " a\r\n\r\n");
    loop_settle(&f.t);
    assert_text(p, HELLO_CLOSE);
    assert_true(p->ended);
}

static void reply_large(struct http_exchange *x)
{
    static char body[3000000];
    http_exchange_reply(x, 200, NULL, body, sizeof body, NULL);
}

static void quiesce_lets_a_written_answer_arrive(void **state)
{
    (void)state;
    struct peer *p = peer_connect(&f.t);
    p->deaf = true;
    f.on_request = reply_large;
    peer_send(p, GET);
    loop_settle(&f.t);
    assert_int_equal(http_server_busy(f.server), 1); /* ended, but not sent yet */
    http_server_quiesce(f.server);
    loop_settle(&f.t);
    p->deaf = false;
    UNTIL(&f.t, p->ended || p->reset || p->in.len > 3000000);
    assert_true(p->in.len > 3000000);
    UNTIL(&f.t, p->ended);
    assert_int_equal(http_server_busy(f.server), 0);
}

static void busy_counts_what_is_not_sent_yet(void **state)
{
    (void)state;
    struct peer *p = peer_connect(&f.t);
    p->deaf = true;
    f.on_request = take;
    peer_send(p, GET);
    loop_settle(&f.t);
    http_server_quiesce(f.server);
    reply_large(f.x); /* says Connection: close, so our side is shut when it is out */
    loop_settle(&f.t);
    assert_int_equal(http_server_busy(f.server), 1);
    p->deaf = false;
    UNTIL(&f.t, p->ended);
    assert_true(p->in.len > 3000000);
    assert_int_equal(http_server_busy(f.server), 0);
}

static void close_ends_open_exchanges(void **state)
{
    (void)state;
    f.on_request = take;
    struct peer *idle = peer_connect(&f.t);
    struct peer *p = ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
    close_server();
    assert_int_equal(f.gones, 1);
    loop_settle(&f.t);
    assert_true(p->ended || p->reset);
    assert_true(idle->ended);
}

static void close_without_a_listener_and_without_a_word(void **state)
{
    (void)state;
    struct http_server *s = http_server_create(&f.t.loop, handle, &f);
    http_server_close(s, NULL, NULL);
    loop_settle(&f.t); /* leaks and handles left open are found at the end */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(busy_counts_exchanges),
        TEST(quiesce_lets_exchanges_end),
        TEST(quiesce_lets_a_head_come_in),
        TEST(quiesce_lets_a_written_answer_arrive),
        TEST(busy_counts_what_is_not_sent_yet),
        TEST(close_ends_open_exchanges),
        TEST(close_without_a_listener_and_without_a_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
