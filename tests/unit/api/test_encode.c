/* SPDX-License-Identifier: MIT */
/* What is written is what jansson writes, byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/encode.h"

static void assert_same(const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    struct buf out;
    assert_non_null(value);
    buf_init(&out, BUF_UNBOUNDED);
    assert_int_equal(encode_json(&out, value), 0);
    char *expected = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    assert_string_equal(buf_cstr(&out), expected);
    free(expected);
    json_decref(value);
    buf_finish(&out);
}

static void values(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "true",
        "false",
        "null",
        "0",
        "-9223372036854775808",
        "9223372036854775807",
        "0.1",
        "1e300",
        "-3.0",
        "\"\"",
        "\"plain\"",
        "\"\\\"\\\\\\b\\f\\n\\r\\t/\"",
        "\"\\u0000\\u0001\\u001f\\u007f\"",
        "\"ends in one\\n\"",
        "\"\\u00e9\\u20ac\\ud83d\\ude00\"",
        "[]",
        "{}",
        "[1,[2,[]],{}]",
        "{\"b\":1,\"a\":{\"c\":[null,\"x\"]},\"\":{},\"q\\\"uote\":\"{\"}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_same(texts[i]);
}

static void a_ceiling_is_kept(void **state)
{
    (void)state;
    static const char text[] = "{\"a\":[1,\"two\",null]}";
    json_t *value = json_loads(text, 0, NULL);
    for (size_t max = 0; max < sizeof text; max++) {
        struct buf out;
        buf_init(&out, max);
        assert_int_equal(encode_json(&out, value) == 0, max == sizeof text - 1);
        buf_finish(&out);
    }
    json_decref(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(a_ceiling_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
