/* SPDX-License-Identifier: MIT */
/* Calls, their answers, and their failures; test_client_calls.c has what the caller does to them.
 */
#include "client_test.h"

/* --- answers ----------------------------------------------------------------------------- */

static void an_answer_with_a_length(void **state)
{
    (void)state;
    struct peer *p = call_fresh(&a);
    assert_string_equal(peer_text(p), REQUEST);
    answer(p, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nab");
    assert_int_equal(a.status, 404);
    assert_int_equal(a.length, 4);
    assert_int_equal(a.flushes, 1);
    assert_int_equal(a.ends, 0);
    answer(p, "cd");
    assert_ended(&a, "abcd");
}

static void an_answer_in_chunks(void **state)
{
    (void)state;
    struct peer *p = call_fresh(&a);
    answer(p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
    assert_int_equal(a.length, -1);
    answer(p, "1\r\nc\r\n0\r\nTrailer: x\r\n\r\n");
    assert_ended(&a, "abc");
}

static void an_answer_until_the_end_of_the_connection(void **state)
{
    (void)state;
    struct peer *p = call_fresh(&a);
    answer(p, "HTTP/1.1 200 OK\r\n\r\nabc");
    assert_int_equal(a.length, -1);
    assert_int_equal(a.ends, 0);
    peer_close(p);
    loop_settle(&t);
    assert_ended(&a, "abc");
    call(&b); /* and that connection is not used again */
    assert_true(origin_is_called(origin));
}

static void byte_by_byte(void **state)
{
    (void)state;
    static const char text[] = OK_2 "ab";
    struct peer *p = call_fresh(&a);
    for (size_t i = 0; i < sizeof text - 1; i++) {
        peer_send_bytes(p, text + i, 1);
        loop_settle(&t);
    }
    assert_ended(&a, "ab");
}

static void interim_answers_are_passed_over(void **state)
{
    (void)state;
    struct peer *p = call_fresh(&a);
    answer(p, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
    assert_int_equal(a.heads, 0);
    answer(p, OK_2 "ab");
    assert_int_equal(a.status, 200);
    assert_ended(&a, "ab");
}

static void head_has_no_body(void **state)
{
    (void)state;
    a.call = http_client_call(client, HTTP_CALL_IS_HEAD, &events, &a);
    loop_settle(&t);
    answer(origin_accept(&t, origin), "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    assert_int_equal(a.length, 1000);
    assert_ended(&a, "");
    call(&b); /* on the same connection */
    assert_false(origin_is_called(origin));
}

static void no_content(void **state)
{
    (void)state;
    answer(call_fresh(&a), "HTTP/1.1 204 No Content\r\n\r\n");
    assert_int_equal(a.status, 204);
    assert_ended(&a, "");
}

/* --- kept connections -------------------------------------------------------------------- */

static void a_connection_is_used_again(void **state)
{
    (void)state;
    struct peer *p = call_fresh(&a);
    answer(p, OK_2 "ab");
    call(&b);
    assert_false(origin_is_called(origin));
    assert_string_equal(peer_text(p), REQUEST REQUEST);
    answer(p, OK_2 "cd");
    assert_ended(&b, "cd");
}

static void the_most_recent_one_first(void **state)
{
    (void)state;
    struct peer *first = call_fresh(&a), *second = call_fresh(&b);
    answer(second, OK_2 "ab");
    answer(first, OK_2 "ab");
    call(&a);
    assert_string_equal(peer_text(first), REQUEST REQUEST);
    assert_string_equal(peer_text(second), REQUEST);
}

static void fresh_means_fresh(void **state)
{
    (void)state;
    answer(call_fresh(&a), OK_2 "ab");
    http_client_call(client, HTTP_CALL_FRESH, &events, &b);
    loop_settle(&t);
    assert_true(origin_is_called(origin));
}

static void not_when_the_origin_closes(void **state)
{
    (void)state;
    struct peer *p = call_fresh(&a);
    answer(p, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab");
    assert_ended(&a, "ab");
    assert_true(p->ended);
}

static void not_when_something_follows_the_answer(void **state)
{
    (void)state;
    struct peer *p = call_fresh(&a);
    answer(p, OK_2 "abHTTP/1.1 200 OK\r\n");
    assert_ended(&a, "ab");
    assert_true(p->ended || p->reset);
}

static void not_when_the_origin_speaks_unasked(void **state)
{
    (void)state;
    struct peer *p = call_fresh(&a);
    answer(p, OK_2 "ab");
    answer(p, OK_2 "xy");
    assert_true(p->ended || p->reset);
    call(&b);
    answer(origin_accept(&t, origin), OK_2 "cd");
    assert_ended(&b, "cd");
}

static void not_when_the_request_is_incomplete(void **state)
{
    (void)state;
    a.is_upload = true;
    struct peer *p = call_fresh(&a);
    http_call_write(a.call, "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n", 38);
    http_call_flush(a.call);
    answer(p, OK_2 "ab");
    assert_ended(&a, "ab");
    assert_true(p->ended);
}

static void not_when_it_was_closed_meanwhile(void **state)
{
    (void)state;
    struct peer *p = call_fresh(&a);
    answer(p, OK_2 "ab");
    peer_close(p);
    loop_settle(&t);
    call(&b);
    answer(origin_accept(&t, origin), OK_2 "cd");
    assert_ended(&b, "cd");
}

/* --- failures ---------------------------------------------------------------------------- */

static void nobody_listens(void **state)
{
    (void)state;
    origin_close(&origin);
    call(&a);
    assert_failed(&a, HTTP_CALL_ABSENT);
    assert_int_equal(a.connected, 0);
}

static void no_socket_is_there(void **state)
{
    (void)state;
    unlink(t.path);
    call(&a);
    assert_failed(&a, HTTP_CALL_ABSENT);
}

static void a_kept_connection_turns_out_to_be_closed(void **state)
{
    (void)state;
    struct peer *p = call_fresh(&a);
    answer(p, OK_2 "ab");
    peer_close(p); /* not seen yet: the loop does not run */
    call(&b);
    assert_failed(&b, HTTP_CALL_STALE);
}

/* Whether the request was read decides whether it may be made again. */
static void a_kept_connection_closes_without_reading(void **state)
{
    (void)state;
    struct peer *p = call_fresh(&a);
    answer(p, OK_2 "ab");
    p->deaf = true;
    call(&b);
    peer_close(p);
    loop_settle(&t);
    assert_failed(&b, HTTP_CALL_STALE);
}

static void a_kept_connection_closes_after_reading(void **state)
{
    (void)state;
    struct peer *p = call_fresh(&a);
    answer(p, OK_2 "ab");
    call(&b);
    peer_close(p);
    loop_settle(&t);
    assert_failed(&b, HTTP_CALL_NO_ANSWER);
}

static void a_fresh_connection_closes_without_reading(void **state)
{
    (void)state;
    call(&a);
    int fd = accept(origin, NULL, NULL);
    assert_true(fd >= 0);
    close(fd);
    loop_settle(&t);
    assert_failed(&a, HTTP_CALL_NOT_SENT);
}

static void a_fresh_connection_closes_after_reading(void **state)
{
    (void)state;
    peer_close(call_fresh(&a));
    loop_settle(&t);
    assert_failed(&a, HTTP_CALL_NO_ANSWER);
}

/* An engine that refuses a body (too large) answers, and closes while we still send. */
static void an_early_answer_is_not_lost_to_a_write_error(void **state)
{
    (void)state;
    a.is_upload = true;
    struct peer *p = call_fresh(&a);
    http_call_write(a.call, "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n", 38);
    http_call_flush(a.call);
    loop_settle(&t);
    peer_send(p, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    peer_close(p);
    http_call_write(a.call, "abc", 3); /* before the loop has seen it */
    http_call_flush(a.call);
    loop_settle(&t);
    assert_int_equal(a.status, 413);
    assert_ended(&a, "no");
}

static void broken(const char *text)
{
    struct peer *p = call_fresh(&a);
    answer(p, text);
    peer_close(p);
    loop_settle(&t);
    assert_failed(&a, HTTP_CALL_BROKEN);
}

static void cut_in_its_head(void **state)
{
    (void)state;
    broken("HTTP/1.1 200 O");
}

static void cut_in_its_body(void **state)
{
    (void)state;
    broken(OK_2 "a");
}

static void cut_in_its_chunks(void **state)
{
    (void)state;
    broken("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
}

static void cut_after_an_interim_answer(void **state)
{
    (void)state;
    broken("HTTP/1.1 100 Continue\r\n\r\n");
}

static void garbage(void **state)
{
    (void)state;
    broken("hello\r\n\r\n");
}

static void another_protocol(void **state)
{
    (void)state;
    broken("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
}

static void a_head_too_large(void **state)
{
    (void)state;
    struct peer *p = call_fresh(&a);
    peer_send(p, "HTTP/1.1 200 OK\r\nX: ");
    peer_send_fill(p, 70000);
    loop_settle(&t);
    assert_failed(&a, HTTP_CALL_BROKEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_answer_with_a_length),
        TEST(an_answer_in_chunks),
        TEST(an_answer_until_the_end_of_the_connection),
        TEST(byte_by_byte),
        TEST(interim_answers_are_passed_over),
        TEST(head_has_no_body),
        TEST(no_content),
        TEST(a_connection_is_used_again),
        TEST(the_most_recent_one_first),
        TEST(fresh_means_fresh),
        TEST(not_when_the_origin_closes),
        TEST(not_when_something_follows_the_answer),
        TEST(not_when_the_origin_speaks_unasked),
        TEST(not_when_the_request_is_incomplete),
        TEST(not_when_it_was_closed_meanwhile),
        TEST(nobody_listens),
        TEST(no_socket_is_there),
        TEST(a_kept_connection_turns_out_to_be_closed),
        TEST(a_kept_connection_closes_without_reading),
        TEST(a_kept_connection_closes_after_reading),
        TEST(a_fresh_connection_closes_without_reading),
        TEST(a_fresh_connection_closes_after_reading),
        TEST(an_early_answer_is_not_lost_to_a_write_error),
        TEST(cut_in_its_head),
        TEST(cut_in_its_body),
        TEST(cut_in_its_chunks),
        TEST(cut_after_an_interim_answer),
        TEST(garbage),
        TEST(another_protocol),
        TEST(a_head_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
