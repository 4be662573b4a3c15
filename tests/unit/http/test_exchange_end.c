/* SPDX-License-Identifier: MIT */
/* What is told of each exchange when it is over. */
#include "server_test.h"

#define GET "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"

static struct {
    unsigned n;
    enum http_end end;
    struct http_figures figures;
    void *note;
    char target[32];
} ended;

static int note;

static void on_end(struct http_exchange *x, enum http_end end, void *ctx)
{
    assert_ptr_equal(ctx, &f);
    ended.n++;
    ended.end = end;
    http_exchange_figures(x, &ended.figures);
    ended.note = http_exchange_note(x);
    if (http_exchange_head(x)->complete)
        snprintf(ended.target, sizeof ended.target, "%s", http_exchange_target(x));
}

static int set_up_end(void **state)
{
    memset(&ended, 0, sizeof ended);
    set_up(state);
    http_server_on_end(f.server, on_end);
    return 0;
}

static void mark_and_reply(struct http_exchange *x)
{
    http_exchange_set_tag(x, 7);
    http_exchange_set_note(x, &note);
    reply(x);
}

static void an_answer(void **state)
{
    (void)state;
    f.on_request = mark_and_reply;
    ask(GET);
    assert_int_equal(ended.n, 1);
    assert_int_equal(ended.end, HTTP_END_ANSWERED);
    assert_int_equal(ended.figures.status, 200);
    assert_int_equal(ended.figures.body_in, 0);
    assert_int_equal(ended.figures.body_out, 5);
    assert_int_equal(ended.figures.tag, 7);
    assert_ptr_equal(ended.note, &note);
    assert_string_equal(ended.target, "/a");
}

static void each_request_begins_without_marks(void **state)
{
    (void)state;
    f.on_request = mark_and_reply;
    struct peer *p = ask(GET);
    f.on_request = reply;
    peer_send(p, GET);
    loop_settle(&f.t);
    assert_int_equal(ended.n, 2);
    assert_int_equal(ended.figures.tag, 0);
    assert_null(ended.note);
}

static void stream_after_body(struct http_exchange *x)
{
    http_exchange_begin(x, 201, HTTP_STREAMED);
    http_exchange_head_end(x);
    http_exchange_write(x, "abc", 3);
    http_exchange_write(x, "defg", 4);
    http_exchange_end(x);
}

static void bodies_are_counted_without_framing(void **state)
{
    (void)state;
    f.on_request = take;
    f.on_body_end = stream_after_body;
    ask("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
        "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    assert_int_equal(ended.n, 1);
    assert_int_equal(ended.figures.status, 201);
    assert_int_equal(ended.figures.body_in, 5);
    assert_int_equal(ended.figures.body_out, 7);
}

static void head_counts_no_body(void **state)
{
    (void)state;
    ask("HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(ended.n, 1);
    assert_int_equal(ended.figures.body_out, 0);
    assert_true(ended.figures.is_head);
}

static void begin_and_abort(struct http_exchange *x)
{
    http_exchange_begin(x, 200, 100);
    http_exchange_head_end(x);
    http_exchange_write(x, "abc", 3);
    http_exchange_abort(x);
}

static void an_answer_that_is_broken_off(void **state)
{
    (void)state;
    f.on_request = begin_and_abort;
    ask(GET);
    assert_int_equal(ended.n, 1);
    assert_int_equal(ended.end, HTTP_END_ABORTED);
    assert_int_equal(ended.figures.body_out, 3);
}

static void a_client_that_leaves(void **state)
{
    (void)state;
    f.on_request = take;
    struct peer *p = ask(GET);
    assert_int_equal(ended.n, 0);
    peer_close(p);
    loop_settle(&f.t);
    assert_int_equal(ended.n, 1);
    assert_int_equal(ended.end, HTTP_END_CLIENT_GONE);
    assert_int_equal(ended.figures.status, 0);
    assert_int_equal(f.gones, 1);
}

/* Its bytes may be read later, or never: it is over for us. */
static void a_client_that_leaves_after_its_answer(void **state)
{
    (void)state;
    struct peer *p = ask(GET);
    peer_close(p);
    loop_settle(&f.t);
    assert_int_equal(ended.n, 1);
    assert_int_equal(ended.end, HTTP_END_ANSWERED);
}

static void no_http(void **state)
{
    (void)state;
    ask("nonsense\r\n\r\n");
    assert_int_equal(ended.n, 1);
    assert_int_equal(ended.end, HTTP_END_ANSWERED);
    assert_int_equal(ended.figures.status, 400);
    assert_string_equal(ended.target, "");
}

static void a_connection_without_a_request(void **state)
{
    (void)state;
    struct peer *p = ask("GET /a HT");
    peer_close(p);
    loop_settle(&f.t);
    assert_int_equal(ended.n, 0);
}

static void take_and_outlive(struct http_exchange *x)
{
    take(x);
    http_exchange_outlive(x);
}

static void one_that_outlives_its_client(void **state)
{
    (void)state;
    f.on_request = take_and_outlive;
    struct peer *p = ask(GET);
    peer_close(p);
    loop_settle(&f.t);
    assert_int_equal(ended.n, 0);
    reply(f.x);
    assert_int_equal(ended.n, 1);
    assert_int_equal(ended.end, HTTP_END_ANSWERED);
    assert_int_equal(ended.figures.body_out, 5);
    f.x = NULL;
}

#define TEST_END(name) cmocka_unit_test_setup_teardown(name, set_up_end, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_END(an_answer),
        TEST_END(each_request_begins_without_marks),
        TEST_END(bodies_are_counted_without_framing),
        TEST_END(head_counts_no_body),
        TEST_END(an_answer_that_is_broken_off),
        TEST_END(a_client_that_leaves),
        TEST_END(a_client_that_leaves_after_its_answer),
        TEST_END(no_http),
        TEST_END(a_connection_without_a_request),
        TEST_END(one_that_outlives_its_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
