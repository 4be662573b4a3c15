/* SPDX-License-Identifier: MIT */
/* Cancelling, closing, back-pressure, and no more connections than allowed. */
#include "client_test.h"

/* --- cancelling and closing -------------------------------------------------------------- */

static void cancel_closes_the_connection(void **state)
{
    (void)state;
    struct peer *p = call_fresh(&a);
    http_call_cancel(a.call);
    loop_settle(&t);
    assert_true(p->ended);
    assert_int_equal(a.ends + a.fails, 0);
}

static void cancel_before_it_stands(void **state)
{
    (void)state;
    a.call = http_client_call(client, 0, &events, &a);
    http_call_cancel(a.call);
    loop_settle(&t);
    assert_int_equal(a.connected + a.ends + a.fails, 0);
}

static void cancel_at_the_head(void **state)
{
    (void)state;
    a.cancels = true;
    struct peer *p = call_fresh(&a);
    answer(p, OK_2 "ab");
    assert_int_equal(a.heads, 1);
    assert_int_equal(a.body.len, 0);
    assert_int_equal(a.ends + a.fails + a.flushes, 0);
    assert_true(p->ended);
}

static void cancel_in_the_middle_of_an_answer(void **state)
{
    (void)state;
    struct peer *p = call_fresh(&a);
    answer(p, OK_2 "a");
    http_call_cancel(a.call);
    peer_send(p, "b");
    loop_settle(&t);
    assert_int_equal(a.body.len, 1);
    assert_int_equal(a.ends + a.fails, 0);
}

static void close_fails_the_calls_that_run(void **state)
{
    (void)state;
    struct peer *p = call_fresh(&a);
    answer(p, OK_2 "a");
    b.call = http_client_call(client, 0, &events, &b); /* not connected yet */
    http_client_close(client);
    client = NULL;
    assert_failed(&a, HTTP_CALL_BROKEN);
    assert_failed(&b, HTTP_CALL_NOT_SENT);
    loop_settle(&t);
    assert_true(p->ended);
}

static void close_with_kept_connections(void **state)
{
    (void)state;
    struct peer *p = call_fresh(&a), *q = call_fresh(&b);
    answer(p, OK_2 "ab");
    answer(q, OK_2 "ab");
    http_client_close(client);
    client = NULL;
    loop_settle(&t);
    assert_true(p->ended);
    assert_true(q->ended);
}

static void close_of_none(void **state)
{
    (void)state;
    http_client_close(NULL);
}

/* --- back-pressure ----------------------------------------------------------------------- */

static void a_pause_stops_the_answer(void **state)
{
    (void)state;
    struct peer *p = call_fresh(&a);
    answer(p, "HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n");
    http_call_pause(a.call);
    peer_send_fill(p, 3000000);
    loop_settle(&t);
    assert_int_equal(a.body.len, 0);
    assert_true(p->out.len > 0);
    http_call_resume(a.call);
    UNTIL(&t, a.ends);
    assert_int_equal(a.body.len, 3000000);
}

static void drain_comes_when_the_origin_reads(void **state)
{
    (void)state;
    static char piece[3000000];
    a.is_upload = true;
    struct peer *p = call_fresh(&a);
    p->deaf = true;
    http_call_write(a.call, piece, sizeof piece);
    http_call_flush(a.call);
    loop_settle(&t);
    assert_true(http_call_pending(a.call) > 0);
    assert_int_equal(a.drains, 0);
    p->deaf = false;
    UNTIL(&t, a.drains);
    UNTIL(&t, p->in.len == sizeof piece);
    assert_int_equal(http_call_pending(a.call), 0);
}

static void a_buffer_is_taken_over(void **state)
{
    (void)state;
    struct buf large;
    a.is_upload = true;
    struct peer *p = call_fresh(&a);
    for (size_t len = 1; len <= 3000000; len *= 100) {
        buf_init(&large, BUF_UNBOUNDED);
        assert_int_equal(buf_reserve(&large, len), 0);
        memset(large.data, 'y', len);
        large.len = len;
        http_call_write(a.call, "head", 4);
        http_call_write_take(a.call, &large);
        http_call_write(a.call, "tail", 4);
        http_call_flush(a.call);
        assert_int_equal(large.len, 0);
        assert_null(large.data);
        UNTIL(&t, p->in.len == len + 8);
        assert_memory_equal(p->in.data, "heady", 5);
        assert_memory_equal(p->in.data + len + 3, "ytail", 5);
        buf_clear(&p->in);
    }
}

/* --- no more connections than allowed ---------------------------------------------------- */

static struct told c, d, e;

static void limit(unsigned max)
{
    http_client_close(client);
    client = client_to(&t, max);
    c = d = e = (struct told){0};
    buf_init(&c.body, BUF_UNBOUNDED);
    buf_init(&d.body, BUF_UNBOUNDED);
    buf_init(&e.body, BUF_UNBOUNDED);
}

static void finish_more(void)
{
    buf_finish(&c.body);
    buf_finish(&d.body);
    buf_finish(&e.body);
}

static struct peer *call_as(struct told *told, unsigned flags)
{
    told->call = http_client_call(client, flags, &events, told);
    loop_settle(&t);
    return origin_is_called(origin) ? origin_accept(&t, origin) : NULL;
}

static void more_calls_wait(void **state)
{
    (void)state;
    limit(HTTP_RESERVED + 1);
    struct peer *p = call_as(&a, 0);
    assert_non_null(p);
    assert_null(call_as(&b, 0));
    assert_int_equal(b.connected, 0);
    answer(p, OK_2 "ab");
    assert_ended(&a, "ab");
    assert_int_equal(b.connected, 1); /* on the connection that came free */
    answer(p, OK_2 "cd");
    assert_ended(&b, "cd");
    finish_more();
}

static void a_limit_below_the_reserve_still_lets_one_through(void **state)
{
    (void)state;
    limit(1);
    assert_non_null(call_as(&a, 0));
    assert_null(call_as(&b, 0));
    finish_more();
}

static void urgent_calls_have_their_own(void **state)
{
    (void)state;
    limit(HTTP_RESERVED + 1);
    assert_non_null(call_as(&a, 0));
    assert_null(call_as(&b, 0));
    assert_non_null(call_as(&c, HTTP_CALL_URGENT));
    assert_non_null(call_as(&d, HTTP_CALL_URGENT));
    assert_null(call_as(&e, HTTP_CALL_URGENT));
    http_call_cancel(d.call);
    loop_settle(&t);
    assert_int_equal(e.connected, 1); /* before b, which came earlier */
    assert_int_equal(b.connected, 0);
    finish_more();
}

static void a_call_that_waits_can_be_cancelled(void **state)
{
    (void)state;
    limit(HTTP_RESERVED + 1);
    struct peer *p = call_as(&a, 0);
    assert_null(call_as(&b, 0));
    http_call_cancel(b.call);
    answer(p, OK_2 "ab");
    loop_settle(&t);
    assert_int_equal(b.connected + b.fails, 0);
    finish_more();
}

static void close_fails_the_calls_that_wait(void **state)
{
    (void)state;
    limit(HTTP_RESERVED + 1);
    call_as(&a, 0);
    assert_null(call_as(&b, 0));
    http_client_close(client);
    client = NULL;
    assert_failed(&b, HTTP_CALL_NOT_SENT);
    assert_int_equal(b.connected, 0);
    finish_more();
}

static void waiting_calls_survive_the_end_of_the_origin(void **state)
{
    (void)state;
    limit(HTTP_RESERVED + 1);
    struct peer *p = call_as(&a, 0);
    assert_null(call_as(&b, 0));
    origin_close(&origin);
    peer_close(p);
    loop_settle(&t);
    assert_int_equal(a.fails, 1);
    assert_failed(&b, HTTP_CALL_ABSENT);
    finish_more();
}

/* Idle connections must not keep a call waiting. */
static void kept_connections_make_room(void **state)
{
    (void)state;
    struct told *const calls[] = {&a, &b, &c, &d};
    struct peer *p[4];
    limit(HTTP_RESERVED + 2);
    for (int i = 0; i < 4; i++)
        p[i] = call_as(calls[i], i < 2 ? 0 : HTTP_CALL_URGENT);
    for (int i = 0; i < 4; i++) {
        assert_non_null(p[i]);
        answer(p[i], OK_2 "ab");
        assert_int_equal(calls[i]->ends, 1);
    }
    assert_non_null(call_as(&e, HTTP_CALL_FRESH));
    finish_more();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(cancel_closes_the_connection),
        TEST(cancel_before_it_stands),
        TEST(cancel_at_the_head),
        TEST(cancel_in_the_middle_of_an_answer),
        TEST(close_fails_the_calls_that_run),
        TEST(close_with_kept_connections),
        TEST(close_of_none),
        TEST(a_pause_stops_the_answer),
        TEST(drain_comes_when_the_origin_reads),
        TEST(a_buffer_is_taken_over),
        TEST(more_calls_wait),
        TEST(a_limit_below_the_reserve_still_lets_one_through),
        TEST(urgent_calls_have_their_own),
        TEST(a_call_that_waits_can_be_cancelled),
        TEST(close_fails_the_calls_that_wait),
        TEST(waiting_calls_survive_the_end_of_the_origin),
        TEST(kept_connections_make_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
