/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/run/editor.h"

static void what_is_pasted_becomes_text(void **state)
{
    static const char *const cases[][2] = {{"a\rb\r\nc\n", "a\nb\nc"},
                                           {"\tindented\r\r", "\tindented"},
                                           {"\r\n\r\n", ""},
                                           {"", ""},
                                           {"\x1b[31mred\x07\x7f", "[31mred"},
                                           {"ünïcode", "ünïcode"},
                                           {"\n\nfirst", "\n\nfirst"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = strdup(cases[i][0]);
        assert_string_equal(run_editor_pasted(text), cases[i][1]);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_pasted_becomes_text)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
