/* SPDX-License-Identifier: MIT */
/*
 * Every body is fed whole, byte by byte, and in random cuts: the answer must be the same each time,
 * down to the offset of the first wrong byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "http/peek.h"

#define RANDOM_CUTS 8
#define ANY ((size_t)-1)

struct peek_case {
    const char *body;
    size_t len;
    enum peek_result result;
    const char *model; /* when FOUND */
    size_t error_at;   /* when MALFORMED; ANY: not looked at */
};
#define BODY(text) text, sizeof(text) - 1
#define FOUND(text, name)                                                                          \
    {                                                                                              \
        BODY(text), PEEK_FOUND, name, ANY                                                          \
    }
#define MISSING(text)                                                                              \
    {                                                                                              \
        BODY(text), PEEK_MISSING, NULL, ANY                                                        \
    }
#define NOT_STRING(text)                                                                           \
    {                                                                                              \
        BODY(text), PEEK_NOT_STRING, NULL, ANY                                                     \
    }
#define MALFORMED(text, at)                                                                        \
    {                                                                                              \
        BODY(text), PEEK_MALFORMED, NULL, at                                                       \
    }

/* xorshift32: the same cuts in every run. */
static uint32_t random_next(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

enum cut { CUT_WHOLE, CUT_BYTES, CUT_RANDOM };

static size_t cut_length(enum cut cut, size_t left, uint32_t *seed)
{
    size_t n = left;
    switch (cut) {
    case CUT_WHOLE:
        break;
    case CUT_BYTES:
        n = 1;
        break;
    case CUT_RANDOM:
        n = 1 + random_next(seed) % (random_next(seed) % 4 ? 7 : 3000);
        break;
    }
    return n < left ? n : left;
}

static void check_cut(const char *type, const struct peek_case *c, enum cut cut, uint32_t seed)
{
    struct peek *p = peek_create(type);
    enum peek_result result = PEEK_MORE;
    for (size_t at = 0; at < c->len && result == PEEK_MORE;) {
        size_t n = cut_length(cut, c->len - at, &seed);
        /* A copy of exactly this size, so that a read past its end is noticed. */
        char *piece = malloc(n);
        memcpy(piece, c->body + at, n);
        result = peek_feed(p, piece, n);
        free(piece);
        at += n;
    }
    enum peek_result end = peek_end(p);
    if (result != PEEK_MORE)
        assert_int_equal(end, result);
    if (end != c->result)
        print_error("body: %.*s\n", c->len > 200 ? 200 : (int)c->len, c->body);
    assert_int_equal(end, c->result);
    if (end == PEEK_FOUND)
        assert_string_equal(peek_model(p), c->model);
    if (end == PEEK_MALFORMED && c->error_at != ANY)
        assert_int_equal(peek_error_at(p), c->error_at);
    assert_int_equal(peek_feed(p, "x", 1), end);
    peek_destroy(p);
}

static void check(const char *type, const struct peek_case *c)
{
    check_cut(type, c, CUT_WHOLE, 1);
    if (c->len < 100000)
        check_cut(type, c, CUT_BYTES, 1);
    for (uint32_t seed = 1; seed <= RANDOM_CUTS; seed++)
        check_cut(type, c, CUT_RANDOM, seed * 7919);
}

static void check_all(const char *type, const struct peek_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check(type, &cases[i]);
}
#define CHECK_ALL(type, cases) check_all(type, cases, sizeof(cases) / sizeof(cases)[0])

/* --- JSON -------------------------------------------------------------------------------- */
static void finds_names(void **state)
{
    (void)state;
    static const struct peek_case cases[] = {
        FOUND("{\"model\":\"m\"}", "m"),
        FOUND(" \t\r\n{ \"model\" : \"a b\" } \n", "a b"),
        FOUND("\xEF\xBB\xBF{\"model\":\"m\"}", "m"),
        FOUND("{\"stream\":true,\"n\":-1.5e+10,\"model\":\"m\",\"x\":null}", "m"),
        FOUND("{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"model\":\"u/r:Q4\"}",
              "u/r:Q4"),
        FOUND("{\"model\":\"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\"}",
              "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80"),
        /* Escapes, in the value and in the key. */
        FOUND("{\"model\":\"a\\/b\\\\c\\\"d\\n\\t\\r\\b\\f\"}", "a/b\\c\"d\n\t\r\b\f"),
        FOUND("{\"model\":\"\\u00e4\\u20AC\\ud83d\\uDE00\\u0041\"}",
              "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80"
              "A"),
        FOUND("{\"mod\\u0065l\":\"m\"}", "m"),
        FOUND("{\"\\u006d\\u006f\\u0064\\u0065\\u006C\":\"m\"}", "m"),
        /* What only looks like it. */
        FOUND("{\"a\":{\"model\":\"x\"},\"model\":\"m\",\"b\":[{\"model\":\"y\"}]}", "m"),
        FOUND("{\"prompt\":\"\\\"model\\\":\\\"x\\\"\",\"model\":\"m\"}", "m"),
        FOUND("{\"models\":\"x\",\"mode\":\"y\",\"Model\":\"z\",\"model\":\"m\",\"model \":\"w\"}",
              "m"),
        FOUND("{\"model\\u0000\":\"x\",\"model\":\"m\"}", "m"),
        FOUND("{\"a\":\"model\",\"model\":\"m\"}", "m"),
        FOUND("{\"a\":[\"model\",\"b\"],\"model\":\"m\"}", "m"),
        /* The last one counts. */
        FOUND("{\"model\":\"a\",\"model\":\"b\"}", "b"),
        FOUND("{\"model\":1,\"model\":\"b\"}", "b"),
        FOUND("{\"model\":{\"model\":\"a\"},\"model\":\"b\"}", "b"),
        FOUND("{\"model\":\"long\",\"mod\\u0065l\":\"b\"}", "b"),
    };
    CHECK_ALL(NULL, cases);
    CHECK_ALL("application/json", cases);
}

static void finds_none(void **state)
{
    (void)state;
    static const struct peek_case cases[] = {
        MISSING("{}"),
        MISSING("[]"),
        MISSING(" null "),
        MISSING("true"),
        MISSING("false"),
        MISSING("0"),
        MISSING("-0.0e-0"),
        MISSING("12"),
        MISSING("\"model\""),
        MISSING("[\"model\",\"m\"]"),
        MISSING("[{\"model\":\"m\"}]"),
        MISSING("{\"a\":{\"model\":\"m\"}}"),
        MISSING("{\"a\":[[],{},[{}]],\"b\":1E5}"),
        NOT_STRING("{\"model\":null}"),
        NOT_STRING("{\"model\":12}"),
        NOT_STRING("{\"model\":[\"m\"]}"),
        NOT_STRING("{\"model\":{\"model\":\"m\"}}"),
        NOT_STRING("{\"model\":true}"),
        NOT_STRING("{\"model\":\"\"}"),
        NOT_STRING("{\"model\":\"a\",\"model\":\"\"}"),
        NOT_STRING("{\"model\":\"a\",\"model\":false}"),
        /* The zero would cut the name short. */
        NOT_STRING("{\"model\":\"a\\u0000b\"}"),
    };
    CHECK_ALL(NULL, cases);
}

static void refuses_what_is_no_json(void **state)
{
    (void)state;
    static const struct peek_case cases[] = {
        MALFORMED("", 0),
        MALFORMED("   ", 3),
        MALFORMED("hello", 0),
        MALFORMED("{", 1),
        MALFORMED("{\"model\":\"m\"", 12),
        MALFORMED("{\"model\":\"m", 11),
        MALFORMED("{\"model\":\"m\"}x", 13),
        MALFORMED("{\"model\":\"m\"}{}", 13),
        MALFORMED("{\"model\":\"m\",}", 13),
        MALFORMED("{\"model\" \"m\"}", 9),
        MALFORMED("{model:\"m\"}", 1),
        MALFORMED("{'model':'m'}", 1),
        MALFORMED("{\"model\":'m'}", 9),
        MALFORMED("{,}", 1),
        MALFORMED("{\"a\"}", 4),
        MALFORMED("{\"a\":}", 5),
        MALFORMED("{\"a\":1 \"b\":2}", 7),
        MALFORMED("[1,]", 3),
        MALFORMED("[1 2]", 3),
        MALFORMED("[1}", 2),
        MALFORMED("{\"a\":1]", 6),
        MALFORMED("]", 0),
        MALFORMED("[01]", 2),
        MALFORMED("[-]", 2),
        MALFORMED("[+1]", 1),
        MALFORMED("[.5]", 1),
        MALFORMED("[1.]", 3),
        MALFORMED("[1e]", 3),
        MALFORMED("[1e+]", 4),
        MALFORMED("1.", 2),
        MALFORMED("-", 1),
        MALFORMED("[nul]", 4),
        MALFORMED("[True]", 1),
        MALFORMED("[NaN]", 1),
        MALFORMED("nullx", 4),
        MALFORMED("{} // c", 3),
        MALFORMED("[\"a\nb\"]", 3),
        MALFORMED("[\"\x01\"]", 2),
        MALFORMED("[\"a\0\"]", 3),
        MALFORMED("[\"\\x\"]", 3),
        MALFORMED("[\"\\\0\"]", 3),
        MALFORMED("[\"\\u12g4\"]", 6),
        MALFORMED("\xEF\xBB{}", 2),
        MALFORMED(" \xEF\xBB\xBF{}", 1),
        /* Half a surrogate pair. */
        MALFORMED("[\"\\ud800\"]", 8),
        MALFORMED("[\"\\ud800\\n\"]", 9),
        MALFORMED("[\"\\ud800\\u0041\"]", 13),
        MALFORMED("[\"\\udc00\"]", 7),
        /* A name that is not UTF-8: alone, overlong, a surrogate, too far, cut short. */
        MALFORMED("{\"model\":\"a\xFF\"}", 11),
        MALFORMED("{\"model\":\"\x80\"}", 10),
        MALFORMED("{\"model\":\"\xC0\xAF\"}", 10),
        MALFORMED("{\"model\":\"\xE0\x9F\xBF\"}", 11),
        MALFORMED("{\"model\":\"\xED\xA0\x80\"}", 11),
        MALFORMED("{\"model\":\"\xF0\x8F\xBF\xBF\"}", 11),
        MALFORMED("{\"model\":\"\xF4\x90\x80\x80\"}", 11),
        MALFORMED("{\"model\":\"\xE2\x82\"}", 12),
        MALFORMED("{\"model\":\"\xE2\\n\"}", 12),
    };
    CHECK_ALL(NULL, cases);
}

/* --- bodies made by code ----------------------------------------------------------------- */
static void put(struct buf *b, const char *text)
{
    assert_int_equal(buf_puts(b, text), 0);
}

static void put_many(struct buf *b, const char *text, size_t times)
{
    while (times--)
        put(b, text);
}

static void pad_to(struct buf *b, size_t len, char with)
{
    assert_true(len >= b->len);
    size_t n = len - b->len;
    assert_int_equal(buf_reserve(b, n), 0);
    memset(b->data + b->len, with, n);
    b->len = len;
}

static void check_buf(struct buf *b, enum peek_result result, const char *model)
{
    check(NULL, &(struct peek_case){b->data, b->len, result, model, ANY});
    buf_finish(b);
}

static struct buf new_body(const char *begin)
{
    struct buf b;
    buf_init(&b, BUF_UNBOUNDED);
    put(&b, begin);
    return b;
}

static void long_names(void **state)
{
    (void)state;
    char name[PEEK_NAME_MAX + 1];
    memset(name, 'n', PEEK_NAME_MAX);
    name[PEEK_NAME_MAX] = '\0';
    struct buf b = new_body("{\"model\":\"");
    put(&b, name);
    put(&b, "\"}");
    check_buf(&b, PEEK_FOUND, name);

    b = new_body("{\"model\":\"");
    put(&b, name);
    put(&b, "n\"}");
    check_buf(&b, PEEK_TOO_LONG, NULL);

    b = new_body("{\"model\":\"");
    put_many(&b, name, 3);
    put(&b, "\",\"model\":\"m\"}");
    check_buf(&b, PEEK_FOUND, "m");
}

static void nesting(void **state)
{
    (void)state;
    static const size_t depths[] = {4094, 4095, 4096, 4097, 5000, 300000};
    for (size_t i = 0; i < sizeof depths / sizeof depths[0]; i++) {
        struct buf b = new_body("{\"a\":");
        put_many(&b, "[", depths[i]);
        put(&b, "\"]\\\"[{\"");
        put_many(&b, "]", depths[i]);
        put(&b, ",\"model\":\"m\"}");
        check_buf(&b, PEEK_FOUND, "m");
    }
    /* In the deep only brackets are counted; back from it the grammar holds again. */
    struct buf b = new_body("");
    put_many(&b, "[", 5000);
    put_many(&b, "}", 5000 - 4096);
    put_many(&b, "]", 4095);
    put(&b, "}");
    check_buf(&b, PEEK_MALFORMED, NULL);
}

/* A name counts at the place of its closing quote. */
static void window(void **state)
{
    (void)state;
    static const char early[] = "{\"model\":\"early\",\"p\":\"";
    static const char late[] = "\",\"model\":\"late\"";
    static const size_t late_len = sizeof late - 1;

    struct buf b = new_body(early); /* decided at the window's end, whatever follows */
    pad_to(&b, PEEK_WINDOW, 'x');
    put(&b, late);
    put(&b, " not JSON at all");
    check_buf(&b, PEEK_FOUND, "early");

    b = new_body(early); /* the later one ends exactly at the window's end */
    pad_to(&b, PEEK_WINDOW - late_len, 'x');
    put(&b, late);
    put(&b, "}");
    check_buf(&b, PEEK_FOUND, "late");

    b = new_body(early); /* and one byte behind it */
    pad_to(&b, PEEK_WINDOW - late_len + 1, 'x');
    put(&b, late);
    put(&b, "}");
    check_buf(&b, PEEK_FOUND, "early");

    b = new_body("{\"p\":\""); /* none in the window: the first one behind it */
    pad_to(&b, PEEK_WINDOW * 2, 'x');
    put(&b, late);
    put(&b, ",\"model\":\"later\"}");
    check_buf(&b, PEEK_FOUND, "late");

    b = new_body("{\"p\":\""); /* its value is no string */
    pad_to(&b, PEEK_WINDOW + 5, 'x');
    put(&b, "\",\"model\":[\"a\"],\"model\":\"b\"}");
    check_buf(&b, PEEK_NOT_STRING, NULL);

    b = new_body("{\"p\":\""); /* none at all */
    pad_to(&b, PEEK_WINDOW + 5, 'x');
    put(&b, "\"}");
    check_buf(&b, PEEK_MISSING, NULL);

    b = new_body("{\"p\":\""); /* wrong behind the window, before a name */
    pad_to(&b, PEEK_WINDOW + 5, 'x');
    put(&b, "\",}");
    check_buf(&b, PEEK_MALFORMED, NULL);

    b = new_body(""); /* blanks: the object may still come */
    pad_to(&b, PEEK_WINDOW + 5, ' ');
    put(&b, "{\"model\":\"m\"}");
    check_buf(&b, PEEK_FOUND, "m");

    b = new_body("[\""); /* no object: no name can come */
    pad_to(&b, PEEK_WINDOW + 5, 'x');
    check_buf(&b, PEEK_MISSING, NULL);
}

static void behind_a_zero_byte(void **state)
{
    (void)state;
    static const struct peek_case cases[] = {
        FOUND("{\"model\":\"m\"}\0", "m"),
        FOUND("{\"model\":\"m\"} \r\n\0\0", "m"),
        FOUND("{\"model\":\"m\"}\0{\"model\":\"n\"}", "m"),
        FOUND("{\"model\":\"m\"}\0}]\xFF", "m"),
        MISSING("{}\0{\"model\":\"n\"}"),
        MISSING("5\0"),
        MALFORMED("\0{\"model\":\"m\"}", 0),
        MALFORMED("{\"model\":\"m\"\0}", 12),
        MALFORMED("{\"model\":\"m\0\"}", 11),
        MALFORMED("{\"model\":\"m\"}x\0", 13),
    };
    CHECK_ALL(NULL, cases);
}

static void early_answer(void **state)
{
    (void)state;
    struct buf b = new_body("{\"model\":\"m\",\"p\":\"");
    pad_to(&b, PEEK_WINDOW, 'x');
    struct peek *p = peek_create(NULL);
    assert_int_equal(peek_feed(p, b.data, b.len - 1), PEEK_MORE);
    assert_int_equal(peek_feed(p, "x", 1), PEEK_FOUND);
    assert_string_equal(peek_model(p), "m");
    peek_destroy(p);
    buf_finish(&b);
    peek_destroy(NULL);
}

/* --- multipart --------------------------------------------------------------------------- */
#define TYPE "multipart/form-data; boundary=XX"
#define MODEL_PART "--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n"
#define OTHER_PART "--XX\r\nContent-Disposition: form-data; name=\"language\"\r\n\r\nen\r\n"
#define FILE_PART                                                                                  \
    "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n"                \
    "Content-Type: audio/wav\r\n\r\nRIFF\0\r\r\n--X\r\n--\r\n\xFF\r\n"
#define END "\r\n--XX--\r\n"

static void multipart_names(void **state)
{
    (void)state;
    static const struct peek_case cases[] = {
        FOUND(MODEL_PART "m" END, "m"),
        FOUND(MODEL_PART "m\r\n--XX--", "m"),
        FOUND("preamble\r\n" MODEL_PART "m" END "epilogue", "m"),
        FOUND("\r\n" MODEL_PART "m" END, "m"),
        FOUND(FILE_PART OTHER_PART MODEL_PART "m" END, "m"),
        FOUND(MODEL_PART "m\r\n" FILE_PART "--XX--", "m"),
        FOUND(MODEL_PART "a\r\n" MODEL_PART "b" END, "b"),
        /* Line ends and near-boundaries are content. */
        FOUND(MODEL_PART "a\r\nb\r\n--X\r\r\n-" END, "a\r\nb\r\n--X\r\r\n-"),
        FOUND(MODEL_PART "\xC3\xA4" END, "\xC3\xA4"),
        /* Headers: any case, any order, blanks, unquoted, escaped. */
        FOUND("--XX\r\nX: y\r\ncontent-disposition:form-data ;NAME=model\r\nA: b\r\n\r\nm" END,
              "m"),
        FOUND("--XX\r\nContent-Disposition: Form-Data; name = \"mod\\el\" ; x=y\r\n\r\nm" END, "m"),
        FOUND("--XX \t\r\nContent-Disposition: form-data; name=model \r\n\r\nm" END, "m"),
        FOUND("--XX\r\nContent-Disposition: form-data; x=\"; name=file\"; "
              "name=\"model\"\r\n\r\nm" END,
              "m"),
        FOUND("--XX\r\nOdd: a\rb\r\nContent-Disposition: form-data; name=model\r\n\r\nm" END, "m"),
        MISSING(OTHER_PART "--XX--"),
        MISSING("--XX--"),
        MISSING(FILE_PART "--XX--\r\n" MODEL_PART "m" END),
        MISSING("--XX\r\n\r\nno head\r\n--XX--"),
        /* A file is not a field. */
        MISSING(
            "--XX\r\nContent-Disposition: form-data; name=\"model\"; filename=\"m\"\r\n\r\nm" END),
        MISSING("--XX\r\nContent-Disposition: form-data; filename=m; name=model\r\n\r\nm" END),
        MISSING("--XX\r\nContent-Disposition: form-data; name=\"Model\"\r\n\r\nm" END),
        MISSING("--XX\r\nContent-Disposition: form-data; name=a; name=model\r\n\r\nm" END),
        MISSING("--XX\r\nContent-Disposition: attachment; name=model\r\n\r\nm" END),
        MISSING("--XX\r\nContent-Disposition: form-data; x=\"name=model\"\r\n\r\nm" END),
        NOT_STRING(MODEL_PART END),
        NOT_STRING("--XX\r\nContent-Disposition: form-data; name=model\r\n\r\n--XX--"),
        NOT_STRING(MODEL_PART "a\0b" END),
    };
    CHECK_ALL(TYPE, cases);
    CHECK_ALL("Multipart/Form-Data ; charset=utf-8; Boundary=\"XX\"", cases);
    CHECK_ALL("multipart/form-data;boundary=\"X\\X\";", cases);
}

static void multipart_refused(void **state)
{
    (void)state;
    static const struct peek_case cases[] = {
        MALFORMED("", 0),
        MALFORMED("{\"model\":\"m\"}", 13),
        MALFORMED("--XX", 4),
        MALFORMED("--XXY\r\n", 4),
        MALFORMED("--XX-\r\n", 5),
        MALFORMED("--XX \rx", 6),
        MALFORMED(MODEL_PART "m", ANY),
        MALFORMED(MODEL_PART "m\r\n--XX\r\n", ANY),
        MALFORMED(MODEL_PART "\xFF" END, ANY),
        MALFORMED(MODEL_PART "\xE2\x82" END, ANY),
    };
    CHECK_ALL(TYPE, cases);
}

/* Without a boundary it is read as JSON, like any other type. */
static void content_types(void **state)
{
    (void)state;
    static const char *const types[] = {
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/mixed; boundary=XX",
        "text/plain",
        "",
        "multipart/form-data; charset=\"boundary=XX\"",
        ";;;",
        "application/json; boundary=XX",
    };
    static const struct peek_case json = FOUND("{\"model\":\"m\"}", "m");
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        check(types[i], &json);
}

static void multipart_big(void **state)
{
    (void)state;
    static const char file[] =
        "--XX\r\nContent-Disposition: form-data; name=file; filename=x\r\n\r\n";
    struct buf b = new_body(file); /* behind the window */
    for (size_t i = 0; b.len < PEEK_WINDOW + 9999; i++)
        put(&b, i % 5 ? "\r\nabcdefgh" : "\r\n--X");
    put(&b, "\r\n" MODEL_PART "m\r\n" MODEL_PART "n" END);
    check(TYPE, &(struct peek_case){b.data, b.len, PEEK_FOUND, "m", ANY});
    buf_finish(&b);

    b = new_body(MODEL_PART "m\r\n"); /* in it, and decided at its end */
    put(&b, file);
    pad_to(&b, PEEK_WINDOW, 'x');
    check(TYPE, &(struct peek_case){b.data, b.len, PEEK_FOUND, "m", ANY});
    buf_finish(&b);

    b = new_body(MODEL_PART);
    pad_to(&b, b.len + PEEK_NAME_MAX + 1, 'x');
    put(&b, END);
    check(TYPE, &(struct peek_case){b.data, b.len, PEEK_TOO_LONG, NULL, ANY});
    buf_finish(&b);

    b = new_body("--XX\r\nLong: "); /* a header line that is longer than what is kept of one */
    pad_to(&b, 20000, 'x');
    put(&b, "\r\nContent-Disposition: form-data; name=model; x=");
    pad_to(&b, 40000, 'x');
    put(&b, "\r\n\r\nm" END);
    check(TYPE, &(struct peek_case){b.data, b.len, PEEK_FOUND, "m", ANY});
    buf_finish(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_names),
        cmocka_unit_test(finds_none),
        cmocka_unit_test(refuses_what_is_no_json),
        cmocka_unit_test(long_names),
        cmocka_unit_test(nesting),
        cmocka_unit_test(window),
        cmocka_unit_test(behind_a_zero_byte),
        cmocka_unit_test(early_answer),
        cmocka_unit_test(multipart_names),
        cmocka_unit_test(multipart_refused),
        cmocka_unit_test(content_types),
        cmocka_unit_test(multipart_big),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
