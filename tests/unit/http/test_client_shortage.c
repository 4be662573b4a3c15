/* SPDX-License-Identifier: MIT */
/* Connects that fail without being the origin's fault, and origins over TCP. */
#include "client_test.h"

#include <arpa/inet.h>
#include <sys/resource.h>

#include "http/fetch.h"

static struct told c;
static struct rlimit before;

static int set_up_limits(void **state)
{
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    c = (struct told){0};
    return set_up(state);
}

static void set_limit(rlim_t n)
{
    struct rlimit limit = {.rlim_cur = n, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static int tear_down_limits(void **state)
{
    set_limit(before.rlim_cur);
    buf_finish(&c.body);
    return tear_down(state);
}

/* No descriptor can be opened from here on. */
static void exhaust_descriptors(void)
{
    int fd = dup(0);
    assert_true(fd >= 0);
    close(fd);
    set_limit((rlim_t)fd);
}

static void replace_client(uint64_t patience_ms)
{
    struct http_origin address;
    struct http_origin_traits traits = {.keep_ms = 3000};
    http_client_close(client);
    loop_settle(&t);
    assert_int_equal(http_origin_unix(&address, t.path), 0);
    client = http_client_create(&t.loop, &address, &traits, patience_ms);
}

static void a_shortage_of_descriptors_passes(void **state)
{
    (void)state;
    exhaust_descriptors();
    call(&a);
    call(&b);
    assert_int_equal(http_client_shortage(client), UV_EMFILE);
    assert_int_equal(a.fails + a.connected + b.fails, 0);
    set_limit(before.rlim_cur);
    UNTIL(&t, a.connected && b.connected);
    assert_int_equal(http_client_shortage(client), 0);
    answer(origin_accept(&t, origin), OK_2 "ab");
    answer(origin_accept(&t, origin), OK_2 "cd");
    assert_ended(&a, "ab");
    assert_ended(&b, "cd");
}

static void a_connection_that_becomes_free_ends_the_wait(void **state)
{
    (void)state;
    struct peer *p = call_fresh(&a);
    exhaust_descriptors();
    call(&b);
    assert_int_equal(b.connected, 0);
    answer(p, OK_2 "ab");
    assert_int_equal(b.connected, 1);
    answer(p, OK_2 "cd");
    assert_ended(&b, "cd");
}

/* It has no length: that its end is ours must not make it whole. */
static void an_answer_that_we_cut_off_is_not_whole(void **state)
{
    (void)state;
    a.is_upload = true;
    struct peer *p = call_fresh(&a);
    http_call_write(a.call, "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n", 38);
    http_call_flush(a.call);
    answer(p, "HTTP/1.1 200 OK\r\n\r\nab");
    http_call_write(a.call, "a", 1);
    http_call_write(a.call, "b", SIZE_MAX); /* for which there is no memory */
    loop_settle(&t);
    assert_failed(&a, HTTP_CALL_BROKEN);
}

/* A call that may not use a kept connection gets its descriptor. */
static void a_kept_connection_is_given_up(void **state)
{
    (void)state;
    struct peer *p = call_fresh(&a);
    answer(p, OK_2 "ab");
    exhaust_descriptors();
    b.call = http_client_call(client, HTTP_CALL_FRESH, &events, &b);
    UNTIL(&t, b.connected);
    assert_true(p->ended);
}

static void a_shortage_that_lasts_is_told_apart(void **state)
{
    (void)state;
    replace_client(50);
    exhaust_descriptors();
    call(&a);
    UNTIL(&t, a.fails);
    assert_failed(&a, HTTP_CALL_NO_RESOURCES);
    set_limit(before.rlim_cur);
    call(&b); /* and it leaves nothing behind */
    UNTIL(&t, b.connected);
}

/* As of an engine that is stopped, or slow to accept: it is not gone. */
static void a_full_accept_queue_is_waited_for(void **state)
{
    (void)state;
    assert_int_equal(listen(origin, 0), 0);
    call(&a);
    call(&b);
    call(&c);
    assert_int_equal(a.connected, 1);
    assert_int_equal(b.connected + b.fails + c.connected + c.fails, 0);
    assert_int_equal(http_client_shortage(client), 0); /* nothing of ours is missing */
    origin_accept(&t, origin);
    UNTIL(&t, b.connected);
    assert_int_equal(c.connected, 0);
    origin_accept(&t, origin);
    UNTIL(&t, c.connected);
}

static void a_full_accept_queue_ends_the_patience(void **state)
{
    (void)state;
    replace_client(50);
    assert_int_equal(listen(origin, 0), 0);
    call(&a);
    call(&b);
    UNTIL(&t, b.fails);
    assert_failed(&b, HTTP_CALL_NO_PLACE);
    assert_int_equal(a.fails, 0);
}

static void calls_that_wait_can_be_cancelled(void **state)
{
    (void)state;
    exhaust_descriptors();
    call(&a);
    call(&b);
    http_call_cancel(a.call);
    set_limit(before.rlim_cur);
    UNTIL(&t, b.connected);
    assert_int_equal(a.connected + a.fails, 0);
}

static void close_fails_those_that_wait(void **state)
{
    (void)state;
    exhaust_descriptors();
    call(&a);
    call(&b);
    http_client_close(client);
    client = NULL;
    assert_failed(&a, HTTP_CALL_NOT_SENT);
    assert_failed(&b, HTTP_CALL_NOT_SENT);
}

static void an_origin_that_goes_meanwhile(void **state)
{
    (void)state;
    exhaust_descriptors();
    call(&a);
    set_limit(before.rlim_cur);
    origin_close(&origin);
    UNTIL(&t, a.fails);
    assert_failed(&a, HTTP_CALL_ABSENT);
}

/* --- fetches -------------------------------------------------------------------------------- */

static void on_fetched(int status, const char *body, size_t len, void *ctx)
{
    (void)body;
    (void)len;
    *(int *)ctx = status;
}

static void a_fetch_that_we_could_not_make(void **state)
{
    (void)state;
    int status = 1;
    struct http_fetch_request request = {
        .method = "GET", .target = "/health", .max = 100, .timeout_ms = 50};
    exhaust_descriptors();
    http_fetch(&t.loop, client, &request, on_fetched, &status);
    UNTIL(&t, status != 1);
    assert_int_equal(status, UV_EMFILE);
}

static void a_fetch_that_a_stopped_origin_does_not_accept(void **state)
{
    (void)state;
    int status = 1;
    struct http_fetch_request request = {
        .method = "GET", .target = "/health", .max = 100, .timeout_ms = 50};
    assert_int_equal(listen(origin, 0), 0);
    call(&a);
    http_fetch(&t.loop, client, &request, on_fetched, &status);
    UNTIL(&t, status != 1);
    assert_int_equal(status, 0); /* its silence */
}

/* --- TCP ------------------------------------------------------------------------------------ */

static int listen_tcp(int *port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &size), 0);
    *port = ntohs(in.sin_port);
    return fd;
}

static void an_origin_over_tcp(void **state)
{
    (void)state;
    struct http_origin address;
    struct http_origin_traits traits = {.keep_ms = 3000, .reuse_after_chunked = true};
    int port, fd = listen_tcp(&port);
    assert_int_equal(http_origin_tcp(&address, "127.0.0.1", port), 0);
    http_client_close(client);
    client = http_client_create(&t.loop, &address, &traits, 0);
    call(&a);
    UNTIL(&t, a.connected);
    struct peer *p = origin_accept(&t, fd);
    peer_send(p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n");
    UNTIL(&t, a.ends);
    assert_ended(&a, "ab");
    call(&b); /* on the same connection, since this origin allows it after chunks */
    assert_int_equal(b.connected, 1);
    assert_false(origin_is_called(fd));
    peer_close(p);
    close(fd);
    UNTIL(&t, b.fails);
    call(&c);
    UNTIL(&t, c.fails);
    assert_failed(&c, HTTP_CALL_ABSENT);
}

static void addresses_that_are_none(void **state)
{
    (void)state;
    struct http_origin address;
    char path[200];
    memset(path, 'x', sizeof path);
    path[sizeof path - 1] = '\0';
    assert_int_equal(http_origin_unix(&address, path), -ENAMETOOLONG);
    assert_int_equal(http_origin_tcp(&address, "localhost", 80), -EINVAL);
    assert_int_equal(http_origin_tcp(&address, "127.0.0.1", 0), -EINVAL);
    assert_int_equal(http_origin_tcp(&address, "127.0.0.1", 65536), -EINVAL);
    assert_int_equal(http_origin_tcp(&address, "::1", 80), 0);
}

#define LIMITED(name) cmocka_unit_test_setup_teardown(name, set_up_limits, tear_down_limits)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIMITED(a_shortage_of_descriptors_passes),
        LIMITED(a_connection_that_becomes_free_ends_the_wait),
        LIMITED(an_answer_that_we_cut_off_is_not_whole),
        LIMITED(a_kept_connection_is_given_up),
        LIMITED(a_shortage_that_lasts_is_told_apart),
        LIMITED(a_full_accept_queue_is_waited_for),
        LIMITED(a_full_accept_queue_ends_the_patience),
        LIMITED(calls_that_wait_can_be_cancelled),
        LIMITED(close_fails_those_that_wait),
        LIMITED(an_origin_that_goes_meanwhile),
        LIMITED(a_fetch_that_we_could_not_make),
        LIMITED(a_fetch_that_a_stopped_origin_does_not_accept),
        LIMITED(an_origin_over_tcp),
        LIMITED(addresses_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
