/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "message/json_tokens.h"

static const char signs[] = {
    [TOKEN_NONE] = '-',   [TOKEN_BAD] = '?',       [TOKEN_OBJECT] = '{',   [TOKEN_OBJECT_END] = '}',
    [TOKEN_ARRAY] = '[',  [TOKEN_ARRAY_END] = ']', [TOKEN_KEY] = 'k',      [TOKEN_STRING] = 's',
    [TOKEN_NUMBER] = 'n', [TOKEN_LITERAL] = 'l',   [TOKEN_TOO_DEEP] = 'D', [TOKEN_NULL] = '0'};

static bool has_pieces(enum json_token token)
{
    return token == TOKEN_KEY || token == TOKEN_STRING || token == TOKEN_NUMBER ||
           token == TOKEN_LITERAL || token == TOKEN_NULL;
}

struct trace {
    struct json_tokens tokens;
    bool texts; /* what strings mean, instead of how they are written */
    struct buf out;
    size_t used;
    bool open; /* a token whose last piece has not come */
};

static void add_piece(struct trace *t, const struct json_piece *piece)
{
    assert_int_equal(piece->first, !t->open);
    t->open = !piece->last;
    if (piece->first)
        buf_puts(&t->out, "(");
    if (t->texts)
        buf_append(&t->out, piece->text, piece->text_len);
    else
        buf_append(&t->out, piece->data, piece->len);
    if (piece->last)
        buf_puts(&t->out, ")");
}

/* False: it is wrong. */
static bool feed(struct trace *t, const char *data, size_t len)
{
    const char *at = data, *end = data + len;
    while (at < end) {
        struct json_piece piece;
        enum json_token token = json_tokens_next(&t->tokens, &at, end, &piece);
        if (token != TOKEN_NONE && (!t->open || !has_pieces(token)))
            buf_append(&t->out, &signs[token], 1);
        if (has_pieces(token))
            add_piece(t, &piece);
        if (token == TOKEN_BAD) {
            t->used += (size_t)(at - data);
            return false;
        }
    }
    t->used += len;
    return true;
}

/* The tokens of a document, however it is cut; '?' where it is wrong, at `*used`. */
static char *trace(const char *json, size_t len, bool texts, size_t *used, bool *complete)
{
    char *whole = NULL;
    for (size_t cut = len ? len : 1; cut > 0; cut = cut > 4 ? 4 : cut - 1) {
        struct trace t = {.texts = texts};
        buf_init(&t.out, BUF_UNBOUNDED);
        json_tokens_init(&t.tokens);
        t.tokens.in_detail = texts;
        for (size_t at = 0; at < len; at += cut)
            if (!feed(&t, json + at, len - at < cut ? len - at : cut))
                break;
        assert_true(!whole || *used == t.used);
        *used = t.used;
        *complete = json_tokens_is_complete(&t.tokens);
        char *out = buf_take(&t.out);
        /* A piece that is wrong may have begun. */
        assert_true(!whole || strchr(whole, '?') || strcmp(whole, out) == 0);
        free(whole);
        whole = out;
    }
    return whole;
}

static void assert_tokens(const char *json, bool texts, const char *expected)
{
    size_t used;
    bool complete;
    char *out = trace(json, strlen(json), texts, &used, &complete);
    assert_string_equal(out, expected);
    assert_int_equal(used, strlen(json));
    assert_true(complete);
    free(out);
}

static void assert_wrong(const char *json, size_t at)
{
    size_t used;
    bool complete;
    char *out = trace(json, strlen(json), true, &used, &complete);
    assert_int_equal(out[strlen(out) - 1], '?');
    assert_int_equal(used, at);
    free(out);
}

static void all_tokens(void **state)
{
    (void)state;
    assert_tokens("{\"a\":[1,-2.5e+3,\"x\",true,false,null,{},[]],\"b\":0}", false,
                  "{k(\"a\")[n(1)n(-2.5e+3)s(\"x\")l(true)l(false)0(null){}[]]k(\"b\")n(0)}");
    assert_tokens(" \t\r\n{ \"a\" : [ 1 , 2 ] , \"b\" : { } } \n", false,
                  "{k(\"a\")[n(1)n(2)]k(\"b\"){}}");
    assert_tokens("\xEF\xBB\xBF[]", false, "[]");
    assert_tokens("17", false, "n(17");
    assert_tokens("\"\"", false, "s(\"\")");
}

static void strings_as_written_and_as_meant(void **state)
{
    (void)state;
    const char *json =
        "[\"a\\n\\\\\\\"b\",\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\",\"\\/\\b\\f\\r\\t\"]";
    assert_tokens(
        json, false,
        "[s(\"a\\n\\\\\\\"b\")s(\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\")s(\"\\/\\b\\f\\r\\t\")]");
    assert_tokens(json, true, "[s(a\n\\\"b)s(A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80)s(/\b\f\r\t)]");
    /* Plain characters are passed over by 8 and by 64. */
    char text[303];
    for (size_t len = 2; len < sizeof text; len++) {
        memset(text, 'x', len);
        text[0] = text[len - 1] = '"';
        text[len] = '\0';
        struct buf expected;
        buf_init(&expected, BUF_UNBOUNDED);
        buf_printf(&expected, "s(%s)", text);
        assert_tokens(text, false, buf_cstr(&expected));
        buf_finish(&expected);
        if (len < 4)
            continue;
        text[len - 2] = '\x1f';
        assert_wrong(text, len - 2);
    }
}

static void bytes_that_may_be_in_a_string(void **state)
{
    (void)state;
    char text[] = "\"0123456789abcdef\"";
    for (size_t at = 1; at < sizeof text - 2; at++) {
        for (int c = 1; c < 256; c++) {
            if (c == '\\' || c == '?')
                continue;
            char plain[sizeof text];
            memcpy(plain, text, sizeof text);
            plain[at] = (char)c;
            size_t used;
            bool complete;
            char *out = trace(plain, sizeof text - 1, false, &used, &complete);
            assert_int_equal(!strchr(out, '?'), c >= 0x20 && c != '"');
            free(out);
        }
    }
}

static void what_is_wrong_and_where(void **state)
{
    (void)state;
    assert_wrong("{]", 1);
    assert_wrong("[}", 1);
    assert_wrong("[1,]", 3);
    assert_wrong("{\"a\":1,}", 7);
    assert_wrong("{\"a\" 1}", 5);
    assert_wrong("{1:2}", 1);
    assert_wrong("[1 2]", 3);
    assert_wrong("[tru]", 4);
    assert_wrong("[nulL]", 4);
    assert_wrong("[01]", 2);
    assert_wrong("[-]", 2);
    assert_wrong("[1.]", 3);
    assert_wrong("[1e]", 3);
    assert_wrong("[1e+]", 4);
    assert_wrong("[+1]", 1);
    assert_wrong("[\"\\x\"]", 3);
    assert_wrong("[\"\\u12g4\"]", 6);
    assert_wrong("[\"\\ud800\"]", 8);
    assert_wrong("[\"\\ud800\\n\"]", 9);
    assert_wrong("[\"\\ud800\\u0041\"]", 13);
    assert_wrong("[\"\\udc00\"]", 7);
    assert_wrong("[\"a\tb\"]", 3);
    assert_wrong("[]]", 2);
    assert_wrong("\xEF\xBB{", 2);
}

static void what_is_cut_short_is_not_complete(void **state)
{
    (void)state;
    static const char json[] = "{\"a\":[1,{\"b\":\"c\\u0041\"},null]}";
    for (size_t len = 0; len < sizeof json - 1; len++) {
        size_t used;
        bool complete;
        char *out = trace(json, len, true, &used, &complete);
        assert_false(complete);
        assert_null(strchr(out, '?'));
        free(out);
    }
}

static void behind_a_zero_byte_nothing_is_read(void **state)
{
    (void)state;
    static const char json[] = "[] \0}}}";
    size_t used;
    bool complete;
    char *out = trace(json, sizeof json - 1, true, &used, &complete);
    assert_string_equal(out, "[]");
    assert_true(complete);
    free(out);
}

static char *nested(size_t depth)
{
    struct buf b;
    buf_init(&b, BUF_UNBOUNDED);
    for (size_t i = 0; i < depth; i++)
        buf_puts(&b, i % 2 ? "{\"a\":" : "[");
    buf_puts(&b, "\"]}\\\"\"");
    for (size_t i = depth; i-- > 0;)
        buf_puts(&b, i % 2 ? "}" : "]");
    return buf_take(&b);
}

static void too_deep_a_value_is_passed_over(void **state)
{
    (void)state;
    for (size_t beyond = 0; beyond < 3; beyond++) {
        size_t used;
        bool complete;
        char *json = nested(JSON_DEPTH + beyond);
        char *out = trace(json, strlen(json), true, &used, &complete);
        assert_true(complete);
        assert_null(strchr(out, '?'));
        assert_int_equal(!strchr(out, 'D'), !beyond);
        free(out);
        free(json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_tokens),
        cmocka_unit_test(strings_as_written_and_as_meant),
        cmocka_unit_test(bytes_that_may_be_in_a_string),
        cmocka_unit_test(what_is_wrong_and_where),
        cmocka_unit_test(what_is_cut_short_is_not_complete),
        cmocka_unit_test(behind_a_zero_byte_nothing_is_read),
        cmocka_unit_test(too_deep_a_value_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
