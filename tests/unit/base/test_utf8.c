/* SPDX-License-Identifier: MIT */
/* Every character, and every sequence of up to three bytes, against RFC 3629's own arithmetic. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/utf8.h"

static bool is_character(const unsigned char *s, size_t n)
{
    struct utf8 u = {0};
    for (size_t i = 0; i < n; i++)
        if (!utf8_next(&u, s[i]) || (!u.due && i + 1 < n))
            return false;
    return !u.due;
}

static size_t encode(uint32_t c, unsigned char *out)
{
    if (c < 0x80) {
        out[0] = (unsigned char)c;
        return 1;
    }
    const size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (unsigned char)(0x80 | (c & 0x3F));
    out[0] = (unsigned char)((0xF00 >> n & 0xFF) | c);
    return n;
}

static void every_character(void **state)
{
    unsigned char s[4];
    (void)state;
    for (uint32_t c = 0; c < 0x120000; c++) {
        const size_t n = encode(c, s);
        const bool valid = (c < 0xD800 || c > 0xDFFF) && c < 0x110000;
        assert_int_equal(is_character(s, n), valid);
        assert_false(n > 1 && is_character(s, n - 1));
    }
}

static void nothing_else(void **state)
{
    unsigned valid = 0;
    (void)state;
    for (uint32_t v = 0; v < 1 << 24; v++)
        valid +=
            is_character((unsigned char[]){(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v}, 3);
    assert_int_equal(valid, 0x10000 - 0x800 - 0x800); /* those of three bytes, without surrogates */
    valid = 0;
    for (uint32_t v = 0; v < 1 << 16; v++)
        valid += is_character((unsigned char[]){(uint8_t)(v >> 8), (uint8_t)v}, 2);
    assert_int_equal(valid, 0x800 - 0x80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_character),
        cmocka_unit_test(nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
