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
    assert_false(keys_have(&k, ""));
    keys_add(&k, "one");
    keys_add(&k, "two");
    assert_int_equal(k.n, 2);
    assert_true(keys_have(&k, "one"));
    assert_true(keys_have(&k, "two"));
    assert_false(keys_have(&k, ""));
    assert_false(keys_have(&k, "on"));
    assert_false(keys_have(&k, "onee"));
    assert_false(keys_have(&k, "One"));
    keys_finish(&k);
    assert_false(keys_have(&k, "one"));
}

static void the_text_is_not_kept(void **state)
{
    struct keys k = {0};
    (void)state;
    keys_add(&k, "sk-secret");
    assert_null(memmem(k.digest, k.n * sizeof *k.digest, "sk-", 3));
    keys_finish(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_those_that_were_added),
        cmocka_unit_test(the_text_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
