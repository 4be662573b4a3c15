/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/access.h"

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

static void what_is_plain(void **state)
{
    static const char *const others[] = {"/%73lots", "/a//slots", "/../slots",
                                         "/slots;x", "slots",     ""};
    (void)state;
    assert_true(access_is_plain_get("GET", "/nowhere", 8));
    assert_true(access_is_plain_get("HEAD", "/a/b", 4));
    assert_false(access_is_plain_get("POST", "/nowhere", 8));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(access_is_plain_get("GET", others[i], strlen(others[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_belongs_to_the_page),
        cmocka_unit_test(what_is_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
