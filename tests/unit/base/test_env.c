/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/env.h"

static void of_an_environment(void **state)
{
    char *const env[] = {"HOME=/root", "EMPTY=", "HOMER=x", "odd", "A=b=c", "HOME=/second", NULL};
    char *const none[] = {NULL};
    (void)state;
    assert_string_equal(env_get(env, "HOME"), "/root");
    assert_string_equal(env_get(env, "HOMER"), "x");
    assert_string_equal(env_get(env, "A"), "b=c");
    assert_null(env_get(env, "HOM"));
    assert_null(env_get(env, "EMPTY"));
    assert_null(env_get(env, "odd"));
    assert_null(env_get(env, "home"));
    assert_null(env_get(none, "HOME"));
    assert_null(env_get(NULL, "HOME"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_an_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
