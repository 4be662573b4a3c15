/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/model_name.h"

/* As the build of llama.cpp that the conformance suite runs lists a section of each name. */
static void normal(void **state)
{
    static const char *const names[][2] = {{"u/r:UD-Q8_K_XL", "u/r:Q8_K_XL"},
                                           {"u/r:q8_k_xl", "u/r:Q8_K_XL"},
                                           {"u/r:a.b-c", "u/r:C"},
                                           {"m:8b", "m:8B"},
                                           {"my:model-a.b", "my:B"},
                                           {"a:b:c-d", "a:b:D"},
                                           {"a:x/y-z", "a:Z"},
                                           {":b", ":B"},
                                           {"a:x-", "a:X-"},
                                           {"a:x-+", "a:X-+"},
                                           {"a:x-y z", "a:X-Y Z"},
                                           {"a:gr\xC3\xB6\xC3\x9F"
                                            "e",
                                            "a:GR\xC3\xB6\xC3\x9F"
                                            "E"},
                                           {"U/r:Q4", "U/r:Q4"},
                                           {"a:", "a:"},
                                           {"a:-", "a:-"},
                                           {"ab-c.d", "ab-c.d"},
                                           {"", ""}};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *made = model_name_normal(names[i][0]), *again = model_name_normal(made);
        assert_string_equal(made, names[i][1]);
        assert_string_equal(again, made);
        assert_true(model_name_is_normal(made));
        assert_int_equal(model_name_is_normal(names[i][0]), strcmp(names[i][0], names[i][1]) == 0);
        free(made);
        free(again);
    }
}

static void same(void **state)
{
    (void)state;
    assert_true(model_name_same("u/r:UD-Q4", "u/r:q4"));
    assert_true(model_name_same("m", "m"));
    assert_false(model_name_same("u/r:Q4", "u/R:Q4"));
    assert_false(model_name_same("u/r:Q4", "u/r"));
    assert_false(model_name_same("M", "m"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normal),
        cmocka_unit_test(same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
