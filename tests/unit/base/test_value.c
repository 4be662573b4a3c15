/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/value.h"

static struct error err;

/* A refusal says what it was given. */
static void assert_quoted(int rc, const char *text)
{
    assert_true(rc < 0);
    if (!strstr(err.text, text))
        fail_msg("'%s' is not in: %s", text, err.text);
    err = (struct error){0};
}

static void counts(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      " ",
                                      "-1",
                                      "1.5",
                                      "5x",
                                      "1e3",
                                      "0x1",
                                      "a",
                                      "1,2",
                                      "1 2",
                                      "2147483648",
                                      "-2147483649",
                                      "99999999999999999999"};
    unsigned n = 7;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_quoted(value_count(bad[i], &n, &err), bad[i]);
    assert_int_equal(n, 7); /* what was refused was not written */
    assert_int_equal(value_count("0", &n, &err), 0);
    assert_int_equal(n, 0);
    assert_int_equal(value_count("2147483647", &n, &err), 0);
    assert_true(n == INT_MAX);
    static const char *const good[] = {" 5", "5 ", "5\r\n", "+5", " +5\t"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        n = 7;
        assert_int_equal(value_count(good[i], &n, &err), 0);
        assert_int_equal(n, 5);
    }
    assert_int_equal(value_count("007", &n, &err), 0);
    assert_int_equal(n, 7);
    assert_string_equal(err.text, "");
}

static void whole_numbers(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",   " ", "-", "1.5", "a", "0x10", "2147483648", "-2147483649", "99999999999999999999",
        "--1"};
    int n = 7;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_quoted(value_int(bad[i], &n, &err), bad[i]);
    assert_int_equal(n, 7);
    assert_int_equal(value_int(" -12 ", &n, &err), 0);
    assert_int_equal(n, -12);
    assert_int_equal(value_int("2147483647", &n, &err), 0);
    assert_int_equal(n, INT_MAX);
    assert_int_equal(value_int("-2147483648", &n, &err), 0);
    assert_int_equal(n, INT_MIN);
}

static void times(void **state)
{
    (void)state;
    uint64_t ms = 7;
    assert_quoted(value_time("soon", &ms, &err), "soon");
    assert_quoted(value_time("", &ms, &err), "''");
    assert_quoted(value_time("-1", &ms, &err), "-1");
    assert_int_equal(value_time("200000d", &ms, &err), -ERANGE);
    assert_quoted(-1, "100 years");
    assert_int_equal(value_time("90", &ms, &err), 0);
    assert_int_equal(ms, 90000);
    assert_int_equal(value_time("1h30m", &ms, &err), 0);
    assert_int_equal(ms, 5400000);
}

static void sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0},
        {"0G", 0},
        {"1", 1},
        {"1048576", 1 << 20},
        {"512M", 512ULL << 20},
        {"8G", 8ULL << 30},
        {"8GiB", 8ULL << 30},
        {"8gib", 8ULL << 30},
        {"8g", 8ULL << 30},
        {"3K", 3072},
        {"2T", 2ULL << 40},
        {"1.5G", 3ULL << 29},
        {"0.25k", 256},
        {"1.0000000001K", 1024},
        {"9007199254740993", 9007199254740993}, /* no double is this number */
        {"9223372036854775807", INT64_MAX},
        {"8388607T", 8388607ULL << 40},
    };
    static const char *const bad[] = {"",    " 8G", "8 G", "8G ", "-1",   "+1",  "G",      "8GB",
                                      "8X",  "8Gi", "1.",  "1.G", ".5G",  "1.5", "1.5.5G", "0x10",
                                      "inf", "nan", "1e9", "8B",  "8G8M", "many"};
    static const char *const large[] = {"9223372036854775808", "8388608T", "99999999999999999999",
                                        "99999999999999999999T"};
    uint64_t bytes = 7;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_quoted(value_memory(bad[i], &bytes, &err), bad[i]);
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
        assert_int_equal(value_memory(large[i], &bytes, &err), -ERANGE);
        assert_quoted(-1, large[i]);
    }
    assert_true(bytes == 7);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(value_memory(good[i].text, &bytes, &err), 0);
        if (bytes != good[i].bytes)
            fail_msg("%s: %llu", good[i].text, (unsigned long long)bytes);
    }
    assert_string_equal(err.text, "");
}

static void truths(void **state)
{
    (void)state;
    static const char *const yes[] = {"on", "enabled", "true", "1", "yes", "ON", "True"};
    static const char *const no[] = {"off", "disabled", "false", "0", "no", "Off", "FALSE"};
    static const char *const neither[] = {"", "yes!", "2", "on ", "auto", "tru"};
    bool on;
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        on = false;
        assert_int_equal(value_truth(yes[i], &on, &err), 0);
        assert_true(on);
    }
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        on = true;
        assert_int_equal(value_truth(no[i], &on, &err), 0);
        assert_false(on);
    }
    for (size_t i = 0; i < sizeof neither / sizeof *neither; i++)
        assert_quoted(value_truth(neither[i], &on, &err), neither[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts), cmocka_unit_test(whole_numbers), cmocka_unit_test(times),
        cmocka_unit_test(sizes),  cmocka_unit_test(truths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
