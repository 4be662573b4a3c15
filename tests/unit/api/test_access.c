/* SPDX-License-Identifier: MIT */
#include "../http/server_test.h"

#include "api/access.h"

static struct keys keys;
static bool has_key;

static void check(struct http_exchange *x)
{
    has_key = access_key(&keys, http_exchange_head(x));
    reply(x);
}

static bool may(const char *fields)
{
    char text[256];
    snprintf(text, sizeof text, "GET / HTTP/1.1\r\n%s\r\n", fields);
    f.on_request = check;
    ask(text);
    return has_key;
}

static void where_a_key_may_stand(void **state)
{
    (void)state;
    keys_add(&keys, "k", NULL);
    assert_true(may("Authorization: Bearer k\r\n"));
    assert_true(may("authorization: bearer k\r\n"));
    assert_true(may("Authorization: k\r\n"));
    assert_true(may("X-Api-Key: k\r\n"));
    assert_true(may("X-Api-Key: Bearer k\r\n"));
    assert_true(may("Authorization:\r\nX-Api-Key: k\r\n"));
    assert_false(may(""));
    assert_false(may("Authorization: Basic k\r\n"));
    assert_false(may("Authorization: Bearer\r\n"));
    assert_false(may("Authorization: Bearer x\r\nX-Api-Key: k\r\n"));
    keys_finish(&keys);
}

static bool is_page(const char *method, const char *path)
{
    return access_is_page(method, path, strlen(path));
}

static void what_belongs_to_the_page(void **state)
{
    static const char *const page[] = {"/",           "/index.html", "/_app/a/b.js", "/sw.js",
                                       "/build.json", "/a-b_c.png",  "/_app/data"};
    static const char *const other[] = {
        "",          "*",           "/slots",    "/v1/models",  "/a/b.js",    "/.js",
        "/_app/../", "/_app//a.js", "/%2e.html", "/_app/a%2fb", "/a\\b.html", "/_ap/x",
        "http://a/", "/x.gguf",     "/a..html",  "/a;b.js",
    };
    (void)state;
    for (size_t i = 0; i < sizeof page / sizeof *page; i++) {
        assert_true(is_page("GET", page[i]) && is_page("HEAD", page[i]));
        assert_false(is_page("POST", page[i]) || is_page("DELETE", page[i]));
    }
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (is_page("GET", other[i]))
            fail_msg("'%s' is public", other[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(where_a_key_may_stand),
        TEST(what_belongs_to_the_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
