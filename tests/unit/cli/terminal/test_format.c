/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"
#include "cli/terminal/format.h"

static void bytes_have_three_digits_at_most(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        {0, "0 B"},
        {1, "1 B"},
        {1023, "1023 B"},
        {1024, "1.0 KiB"},
        {1536, "1.5 KiB"},
        {102348, "99.9 KiB"},
        {102400, "100 KiB"},
        {1024 * 1024 - 1, "1.0 MiB"}, /* and not 1024 KiB */
        {98362432, "93.8 MiB"},
        {253113024, "241 MiB"},
        {24ULL << 30, "24.0 GiB"},
        {UINT64_MAX, "16.0 EiB"},
    };
    char out[FORMAT_SIZE];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(format_bytes(cases[i].bytes, out, sizeof out), cases[i].text);
}

static void times_are_short(void **state)
{
    static const struct {
        uint64_t ms;
        const char *text;
    } cases[] = {
        {0, "0 ms"},    {99, "99 ms"},   {100, "0.1 s"}, {1249, "1.2 s"},  {9949, "9.9 s"},
        {9950, "10 s"}, {59499, "59 s"}, {59500, "1m"},  {185000, "3m5s"}, {UINT64_MAX / 2, NULL},
    };
    char out[FORMAT_SIZE];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        format_elapsed(cases[i].ms, out, sizeof out);
        if (cases[i].text)
            assert_string_equal(out, cases[i].text);
    }
}

static void assert_clean(const char *text, enum format_sanitize how, const char *wanted)
{
    char *copy = mem_strdup(text);
    assert_string_equal(format_sanitize(copy, how), wanted);
    free(copy);
}

static void nothing_steers_the_terminal(void **state)
{
    (void)state;
    assert_clean("plain", FORMAT_ONE_LINE, "plain");
    assert_clean("\033[31mred\007", FORMAT_ONE_LINE, "?[31mred?");
    assert_clean("a\nb\tc\r", FORMAT_ONE_LINE, "a?b?c?");
    assert_clean("a\nb\tc\r", FORMAT_KEEP_NEWLINES, "a\nb\tc?");
    assert_clean("\xc2\x9b"
                 "31m\x7f",
                 FORMAT_KEEP_NEWLINES, "??31m?");
    assert_clean("ünï🚀日本", FORMAT_ONE_LINE, "ünï🚀日本");
    assert_clean("cut\xc2", FORMAT_ONE_LINE, "cut\xc2");
}

static void width_is_in_columns(void **state)
{
    (void)state;
    assert_int_equal(format_width(""), 0);
    assert_int_equal(format_width("abc"), 3);
    assert_int_equal(format_width("ünï"), 3);
    assert_int_equal(format_width("日本"), 4);
    assert_int_equal(format_width("🚀"), 2);
    assert_int_equal(format_width("e\xcc\x81"), 1); /* e and a combining accent */
    assert_int_equal(format_width("\xff\xfe"), 2);  /* no UTF-8 */
    assert_int_equal(format_width("a\xe6\x97"), 3); /* half a letter */
}

static void fit_cuts_no_letter(void **state)
{
    (void)state;
    assert_int_equal(format_fit("abc", 2), 2);
    assert_int_equal(format_fit("abc", 9), 3);
    assert_int_equal(format_fit("日本", 3), 3);
    assert_int_equal(format_fit("日本", 1), 0);
    assert_int_equal(format_fit("ü", 0), 0);
}

static void assert_shell(const char *text, const char *wanted)
{
    char *quoted = format_shell(text);
    assert_string_equal(quoted, wanted);
    free(quoted);
}

static void shell_words_are_quoted(void **state)
{
    (void)state;
    assert_shell("user/repo:Q4_K-M", "user/repo:Q4_K-M");
    assert_shell("", "''");
    assert_shell("a b", "'a b'");
    assert_shell("$(touch x)", "'$(touch x)'");
    assert_shell("it's", "'it'\\''s'");
    assert_shell("ü", "'ü'");
    assert_shell("a\nb\x1b", "$'a\\012b\\033'");
    assert_shell("it's\t\\1\xc2\x9b", "$'it\\'s\\011\\\\1\\302\\233'");
}

static void failure_is(const char *message, const char *expected)
{
    char *text = format_failure("m", message);
    assert_string_equal(text, expected);
    free(text);
}

static void test_failure(void **state)
{
    (void)state;
    failure_is("why", "why");
    failure_is("the engine of model 'm' ended", "its engine ended");
    failure_is("the engine of model 'n' ended", "the engine of model 'n' ended");
    failure_is("log:\na\n0.1 E b\nc\n", "log:\n           0.1 E b");
    failure_is("log:\n1\n2\n3\n4\n5\n6\n7\n8",
               "log:\n           1\n           2\n           …\n           5\n           6\n"
               "           7\n           8"); /* the cause may stand first */
    failure_is(
        "log:\n1\n2\n3\n4\n5\n6",
        "log:\n           1\n           2\n           3\n           4\n           5\n           6");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_have_three_digits_at_most),
        cmocka_unit_test(times_are_short),
        cmocka_unit_test(nothing_steers_the_terminal),
        cmocka_unit_test(width_is_in_columns),
        cmocka_unit_test(fit_cuts_no_letter),
        cmocka_unit_test(shell_words_are_quoted),
        cmocka_unit_test(test_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
