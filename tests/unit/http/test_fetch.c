/* SPDX-License-Identifier: MIT */
/* Small requests of our own; the origin is a unix socket whose connections the test plays itself. */
#include "loop_test.h"

#include "http/fetch.h"
#include "origin_test.h"

#define LENGTH_MAX 100
#define OK_2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"

static struct loop_test t;
static struct http_client *client;
static struct http_fetch *fetch;
static int origin;
static unsigned dones;
static int status;
static struct buf body;

static void on_done(int its_status, const char *data, size_t len, void *ctx)
{
    assert_ptr_equal(ctx, &dones);
    assert_int_equal(data[len], '\0');
    assert_int_equal(buf_append(&body, data, len), 0);
    status = its_status;
    fetch = NULL;
    dones++;
}

static int set_up(void **state)
{
    (void)state;
    loop_test_init(&t);
    origin = listen_at(t.path, 16);
    client = client_to(&t, 0);
    buf_init(&body, BUF_UNBOUNDED);
    dones = 0;
    status = -1;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    http_client_close(client);
    origin_close(&origin);
    loop_test_finish(&t);
    buf_finish(&body);
    return 0;
}

static void start(const char *method, const char *request_body, uint64_t timeout_ms)
{
    fetch = http_fetch(&t.loop, client,
                       &(struct http_fetch_request){.method = method,
                                                    .target = "/a?b",
                                                    .body = request_body,
                                                    .max = LENGTH_MAX,
                                                    .timeout_ms = timeout_ms},
                       on_done, &dones);
    assert_int_equal(dones, 0);
}

static struct peer *begin(const char *method, const char *request_body)
{
    start(method, request_body, LIMIT_MS);
    loop_settle(&t);
    return origin_accept(&t, origin);
}

static void answer(struct peer *p, const char *text)
{
    peer_send(p, text);
    loop_settle(&t);
}

static void assert_done(int wanted, const char *text)
{
    assert_int_equal(dones, 1);
    assert_int_equal(status, wanted);
    assert_string_equal(buf_cstr(&body), text);
}

/* --- answers ----------------------------------------------------------------------------------- */

static void a_request_with_a_body(void **state)
{
    (void)state;
    struct peer *p = begin("POST", "{\"a\":1}");
    assert_string_equal(peer_text(p), "POST /a?b HTTP/1.1\r\nHost: localhost\r\n"
                                      "Content-Type: application/json\r\n"
                                      "Content-Length: 7\r\n\r\n{\"a\":1}");
    answer(p, OK_2);
    assert_done(200, "ab");
}

static void a_request_without_one(void **state)
{
    (void)state;
    struct peer *p = begin("DELETE", NULL);
    assert_string_equal(peer_text(p), "DELETE /a?b HTTP/1.1\r\nHost: localhost\r\n"
                                      "Content-Length: 0\r\n\r\n");
    answer(p, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_done(204, "");
}

static void an_error_is_an_answer(void **state)
{
    (void)state;
    answer(begin("GET", NULL), "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nwait");
    assert_done(503, "wait");
}

static void pieces_and_chunks(void **state)
{
    (void)state;
    struct peer *p = begin("GET", NULL);
    answer(p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na");
    answer(p, "bc\r\n1\r\nd\r\n");
    assert_int_equal(dones, 0);
    answer(p, "0\r\n\r\n");
    assert_done(200, "abcd");
}

static void the_connection_is_kept(void **state)
{
    (void)state;
    struct peer *p = begin("GET", NULL);
    answer(p, OK_2);
    assert_false(p->ended);
}

static void as_long_as_it_may_be(void **state)
{
    (void)state;
    char text[LENGTH_MAX + 1] = "";
    struct peer *p = begin("GET", NULL);
    answer(p, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
    peer_send_fill(p, LENGTH_MAX);
    loop_settle(&t);
    memset(text, 'x', LENGTH_MAX);
    assert_done(200, text);
}

/* --- no answer --------------------------------------------------------------------------------- */

static void one_that_is_too_long_is_not_read_to_its_end(void **state)
{
    (void)state;
    struct peer *p = begin("GET", NULL);
    answer(p, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    peer_send_fill(p, LENGTH_MAX + 1);
    loop_settle(&t);
    assert_int_equal(dones, 1);
    assert_int_equal(status, 0);
    assert_true(p->ended || p->reset);
}

static void nobody_listens(void **state)
{
    (void)state;
    origin_close(&origin);
    start("GET", NULL, LIMIT_MS);
    loop_settle(&t);
    assert_done(0, "");
}

static void it_breaks_off(void **state)
{
    (void)state;
    struct peer *p = begin("GET", NULL);
    answer(p, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na");
    peer_close(p);
    loop_settle(&t);
    assert_int_equal(dones, 1);
    assert_int_equal(status, 0);
}

static void no_http(void **state)
{
    (void)state;
    answer(begin("GET", NULL), "hello\r\n\r\n");
    assert_done(0, "");
}

static void it_does_not_come_in_time(void **state)
{
    (void)state;
    start("GET", NULL, 1);
    UNTIL(&t, dones);
    assert_done(0, "");
}

static void the_client_closes(void **state)
{
    (void)state;
    begin("GET", NULL);
    http_client_close(client);
    client = NULL;
    assert_int_equal(dones, 0); /* not in the stack of who closes it */
    loop_settle(&t);
    assert_done(0, "");
}

/* --- cancelling -------------------------------------------------------------------------------- */

static void cancelled_at_once(void **state)
{
    (void)state;
    start("GET", NULL, LIMIT_MS);
    assert_ptr_equal(http_fetch_cancel(fetch), &dones);
    loop_settle(&t);
    assert_int_equal(dones, 0);
}

static void cancelled_while_it_waits(void **state)
{
    (void)state;
    struct peer *p = begin("GET", NULL);
    http_fetch_cancel(fetch);
    loop_settle(&t);
    assert_true(p->ended);
    assert_int_equal(dones, 0);
}

/* Its answer is there, and not told yet. */
static void cancelled_between_its_end_and_its_word(void **state)
{
    (void)state;
    begin("GET", NULL);
    http_client_close(client);
    client = NULL;
    http_fetch_cancel(fetch);
    loop_settle(&t);
    assert_int_equal(dones, 0);
}

static void it_goes_before_those_who_wait_for_a_connection(void **state)
{
    (void)state;
    http_client_close(client);
    client = client_to(&t, 1);
    struct peer *p = begin("GET", NULL); /* has the only one */
    start("GET", NULL, LIMIT_MS);
    loop_settle(&t);
    assert_false(origin_is_called(origin));
    answer(p, OK_2);
    assert_int_equal(dones, 1);
    answer(origin_accept(&t, origin), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nc");
    assert_int_equal(dones, 2);
    assert_string_equal(buf_cstr(&body), "abc");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_with_a_body),
        TEST(a_request_without_one),
        TEST(an_error_is_an_answer),
        TEST(pieces_and_chunks),
        TEST(the_connection_is_kept),
        TEST(as_long_as_it_may_be),
        TEST(one_that_is_too_long_is_not_read_to_its_end),
        TEST(nobody_listens),
        TEST(it_breaks_off),
        TEST(no_http),
        TEST(it_does_not_come_in_time),
        TEST(the_client_closes),
        TEST(cancelled_at_once),
        TEST(cancelled_while_it_waits),
        TEST(cancelled_between_its_end_and_its_word),
        TEST(it_goes_before_those_who_wait_for_a_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
