/* SPDX-License-Identifier: MIT */
/* Which requests come from a page, and which of these pages are trusted. */
#include "../http/server_test.h"

#include "api/origins.h"

static struct strv origins;
static enum page page;

static void classify(struct http_exchange *x)
{
    page = origins_page(&origins, x);
    reply(x);
}

static void trust(const char *list)
{
    strv_finish(&origins);
    strv_split(&origins, list, ',');
}

/* There are more questions than peers. */
static enum page page_of(const char *fields)
{
    char text[512];
    snprintf(text, sizeof text, "POST / HTTP/1.1\r\nContent-Length: 0\r\n%s\r\n", fields);
    f.on_request = classify;
    unsigned before = f.requests;
    struct peer *p = ask(text);
    assert_int_equal(f.requests, before + 1);
    peer_close(p);
    buf_finish(&p->in);
    buf_finish(&p->out);
    f.t.n_peers--;
    loop_settle(&f.t);
    return page;
}

static enum page page_at(const char *host, const char *origin)
{
    char fields[256];
    snprintf(fields, sizeof fields, "Host: %s\r\nOrigin: %s\r\n", host, origin);
    return page_of(fields);
}

static enum page page_named(const char *origin)
{
    return page_at("127.0.0.1:8080", origin);
}

#define HOST "Host: localhost:8080\r\n"
#define SITE(site) HOST "Sec-Fetch-Site: " site "\r\n"

static void what_is_no_page(void **state)
{
    (void)state;
    trust("*");
    assert_int_equal(page_of(HOST), PAGE_NONE);
    assert_int_equal(page_of(SITE("none")), PAGE_NONE);
    assert_int_equal(page_of(SITE("same-origin")), PAGE_NONE);
    assert_int_equal(page_of(SITE("cross-site")), PAGE_FOREIGN);
    assert_int_equal(page_of(SITE("Cross-Site")), PAGE_FOREIGN);
    assert_int_equal(page_of(SITE("same-site")), PAGE_FOREIGN);
    assert_int_equal(page_of(SITE("whatever-comes-later")), PAGE_FOREIGN);
}

static void pages_of_this_machine(void **state)
{
    static const char *const local[] = {"http://localhost", "http://localhost:3000",
                                        "https://localhost:1", "http://127.0.0.1:80",
                                        "http://[::1]:1"};
    static const char *const others[] = {
        "",
        "null",
        "*",
        "localhost",
        "file://",
        "file://localhost",
        "app://localhost",
        "https://evil.example",
        "http://localhost.evil.example",
        "https://localhost.evil.example:8080",
        "http://127.0.0.1.evil",
        "http://127.0.0.2",
        "http://evil.localhost",
        "http://xlocalhost",
        "http://localhost:",
        "http://localhost:1:2",
        "http://localhost:80evil.example",
        "http://localhost:123456",
        "http://localhost@evil.example",
        "http://localhost:80@evil.example",
        "http://localhost/",
        "http://evil.example/localhost",
        "http://localhost http://evil.example",
        "http://localhost, http://evil.example",
        "http://[::1].evil.example",
        "HTTP://LOCALHOST",
    };
    static const char *const lists[] = {"*", "localhost", "https://a.example,localhost"};
    (void)state;
    for (size_t k = 0; k < sizeof lists / sizeof *lists; k++) {
        trust(lists[k]);
        for (size_t i = 0; i < sizeof local / sizeof *local; i++)
            assert_int_equal(page_named(local[i]), PAGE_TRUSTED);
        for (size_t i = 0; i < sizeof others / sizeof *others; i++)
            if (page_named(others[i]) != PAGE_FOREIGN)
                fail_msg("%s is trusted by %s", others[i], lists[k]);
    }
}

static void pages_by_name(void **state)
{
    (void)state;
    trust("https://a.example,https://b.example:8443");
    assert_int_equal(page_named("https://a.example"), PAGE_TRUSTED);
    assert_int_equal(page_named("https://b.example:8443"), PAGE_TRUSTED);
    assert_int_equal(page_named("https://b.example"), PAGE_FOREIGN);
    assert_int_equal(page_named("http://a.example"), PAGE_FOREIGN);
    assert_int_equal(page_named("https://a.example.evil"), PAGE_FOREIGN);
    assert_int_equal(page_named("https://a.exampl"), PAGE_FOREIGN);
    assert_int_equal(page_named("http://localhost:3000"), PAGE_FOREIGN);
    trust("*,https://a.example"); /* `*` is for inference */
    assert_int_equal(page_named("https://a.example"), PAGE_TRUSTED);
    assert_int_equal(page_named("https://c.example"), PAGE_FOREIGN);
    trust("null");
    assert_int_equal(page_named("null"), PAGE_TRUSTED);
    trust("");
    assert_int_equal(page_named("http://localhost"), PAGE_FOREIGN);
}

static void its_own_pages(void **state)
{
    (void)state;
    trust("");
    assert_int_equal(page_at("box.example:8080", "http://box.example:8080"), PAGE_TRUSTED);
    assert_int_equal(page_at("BOX.example", "https://box.example"), PAGE_TRUSTED);
    assert_int_equal(page_at("[::1]:8080", "http://[::1]:8080"), PAGE_TRUSTED);
    assert_int_equal(page_at("box.example:8080", "http://box.example:8081"), PAGE_FOREIGN);
    assert_int_equal(page_at("box.example:8080", "http://box.example"), PAGE_FOREIGN);
    assert_int_equal(page_at("box.example", "box.example"), PAGE_FOREIGN);
    assert_int_equal(page_at("localhost:8080", "http://localhost:3000"), PAGE_FOREIGN);
    assert_int_equal(page_of(SITE("same-origin") "Origin: http://localhost:8080\r\n"),
                     PAGE_TRUSTED);
    assert_int_equal(page_of(SITE("cross-site") "Origin: https://localhost:8080\r\n"),
                     PAGE_FOREIGN);
}

static void every_origin_must_be_trusted(void **state)
{
    (void)state;
    trust("localhost");
    assert_int_equal(page_of(HOST "Origin: http://localhost\r\nOrigin: http://localhost:1\r\n"),
                     PAGE_TRUSTED);
    assert_int_equal(page_of(HOST "Origin: http://localhost\r\nOrigin: https://evil.example\r\n"),
                     PAGE_FOREIGN);
    assert_int_equal(page_of(HOST "Origin: https://evil.example\r\nOrigin: http://localhost\r\n"),
                     PAGE_FOREIGN);
    assert_int_equal(page_of(SITE("cross-site") "Origin: http://localhost\r\n"), PAGE_TRUSTED);
}

static int end(void **state)
{
    strv_finish(&origins);
    return tear_down(state);
}

#define ORIGIN_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ORIGIN_TEST(what_is_no_page),
        ORIGIN_TEST(pages_of_this_machine),
        ORIGIN_TEST(pages_by_name),
        ORIGIN_TEST(its_own_pages),
        ORIGIN_TEST(every_origin_must_be_trusted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
