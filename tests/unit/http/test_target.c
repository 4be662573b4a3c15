/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/target.h"

static void path_len(void **state)
{
    (void)state;
    assert_int_equal(target_path_len("/models"), 7);
    assert_int_equal(target_path_len("/models?a=b"), 7);
    assert_int_equal(target_path_len("/models#x?a"), 7);
    assert_int_equal(target_path_len("?a"), 0);
    assert_int_equal(target_path_len(""), 0);
}

static void query(void **state)
{
    (void)state;
    static const struct {
        const char *target, *name, *value;
    } cases[] = {
        {"/m?model=a", "model", "a"},
        {"/m?x=1&model=a&model=b", "model", "b"},
        {"/m?model=user%2Frepo%3AQ4", "model", "user/repo:Q4"},
        {"/m?model=user/repo:Q4", "model", "user/repo:Q4"},
        {"/m?model=a+b%2Bc", "model", "a b+c"},
        {"/m?model=a=b", "model", "a=b"},
        {"/m?model=", "model", ""},
        {"/m?reload&x", "reload", ""},
        {"/m?&&model=a&", "model", "a"},
        {"/m?mod%65l=a", "model", "a"},
        {"/m?a+b=c", "a b", "c"},
        {"/m?model=a?b", "model", "a?b"},
        {"/m?model=a#model=b", "model", "a"},
        {"/m?model=%", "model", "%"},
        {"/m?model=%4", "model", "%4"},
        {"/m?model=%zz%41", "model", "%zzA"},
        {"/m?model=%C3%A4", "model", "\xC3\xA4"},
        {"/m?models=a", "model", NULL},
        {"/m?mode=a", "model", NULL},
        {"/m?Model=a", "model", NULL},
        {"/model=a", "model", NULL},
        {"/m#?model=a", "model", NULL},
        {"/m?", "", NULL},
        {"/m", "model", NULL},
        {"/m?model=a%00b", "model", NULL},
        {"/m?model=%00&model=b", "model", "b"},
        {"/m?model=b&model=%00", "model", NULL},
        {"/m?model%00=b", "model", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *value = target_query(cases[i].target, cases[i].name);
        if (cases[i].value) {
            assert_non_null(value);
            assert_string_equal(value, cases[i].value);
        } else {
            assert_null(value);
        }
        free(value);
    }
}

/* One after the other, `name=value|` each. */
static void assert_parameters(const char *target, const char *wanted)
{
    char all[256] = "", *name, *value;
    const char *at = target + target_path_len(target);
    while (target_next(&at, &name, &value)) {
        size_t n = strlen(all);
        snprintf(all + n, sizeof all - n, "%s=%s|", name, value);
        free(name);
        free(value);
    }
    assert_string_equal(all, wanted);
    assert_false(target_next(&at, &name, &value)); /* and so it stays */
}

static void next(void **state)
{
    (void)state;
    assert_parameters("/m", "");
    assert_parameters("/m?", "");
    assert_parameters("/m?&&", "");
    assert_parameters("/m?model=a&ctx-size=4096", "model=a|ctx-size=4096|");
    assert_parameters("/m?a=1&a=2&b", "a=1|a=2|b=|");
    assert_parameters("/m?&a=1&&b=2&", "a=1|b=2|");
    assert_parameters("/m?=x&=", "=x|=|");
    assert_parameters("/m?%61+b=c%26d=e", "a b=c&d=e|");
    assert_parameters("/m?a=b?c=d", "a=b?c=d|");
    assert_parameters("/m?a=%zz", "a=%zz|");
    assert_parameters("/m?a%00=1&b=%00&c=3", "c=3|");
    assert_parameters("/m?a=%00", "");
    assert_parameters("/m?a=1#&b=2", "a=1|");
    assert_parameters("/m#?a=1", "");
}

static void decode(void **state)
{
    (void)state;
    char *text = target_decode("/a%20b+c%2fd", 12);
    assert_string_equal(text, "/a b+c/d");
    free(text);
    text = target_decode("a%41", 3); /* the escape is cut by the length */
    assert_string_equal(text, "a%4");
    free(text);
    text = target_decode("", 0);
    assert_string_equal(text, "");
    free(text);
    assert_null(target_decode("a%00", 4));
}

static void encode(void **state)
{
    (void)state;
    char *text = target_encode("user/repo:Q4 K~._-\xC3\xA4");
    assert_string_equal(text, "user%2Frepo%3AQ4%20K~._-%C3%A4");
    free(text);
}

static void round_trip(void **state)
{
    (void)state;
    char all[256];
    for (int i = 0; i < 255; i++)
        all[i] = (char)(i + 1);
    all[255] = '\0';
    char *encoded = target_encode(all);
    char *decoded = target_decode(encoded, strlen(encoded));
    assert_string_equal(decoded, all);
    free(decoded);
    free(encoded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(path_len), cmocka_unit_test(query),  cmocka_unit_test(decode),
        cmocka_unit_test(next),     cmocka_unit_test(encode), cmocka_unit_test(round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
