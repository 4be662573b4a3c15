/* SPDX-License-Identifier: MIT */
/* What pages of other origins are told, for each way to say who may ask. */
#include "../http/server_test.h"

#include "api/cors.h"

static struct config config;

static void add_fields(struct http_exchange *x, void *ctx)
{
    (void)ctx;
    cors_add_fields(&config, x);
}

static void preflight(struct http_exchange *x)
{
    cors_answer_preflight(&config, x);
}

static int set_up_cors(void **state)
{
    static char methods[] = "GET, PUT", headers[] = "X-A";
    config =
        (struct config){.cors_credentials = true, .cors_methods = methods, .cors_headers = headers};
    set_up(state);
    http_server_on_answer(f.server, add_fields);
    return 0;
}

static int tear_down_cors(void **state)
{
    strv_finish(&config.cors_origins);
    return tear_down(state);
}

static void allow(const char *origins)
{
    strv_finish(&config.cors_origins);
    strv_split(&config.cors_origins, origins, ',');
}

/* There are more questions than peers. */
static void peer_forget(struct peer *p)
{
    peer_close(p);
    buf_finish(&p->in);
    buf_finish(&p->out);
    f.t.n_peers--;
    loop_settle(&f.t);
}

/* What is in the answer for a page of `origin`: `wanted` as Access-Control-Allow-Origin, NULL: none.
 */
static void assert_told(const char *origin, const char *wanted)
{
    char text[256];
    snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\nOrigin: %s\r\n\r\n", origin);
    struct peer *p = peer_connect(&f.t);
    peer_send(p, text);
    loop_settle(&f.t);
    assert_true(peer_has(p, "hello"));
    snprintf(text, sizeof text, "\r\nAccess-Control-Allow-Origin: %s\r\n", wanted ? wanted : "");
    if (wanted ? !peer_has(p, text) : peer_has(p, "Access-Control"))
        fail_msg("%s: %s", origin, peer_text(p));
    /* A cache must not give one origin's answer to another. */
    assert_int_equal(peer_has(p, "\r\nVary: Origin\r\n"), !wanted || strcmp(wanted, "*") != 0);
    peer_forget(p);
}

static void no_origin_no_fields(void **state)
{
    (void)state;
    allow("*");
    assert_text(ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), HELLO);
}

static void everybody(void **state)
{
    (void)state;
    allow("*");
    assert_told("http://a.example", "http://a.example");
    assert_told("null", "null");
    config.cors_credentials = false;
    assert_told("http://a.example", "*");
}

static void some(void **state)
{
    (void)state;
    allow("http://a.example, https://b.example:8443");
    assert_told("http://a.example", "http://a.example");
    assert_told("https://b.example:8443", "https://b.example:8443");
    assert_told("https://b.example", NULL);
    assert_told("https://a.example", NULL);
    assert_told("http://a.example.evil", NULL);
    assert_told("http://a.exampl", NULL);
    allow("");
    assert_told("http://a.example", NULL);
}

static void this_machine(void **state)
{
    static const char *const local[] = {"http://localhost", "http://localhost:3000",
                                        "https://localhost:1", "http://127.0.0.1:80",
                                        "http://[::1]:1"};
    static const char *const others[] = {"http://localhost.evil.example",
                                         "http://127.0.0.2",
                                         "http://a.localhost",
                                         "localhost",
                                         "null",
                                         "ftp://localhost",
                                         "http://localhost@evil.example",
                                         "http://evil.example:80/localhost"};
    (void)state;
    allow("localhost");
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        assert_told(local[i], local[i]);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_told(others[i], NULL);
    allow("localhost,http://a.example");
    assert_told("http://a.example", "http://a.example");
    assert_told("http://localhost", "http://localhost");
}

static void stream(struct http_exchange *x)
{
    http_exchange_begin(x, 200, HTTP_STREAMED);
    http_exchange_head_end(x);
    http_exchange_end(x);
}

static void streams_and_refusals_too(void **state)
{
    (void)state;
    allow("*");
    f.on_request = stream;
    struct peer *p = ask("GET / HTTP/1.1\r\nHost: a\r\nOrigin: http://a\r\n\r\n");
    assert_true(peer_has(p, "\r\nAccess-Control-Allow-Origin: http://a\r\n"));
    p = ask("GET / HTTP/1.1\r\nHost: a\r\nOrigin: http://a\r\nContent-Length: x\r\n\r\n");
    assert_true(peer_has(p, "HTTP/1.1 400 "));
    assert_true(peer_has(p, "\r\nAccess-Control-Allow-Origin: http://a\r\n"));
}

static void before_a_request(void **state)
{
    (void)state;
    allow("http://a");
    f.on_request = preflight;
    struct peer *p = ask("OPTIONS /x HTTP/1.1\r\nHost: a\r\nOrigin: http://a\r\n\r\n");
    assert_text(p, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
                   "Access-Control-Allow-Origin: http://a\r\nVary: Origin\r\n"
                   "Access-Control-Allow-Credentials: true\r\n"
                   "Access-Control-Allow-Methods: GET, PUT\r\n"
                   "Access-Control-Allow-Headers: X-A\r\n\r\n");
    config.cors_credentials = false;
    p = ask("OPTIONS /x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(peer_has(p, "Access-Control-Allow-Credentials: false\r\n"));
    assert_false(peer_has(p, "Access-Control-Allow-Origin"));
}

/* A browser takes `*` literally where credentials are permitted, and never lets it stand for Authorization. */
static void any_field_is_named(void **state)
{
    static char any[] = "*";
    (void)state;
    allow("*");
    f.on_request = preflight;
    config.cors_headers = any;
    struct peer *p = ask("OPTIONS /x HTTP/1.1\r\nHost: a\r\nOrigin: http://a\r\n"
                         "Access-Control-Request-Headers: authorization,x-stainless-os\r\n\r\n");
    assert_true(peer_has(p, "Access-Control-Allow-Headers: authorization,x-stainless-os\r\n"));
    p = ask("OPTIONS /x HTTP/1.1\r\nHost: a\r\nOrigin: http://a\r\n\r\n");
    assert_true(peer_has(p, "Access-Control-Allow-Headers: *\r\n"));
}

static void no_other_field_than_the_given_ones(void **state)
{
    (void)state;
    allow("*");
    f.on_request = preflight;
    struct peer *p = ask("OPTIONS /x HTTP/1.1\r\nHost: a\r\nOrigin: http://a\r\n"
                         "Access-Control-Request-Headers: authorization\r\n\r\n");
    assert_true(peer_has(p, "Access-Control-Allow-Headers: X-A\r\n"));
}

#define CORS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_cors, tear_down_cors)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CORS_TEST(no_origin_no_fields),
        CORS_TEST(everybody),
        CORS_TEST(some),
        CORS_TEST(this_machine),
        CORS_TEST(streams_and_refusals_too),
        CORS_TEST(before_a_request),
        CORS_TEST(any_field_is_named),
        CORS_TEST(no_other_field_than_the_given_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
