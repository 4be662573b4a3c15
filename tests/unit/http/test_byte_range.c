/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "http/byte_range.h"

/* The parts of 10 bytes as a text. */
static void assert_parts(const char *field, const char *expected)
{
    struct byte_range parts[BYTE_RANGES_MAX];
    char text[256] = "";
    size_t n = byte_ranges_parse(parts, field, 10), at = 0;
    for (size_t i = 0; i < n; i++)
        at +=
            (size_t)snprintf(text + at, sizeof text - at, "%llu-%llu ",
                             (unsigned long long)parts[i].first, (unsigned long long)parts[i].last);
    assert_string_equal(text, expected);
}

static void parts_that_can_be_had(void **state)
{
    (void)state;
    assert_parts("bytes=0-0", "0-0 ");
    assert_parts("bytes=9-", "9-9 ");
    assert_parts("bytes=3-99999999999999999999999999", "3-9 ");
    assert_parts("bytes=-3", "7-9 ");
    assert_parts("bytes=-30", "0-9 ");
    assert_parts("bytes=0-1, 4-5 ,\t-1", "0-1 4-5 9-9 ");
}

static void parts_that_cannot(void **state)
{
    static const char *const fields[] = {
        "",           "bytes",       "bytes=",     "bytes=-",    "bytes=-0",   "bytes=10-",
        "bytes=2-1",  "bytes=x",     "bytes=1",    "bytes=1-x",  "bytes=1-2x", "bytes=1-2,",
        "items=0-1",  "bytes=0-0,x", "bytes=--1",  "bytes=+1-2", "bytes=1 -2", "bytes=0-0,10-11",
        "bytes=-1-2", "Bytes=0-1",   "bytes=,0-1",
    };
    (void)state;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        assert_parts(fields[i], "");
}

static void of_an_empty_file_there_are_none(void **state)
{
    struct byte_range parts[BYTE_RANGES_MAX];
    (void)state;
    assert_int_equal(byte_ranges_parse(parts, "bytes=0-", 0), 0);
    assert_int_equal(byte_ranges_parse(parts, "bytes=-1", 0), 0);
}

static void too_many_are_refused(void **state)
{
    struct byte_range parts[BYTE_RANGES_MAX];
    char field[256] = "bytes=0-0";
    (void)state;
    for (size_t i = 1; i < BYTE_RANGES_MAX; i++)
        strcat(field, ",1-1");
    assert_int_equal(byte_ranges_parse(parts, field, 10), BYTE_RANGES_MAX);
    strcat(field, ",1-1");
    assert_int_equal(byte_ranges_parse(parts, field, 10), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_that_can_be_had),
        cmocka_unit_test(parts_that_cannot),
        cmocka_unit_test(of_an_empty_file_there_are_none),
        cmocka_unit_test(too_many_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
