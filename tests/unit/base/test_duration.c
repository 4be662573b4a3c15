/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"

#define DAY 86400000ULL

static void good(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } table[] = {
        {"0", 0},
        {"90", 90000},
        {"1.5", 1500},
        {"007", 7000},
        {"0s", 0},
        {"90s", 90000},
        {"5m", 300000},
        {"1h30m", 5400000},
        {"250ms", 250},
        {"1.5h", 5400000},
        {"1m500ms", 60500},
        {"1d", DAY},
        {"1d2h3m4s5ms", DAY + 7384005},
        {"1s1s", 2000},
        {"0.1ms", 0},
        {"0.5ms", 1},
        {"0.0004s", 0},
        {"0.333s", 333},
        {"36500d", 36500 * DAY},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        uint64_t ms = 77;
        if (duration_parse(table[i].text, &ms) || ms != table[i].ms)
            fail_msg("'%s' gives %llu", table[i].text, (unsigned long long)ms);
    }
}

static void bad(void **state)
{
    (void)state;
    static const char *const table[] = {
        "",       " ",    "s",     "-1",        "+1",         "1 s",  " 1s",  "1s ",
        "1x",     "1S",   "1h30",  ".5s",       ".",          "1..5", "1.5.", "1.2.3",
        "1.2.3s", "0x10", "1e3",   "inf",       "nan",        "1,5s", "1ms2", "5min",
        "1hour",  "m",    "1s-1s", "\xc2\xb5s", "1\xc2\xb5s", "1.",   "1.s",
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        uint64_t ms = 77;
        int rc = duration_parse(table[i], &ms);
        if (rc != -EINVAL)
            fail_msg("'%s' gives %d and %llu ms", table[i], rc, (unsigned long long)ms);
        assert_int_equal(ms, 77);
    }
}

static void too_long(void **state)
{
    (void)state;
    char many[400];
    uint64_t ms = 77;
    memset(many, '9', sizeof many - 1);
    many[sizeof many - 1] = '\0';
    assert_int_equal(duration_parse("36501d", &ms), -ERANGE);
    assert_int_equal(duration_parse("36500d1ms", &ms), -ERANGE);
    assert_int_equal(duration_parse("99999999999999999999", &ms), -ERANGE);
    assert_int_equal(duration_parse(many, &ms), -ERANGE);
    assert_int_equal(ms, 77);
}

static void format(void **state)
{
    (void)state;
    static const struct {
        uint64_t ms;
        const char *text;
    } table[] = {
        {0, "0ms"},
        {850, "850ms"},
        {999, "999ms"},
        {1000, "1s"},
        {12999, "12s"},
        {59999, "59s"},
        {60000, "1m"},
        {310000, "5m10s"},
        {3599999, "59m59s"},
        {3600000, "1h"},
        {3659999, "1h"},
        {5400000, "1h30m"},
        {DAY - 1, "23h59m"},
        {DAY, "1d"},
        {3 * DAY + 4 * 3600000, "3d4h"},
        {36500 * DAY, "36500d"},
    };
    char out[32];
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_string_equal(duration_format(table[i].ms, out, sizeof out), table[i].text);
}

static void format_is_cut_to_its_room(void **state)
{
    (void)state;
    char out[4];
    assert_string_equal(duration_format(310000, out, sizeof out), "5m1");
}

static void what_is_formatted_can_be_parsed(void **state)
{
    (void)state;
    static const uint64_t table[] = {1, 850, 12000, 310000, 5400000, 3 * DAY + 4 * 3600000};
    char out[32];
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        uint64_t ms;
        assert_int_equal(duration_parse(duration_format(table[i], out, sizeof out), &ms), 0);
        assert_int_equal(ms, table[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good),
        cmocka_unit_test(bad),
        cmocka_unit_test(too_long),
        cmocka_unit_test(format),
        cmocka_unit_test(format_is_cut_to_its_room),
        cmocka_unit_test(what_is_formatted_can_be_parsed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
