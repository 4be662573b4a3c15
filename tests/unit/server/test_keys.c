/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "server/keys.h"

static void only_those_that_were_added(void **state)
{
    struct keys k = {0};
    (void)state;
    assert_null(keys_find(&k, ""));
    keys_add(&k, "one", NULL);
    keys_add(&k, "two", NULL);
    assert_int_equal(k.n, 2);
    assert_non_null(keys_find(&k, "one"));
    assert_non_null(keys_find(&k, "two"));
    assert_null(keys_find(&k, ""));
    assert_null(keys_find(&k, "on"));
    assert_null(keys_find(&k, "onee"));
    assert_null(keys_find(&k, "One"));
    keys_finish(&k);
    assert_null(keys_find(&k, "one"));
}

static void the_text_is_not_kept(void **state)
{
    struct keys k = {0};
    (void)state;
    keys_add(&k, "sk-secret", NULL);
    assert_null(memmem(k.digest, k.n * sizeof *k.digest, "sk-", 3));
    keys_finish(&k);
}

static void uncaptured(void **state)
{
    struct keys k = {0};
    (void)state;
    keys_add(&k, "one", "same");
    keys_set_uncaptured(&k);
    keys_add(&k, "two", "same");
    assert_true(keys_is_uncaptured(&k, keys_find(&k, "one")));
    assert_false(keys_is_uncaptured(&k, keys_find(&k, "two")));
    keys_finish(&k);
}

static void names(void **state)
{
    struct keys k = {0};
    (void)state;
    keys_add(&k, "one", NULL);
    keys_add(&k, "two", "alice");
    keys_add(&k, "three", "");
    assert_string_equal(keys_find(&k, "one"), "key 1");
    assert_string_equal(keys_find(&k, "two"), "alice");
    assert_string_equal(keys_find(&k, "three"), "key 3");
    keys_finish(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_those_that_were_added),
        cmocka_unit_test(the_text_is_not_kept),
        cmocka_unit_test(uncaptured),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
