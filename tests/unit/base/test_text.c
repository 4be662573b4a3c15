/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"

static void clean(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "a b",
                                       "\xC2\x80",
                                       "\xDF\xBF",
                                       "\xE0\xA0\x80",
                                       "\xED\x9F\xBF",
                                       "\xEE\x80\x80",
                                       "\xF0\x90\x80\x80",
                                       "\xF4\x8F\xBF\xBF"};
    static const char *const bad[] = {
        "\n",           "\x7F",      "\x80",         "\xC0\x80",         "\xC1\xBF",
        "\xC2",         "a\xE2\x82", "\xE0\x9F\xBF", "\xED\xA0\x80",     "\xF0\x8F\xBF\xBF",
        "\xC3(",        "\xE2(\xA1", "\xE2\x82(",    "\xF4\x90\x80\x80", "\xF5\x80\x80\x80",
        "\xF0\x90\x80", "\xFE",      "\xFF"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(text_clean(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(text_clean(bad[i]));
}

static void copy(void **state)
{
    (void)state;
    char out[8];
    text_copy(out, sizeof out, "abc", 2);
    assert_string_equal(out, "ab");
    text_copy(out, sizeof out, "a\0b", 3);
    assert_string_equal(out, "a");
    text_copy(out, sizeof out, "a\x1B\xFF", 3);
    assert_string_equal(out, "a ?");
    text_copy(out, sizeof out, "0123456789", 10);
    assert_string_equal(out, "0123456");
    /* cut in front of the character that does not fit, not inside it */
    text_copy(out, sizeof out, "01234\xE2\x82\xAC", 8);
    assert_string_equal(out, "01234");
    text_copy(out, sizeof out, "\xE2\x82\xAC", 2);
    assert_string_equal(out, "??");
    text_copy(out, 1, "abc", 3);
    assert_string_equal(out, "");
    text_copy(out, sizeof out, "", 0);
    assert_string_equal(out, "");
}

static void assert_mended(const char *from, const char *to)
{
    size_t len = strlen(from);
    char *text = malloc(len + 1);
    memcpy(text, from, len + 1);
    text_mend(text, len);
    assert_string_equal(text, to);
    free(text);
}

static void mends(void **state)
{
    (void)state;
    assert_mended("", "");
    assert_mended("plain\ttext ~", "plain\ttext ~");
    assert_mended("\x1b[31mred\x7f", "?[31mred?");
    assert_mended("Größe 語 🚂", "Größe 語 🚂");
    assert_mended("\xff\xfe", "??");
    assert_mended("\xc3", "?");
    assert_mended("\xc3(", "?(");
    assert_mended("\xc0\xaf", "??");           /* overlong */
    assert_mended("\xed\xa0\x80", "???");      /* a surrogate */
    assert_mended("\xf4\x90\x80\x80", "????"); /* beyond U+10FFFF */
    assert_mended("\xe8\xaa", "??");
}

/* Eight bytes are looked at together: each byte counts wherever it stands. */
static void every_byte_in_every_place(void **state)
{
    char text[17], wanted[17], out[17];
    (void)state;
    for (unsigned byte = 1; byte < 256; byte++)
        for (size_t at = 0; at < 16; at++) {
            memset(text, '~', sizeof text);
            text[16] = '\0';
            memcpy(wanted, text, sizeof text);
            text[at] = (char)byte;
            wanted[at] = (char)(byte >= 0x80 ? '?' : byte < 0x20 || byte == 0x7F ? ' ' : byte);
            text_copy(out, sizeof out, text, 16);
            assert_string_equal(out, wanted);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(clean), cmocka_unit_test(copy),
                                       cmocka_unit_test(mends),
                                       cmocka_unit_test(every_byte_in_every_place)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
