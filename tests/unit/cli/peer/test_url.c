/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/peer/url.h"

static void assert_url(const char *text, const char *base, const char *shown, bool loopback)
{
    struct url url;
    struct error err;
    assert_int_equal(url_parse(&url, text, &err), 0);
    assert_string_equal(url.base, base);
    assert_string_equal(url.shown, shown);
    assert_null(url.socket);
    assert_int_equal(url.loopback, loopback);
    url_finish(&url);
}

static void addresses_are_read(void **state)
{
    (void)state;
    assert_url("http://localhost:8080", "http://localhost:8080", "http://localhost:8080", true);
    assert_url("http://127.0.0.1:1/", "http://127.0.0.1:1", "http://127.0.0.1:1/", true);
    assert_url("http://[::1]:80", "http://[::1]:80", "http://[::1]:80", true);
    assert_url("HTTPS://gpu.example/", "https://gpu.example", "https://gpu.example/", false);
    assert_url("gpu.example:9000", "http://gpu.example:9000", "http://gpu.example:9000", false);
    assert_url("localhost", "http://localhost", "http://localhost", true);
    assert_url("http://127.example", "http://127.example", "http://127.example", false);
}

static void an_openai_base_is_understood(void **state)
{
    (void)state;
    assert_url("http://h/v1", "http://h", "http://h/v1", false);
    assert_url("http://h/v1/", "http://h", "http://h/v1/", false);
    assert_url("http://h/llm/v1", "http://h/llm", "http://h/llm/v1", false);
    assert_url("http://h/llm//", "http://h/llm", "http://h/llm//", false);
    assert_url("http://v1", "http://v1", "http://v1", false);
}

static void passwords_are_not_shown(void **state)
{
    (void)state;
    assert_url("http://me:secret@h:1", "http://me:secret@h:1", "http://h:1", false);
}

static void sockets_are_paths(void **state)
{
    static const char *const spellings[] = {"unix:/run/h.sock", "unix:///run/h.sock"};
    (void)state;
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        struct url url;
        struct error err;
        assert_int_equal(url_parse(&url, spellings[i], &err), 0);
        assert_string_equal(url.socket, "/run/h.sock");
        assert_string_equal(url.shown, "unix:/run/h.sock");
        assert_true(url.loopback);
        url_finish(&url);
    }
}

static void a_socket_may_have_a_prefix(void **state)
{
    static const struct {
        const char *text, *base;
    } cases[] = {
        {"unix:/run/h.sock:/a/b", "http://localhost/a/b"},
        {"unix:/run/h.sock:/a/b/", "http://localhost/a/b"},
        {"unix:/run/h.sock:/a/v1", "http://localhost/a"},
        {"unix:/run/h.sock:/", "http://localhost"},
        {"unix:///run/h.sock:/a", "http://localhost/a"},
    };
    struct url url;
    struct error err;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(url_parse(&url, cases[i].text, &err), 0);
        assert_string_equal(url.socket, "/run/h.sock");
        assert_string_equal(url.base, cases[i].base);
        url_finish(&url);
    }
    assert_int_equal(url_parse(&url, "unix:/run/h.sock:/a?b", &err), -EINVAL);
    url_finish(&url);
}

static void what_is_no_address_is_refused(void **state)
{
    static const char *const texts[] = {
        "",          "http://",        "http:///x",       "ftp://h",      "unix:h.sock",
        "unix:",     "http://h:99999", "http://h:x",      "http://h h",   "http://h/?a=1",
        "http://h#", "http://[::1",    "http://h\n:8080", "http://:8080", "http://user@",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct url url;
        struct error err = {0};
        assert_int_equal(url_parse(&url, texts[i], &err), -EINVAL);
        assert_true(*err.text);
        url_finish(&url);
    }
}

static void assert_port(const char *text, unsigned port)
{
    struct url url;
    struct error err;
    assert_int_equal(url_parse(&url, text, &err), 0);
    assert_int_equal(url_port(&url), port);
    url_finish(&url);
}

static void a_port_is_given_or_the_schemes(void **state)
{
    (void)state;
    assert_port("http://localhost:8080", 8080);
    assert_port("localhost", 80);
    assert_port("https://localhost", 443);
    assert_port("http://[::1]:9/", 9);
    assert_port("http://[::1]", 80);
    assert_port("https://[fe80::8080]", 443);
}

static void anything_can_be_a_segment(void **state)
{
    static const char *const pairs[][2] = {
        {"plain-._~9", "plain-._~9"},
        {"a/b", "a%2Fb"},
        {"../up?x#y&z=%", "..%2Fup%3Fx%23y%26z%3D%25"},
        {"\xc3\xbc\n\"", "%C3%BC%0A%22"},
        {"", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char *escaped = url_escape(pairs[i][0]);
        assert_string_equal(escaped, pairs[i][1]);
        free(escaped);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read),
        cmocka_unit_test(an_openai_base_is_understood),
        cmocka_unit_test(passwords_are_not_shown),
        cmocka_unit_test(a_port_is_given_or_the_schemes),
        cmocka_unit_test(sockets_are_paths),
        cmocka_unit_test(a_socket_may_have_a_prefix),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(anything_can_be_a_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
