/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
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
        cmocka_unit_test(path_len), cmocka_unit_test(query),      cmocka_unit_test(decode),
        cmocka_unit_test(encode),   cmocka_unit_test(round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
