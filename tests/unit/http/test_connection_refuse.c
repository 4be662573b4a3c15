/* SPDX-License-Identifier: MIT */
/* What is no HTTP, or not ours, or too large; and above all what others might read differently. */
#include "server_test.h"

static void assert_refused(struct peer *p, int status)
{
    char line[32];
    snprintf(line, sizeof line, "HTTP/1.1 %d ", status);
    if (strncmp(peer_text(p), line, strlen(line)) != 0)
        fail_msg("not %d: %.300s", status, peer_text(p));
    assert_true(peer_has(p, "\r\nConnection: close\r\n"));
    assert_true(peer_has(p, "\"type\":\"invalid_request_error\""));
    assert_true(p->ended);
    assert_false(p->reset);
}

static void a_head_too_large(void **state)
{
    (void)state;
    struct peer *p = peer_connect(&f.t);
    peer_send(p, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    peer_send_fill(p, 70000);
    loop_settle(&f.t);
    assert_refused(p, 431);
    assert_true(peer_has(p, "64 KiB and 128 fields"));
    assert_int_equal(f.requests, 0);
}

static void too_many_fields(void **state)
{
    (void)state;
    struct peer *p = peer_connect(&f.t);
    peer_send(p, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 129; i++)
        peer_send(p, "A: b\r\n");
    peer_send(p, "\r\n");
    loop_settle(&f.t);
    assert_refused(p, 431);
}

/* Whichever byte it is that is one too many, the answer is the same. */
static void a_head_about_as_large_as_allowed(void **state)
{
    (void)state;
    const size_t host = sizeof "Host" + sizeof "a";
    for (size_t len = HTTP_HEAD_MAX - host - 6; len <= HTTP_HEAD_MAX - host + 2; len++) {
        struct peer *p = peer_connect(&f.t);
        peer_send(p, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
        peer_send_fill(p, len);
        peer_send(p, "\r\n\r\n");
        loop_settle(&f.t);
        if (f.requests)
            assert_text(p, HELLO);
        else
            assert_refused(p, 431);
        f.requests = 0;
    }
}

static void a_target_too_large(void **state)
{
    (void)state;
    struct peer *p = peer_connect(&f.t);
    peer_send(p, "GET /");
    peer_send_fill(p, HTTP_HEAD_MAX - 1);
    peer_send(p, " HTTP/1.1\r\n\r\n");
    loop_settle(&f.t);
    assert_refused(p, 431);
}

static void trailers_are_no_head(void **state)
{
    (void)state;
    f.on_request = take;
    f.on_body_end = reply;
    struct peer *p = peer_connect(&f.t);
    peer_send(p, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n");
    for (int i = 0; i < 200; i++)
        peer_send(p, "A: b\r\n");
    peer_send(p, "\r\n");
    loop_settle(&f.t);
    assert_text(p, HELLO);
}

static const char *const bad[] = {
    "hello\r\n\r\n",
    "\x16\x03\x01\x02\x01\x01", /* a TLS greeting */
    "GET\r\n\r\n",
    "get / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1x\r\n\r\n",
    "GET / HTTP/2.0\r\n\r\n",
    "GET / HTTP/0.9\r\n\r\n",
    "GET /\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nNo colon\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n: no name\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nA\x01: b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nA: b\x01\r\n\r\n",
    /* Where one message ends must be the same for everybody on the way (request smuggling). */
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: "
    "chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: "
    "1\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\na",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\na",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 1\r\n\r\na",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\na",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 1\r\n\r\na",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
};

static void no_http(void **state)
{
    (void)state;
    unsigned accepted = 0;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        f.requests = f.t.n_peers = 0;
        struct peer *p = ask(bad[i]);
        if (f.requests) {
            print_error("accepted: %s\n", bad[i]);
            accepted++;
        } else {
            assert_refused(p, 400);
        }
        peer_close(p);
        buf_finish(&p->in);
        buf_finish(&p->out);
    }
    assert_int_equal(accepted, 0);
}

/* A field without a name has none to be found by; an offset left over from an earlier request
 * would point anywhere. */
static void an_empty_name_is_no_leftover(void **state)
{
    (void)state;
    struct peer *p = peer_connect(&f.t);
    peer_send(p, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    peer_send_fill(p, 60000);
    peer_send(p, "\r\nY: z\r\n\r\n");
    loop_settle(&f.t);
    assert_text(p, HELLO);
    f.on_request = take;
    peer_send(p, "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n: c\r\n\r\n");
    loop_settle(&f.t);
    if (f.x)
        assert_null(http_head_get(http_exchange_head(f.x), "absent"));
    else
        assert_true(peer_has(p, HELLO "HTTP/1.1 400 "));
}

static void the_reason_is_told(void **state)
{
    (void)state;
    struct peer *p = ask("GET / HTTP/2.0\r\n\r\n");
    assert_refused(p, 400);
    assert_false(peer_has(p, "callback")); /* llhttp's own affairs */
}

/* More than INT64_MAX: it must not turn into a negative one, which means chunked. */
/* Who speaks another protocol here is told which one to speak. */
static void other_protocols_are_named(void **state)
{
    (void)state;
    struct peer *p = ask("\x16\x03\x01\x02\x01\x01");
    assert_refused(p, 400);
    assert_true(peer_has(p, "this port speaks plain HTTP"));
    p = ask("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_refused(p, 400);
    assert_true(peer_has(p, "HTTP/2 is not spoken here"));
}

static void a_length_beyond_all_bounds(void **state)
{
    (void)state;
    f.on_request = take;
    struct peer *p =
        ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n");
    if (f.x)
        assert_true(http_exchange_body_length(f.x) > 0);
    else
        assert_refused(p, 400);
}

static const char *const forbidden[] = {
    /* RFC 9112, 3.2: exactly one Host, and one that is a host */
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nhOST: b\r\n\r\n",
    "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n",
    /* 5.1: blanks in a name, or behind it */
    "GET / HTTP/1.1\r\nHost: a\r\nX Y: b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX Y:\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX\t: y\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX  : y\r\n\r\n",
    /* 5.2: a field that is folded */
    "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\nD: e\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\tc\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nA:\r\n c\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n \r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nA:\r\n \r\nB: c\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nA:\r\n \t \r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nA: \r\n\t\r\n\r\n",
    "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
    /* 6.1: HTTP/1.0 knows no chunks */
    "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    /* 2.3: another protocol */
    "GET / RTSP/1.0\r\nHost: a\r\n\r\n",
    "OPTIONS / RTSP/1.0\r\nHost: a\r\n\r\n",
    "SOURCE / ICE/1.0\r\nHost: a\r\n\r\n",
};

/* In one piece, and byte by byte, each in a read of its own. */
static void what_rfc_9112_forbids(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * (sizeof forbidden / sizeof *forbidden); i++) {
        const char *text = forbidden[i / 2];
        f.requests = f.t.n_peers = 0;
        struct peer *p = peer_connect(&f.t);
        for (size_t k = 0, step = i % 2 ? 1 : strlen(text); k < strlen(text); k += step) {
            peer_send_bytes(p, text + k, step);
            loop_settle(&f.t);
        }
        if (f.requests)
            fail_msg("accepted: %s", text);
        assert_refused(p, 400);
        peer_close(p);
        buf_finish(&p->in);
        buf_finish(&p->out);
    }
}

static void what_looks_like_it_and_is_allowed(void **state)
{
    (void)state;
    static const char *const good[] = {
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::1]:8080\r\nA: b  c\td \r\nB:\r\nC:  \r\n\r\n",
        "GET / HTTP/1.1\r\nA:\r\nB: \r\nHost: a\r\nC:\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
    };
    for (size_t i = 0; i < 2 * (sizeof good / sizeof *good); i++) {
        const char *text = good[i / 2];
        struct peer *p = peer_connect(&f.t);
        for (size_t k = 0, step = i % 2 ? 1 : strlen(text); k < strlen(text); k += step) {
            peer_send_bytes(p, text + k, step);
            loop_settle(&f.t);
        }
        assert_true(peer_has(p, "HTTP/1.1 200 OK\r\n"));
    }
}

static void garbage_after_an_answer(void **state)
{
    (void)state;
    struct peer *p = ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_send(p, "garbage\r\n\r\n");
    loop_settle(&f.t);
    assert_true(peer_has(p, HELLO "HTTP/1.1 400 Bad Request\r\n"));
    assert_true(p->ended);
    assert_int_equal(f.requests, 1);
}

static void garbage_behind_a_request_waits_for_its_answer(void **state)
{
    (void)state;
    f.on_request = take;
    struct peer *p = ask("GET / HTTP/1.1\r\nHost: a\r\n\r\ngarbage\r\n\r\n");
    assert_int_equal(p->in.len, 0);
    reply(f.x);
    loop_settle(&f.t);
    assert_true(peer_has(p, HELLO "HTTP/1.1 400 Bad Request\r\n"));
    assert_int_equal(f.gones, 0);
}

static void a_client_that_leaves_within_its_head(void **state)
{
    (void)state;
    struct peer *p = ask("GET / HTTP/1.1\r\nHost: a\r\nHos");
    assert_int_equal(http_server_busy(f.server), 1);
    peer_close(p);
    loop_settle(&f.t);
    assert_int_equal(f.requests, 0);
    assert_int_equal(http_server_busy(f.server), 0);
}

static void empty_lines_before_a_request(void **state)
{
    (void)state;
    struct peer *p =
        ask("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_text(p, HELLO HELLO);
}

static bool lacked;

static void note_lack(struct http_exchange *x)
{
    lacked = http_exchange_lacks_memory(x);
    reply(x);
}

/* A part of a head, of 12 KiB. */
static struct peer *send_large_head(void)
{
    static char head[12 * 1024];
    int n = snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    memset(head + n, 'x', sizeof head - 1 - (size_t)n);
    return ask(head);
}

/* Whoever stops in the middle of a large head makes way for others. */
static void large_heads_are_bounded_in_sum(void **state)
{
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    (void)state;
    limits.held = (size_t)20 * 1024;
    http_server_set_limits(f.server, &limits);
    f.on_request = note_lack;
    struct peer *small = ask("GET / HTTP/1.1\r\nHost: a\r\n");
    struct peer *one = send_large_head(), *two = send_large_head();
    assert_non_null(strstr(peer_text(one), "HTTP/1.1 503 "));
    assert_false(two->ended);
    assert_text(ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), HELLO);
    assert_false(lacked);
    peer_send(small, "\r\n");
    peer_send(two, "\r\n\r\n");
    loop_settle(&f.t);
    assert_text(small, HELLO);
    assert_text(two, HELLO);
    assert_false(send_large_head()->ended);
}

#define LARGE ((size_t)10 * 1024 * 1024)
#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

static void reply_large(struct http_exchange *x)
{
    static char body[LARGE];
    http_exchange_reply(x, 200, NULL, body, sizeof body, NULL);
}

/* A client that does not read its answer. */
static struct peer *ask_deaf(void)
{
    f.on_request = reply_large;
    struct peer *p = peer_connect(&f.t);
    p->deaf = true;
    peer_send(p, GET);
    loop_settle(&f.t);
    f.on_request = note_lack;
    return p;
}

static void assert_gets_all(struct peer *p)
{
    p->deaf = false;
    loop_settle(&f.t);
    assert_true(p->in.len > LARGE);
}

static void answers_that_nobody_reads_are_bounded_in_sum(void **state)
{
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    (void)state;
    limits.held = (size_t)1024 * 1024;
    http_server_set_limits(f.server, &limits);
    struct peer *deaf = ask_deaf();
    assert_text(ask(GET), HELLO);
    assert_true(lacked);
    assert_gets_all(deaf);
    ask(GET);
    assert_false(lacked);
}

/* What makes it too much is an answer here, which nobody can take back. */
static void heads_are_refused_by_their_own_size(void **state)
{
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    (void)state;
    limits.held = (size_t)1024 * 1024;
    http_server_set_limits(f.server, &limits);
    ask_deaf();
    assert_non_null(strstr(peer_text(send_large_head()), "HTTP/1.1 503 "));
    struct peer *small = ask("GET / HTTP/1.1\r\nHost: a\r\n");
    peer_send(small, "\r\n");
    loop_settle(&f.t);
    assert_text(small, HELLO);
}

/* They hold nothing of what is too much. */
static void idle_connections_outlast_answers_that_nobody_reads(void **state)
{
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    (void)state;
    limits.held = (size_t)1024 * 1024;
    http_server_set_limits(f.server, &limits);
    struct peer *idle = ask(GET);
    ask_deaf();
    ask(GET);
    assert_true(lacked);
    assert_false(idle->ended);
}

static void what_may_be_held_grows_with_the_connections(void **state)
{
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    (void)state;
    assert_int_equal(http_limits_held(16), HTTP_HELD_MIN);
    assert_int_equal(http_limits_held(limits.connections), limits.held);
    assert_int_equal(limits.held, limits.connections * HTTP_HELD_EACH);
}

/* Who is not read further while connections hold too much is read again when they hold less. */
static void reading_goes_on_when_less_is_held(void **state)
{
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    (void)state;
    limits.held = (size_t)1024 * 1024;
    limits.window_ms = 20; /* for a sweep each 5 ms */
    http_server_set_limits(f.server, &limits);
    struct peer *deaf = ask_deaf();
    f.on_request = take;
    struct peer *p = ask(GET);
    peer_send_fill(p, 8192);
    loop_settle(&f.t);
    assert_gets_all(deaf);
    peer_close(p);
    UNTIL(&f.t, f.gones);
}

/* Its second request is read when the other client comes, and not parsed yet. */
static void a_pipelined_request_does_not_make_way(void **state)
{
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    (void)state;
    limits.connections = 1;
    http_server_set_limits(f.server, &limits);
    struct peer *p = ask(GET);
    peer_send(p, GET GET);
    assert_text(ask(GET), HELLO_CLOSE);
    assert_text(p, HELLO HELLO HELLO);
}

static void who_reads_slowly_does_not_make_way(void **state)
{
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    (void)state;
    limits.connections = 1;
    http_server_set_limits(f.server, &limits);
    struct peer *deaf = ask_deaf(); /* its answer is complete, but not sent */
    assert_text(ask(GET), HELLO_CLOSE);
    assert_gets_all(deaf);
    assert_text(ask(GET), HELLO);
    assert_true(deaf->ended);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_head_too_large),
        TEST(too_many_fields),
        TEST(a_head_about_as_large_as_allowed),
        TEST(a_target_too_large),
        TEST(trailers_are_no_head),
        TEST(no_http),
        TEST(an_empty_name_is_no_leftover),
        TEST(the_reason_is_told),
        TEST(other_protocols_are_named),
        TEST(a_length_beyond_all_bounds),
        TEST(what_rfc_9112_forbids),
        TEST(what_looks_like_it_and_is_allowed),
        TEST(garbage_after_an_answer),
        TEST(garbage_behind_a_request_waits_for_its_answer),
        TEST(a_client_that_leaves_within_its_head),
        TEST(empty_lines_before_a_request),
        TEST(large_heads_are_bounded_in_sum),
        TEST(answers_that_nobody_reads_are_bounded_in_sum),
        TEST(heads_are_refused_by_their_own_size),
        TEST(idle_connections_outlast_answers_that_nobody_reads),
        TEST(what_may_be_held_grows_with_the_connections),
        TEST(reading_goes_on_when_less_is_held),
        TEST(a_pipelined_request_does_not_make_way),
        TEST(who_reads_slowly_does_not_make_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
