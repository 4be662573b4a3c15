/* SPDX-License-Identifier: MIT */
#include "reserve_test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_text.h"

static int parse(const char *text, size_t max)
{
    json_t *value = NULL;
    json_error_t why;
    int rc = json_text_parse(&value, text, strlen(text), max, &why);
    assert_int_equal(!rc, value != NULL);
    json_decref(value);
    return rc;
}

static void a_text_is_parsed_or_not(void **state)
{
    (void)state;
    assert_int_equal(parse("{\"a\":[1,2,{}]}", SIZE_MAX), 0);
    assert_int_equal(parse("{\"a\":", SIZE_MAX), -EINVAL);
}

static int parse_bytes(const char *text, size_t len)
{
    json_t *value = NULL;
    json_error_t why;
    int rc = json_text_parse(&value, text, len, SIZE_MAX, &why);
    assert_int_equal(!rc, json_is_integer(json_object_get(value, "a")));
    json_decref(value);
    return rc;
}

static void what_is_behind_a_zero_byte_does_not_count(void **state)
{
    static const char mark[] = "\xef\xbb\xbf{\"a\":1}", zero[] = "{\"a\":1} \n\0{\"b\":x";
    (void)state;
    assert_int_equal(parse_bytes(mark, sizeof mark - 1), 0);
    assert_int_equal(parse_bytes(mark, sizeof mark), 0); /* with its zero byte */
    assert_int_equal(parse_bytes(zero, sizeof zero - 1), 0);
    assert_int_equal(parse_bytes("{\"a\":1}x\0", 9), -EINVAL);
    assert_int_equal(parse_bytes("{\"a\"\0:1}", 8), -EINVAL);
    assert_int_equal(parse_bytes("\0{\"a\":1}", 8), -EINVAL);
    assert_int_equal(parse_bytes("\xef\xbb{\"a\":1}", 9), -EINVAL);
    assert_int_equal(json_text_parse(&(json_t *){NULL}, "{} x", 4, SIZE_MAX, NULL), -EINVAL);
}

static void a_document_has_a_maximum(void **state)
{
    (void)state;
    assert_int_equal(parse("[{},{},{},{},{},{},{},{},{},{},{},{}]", 1000), -ENOBUFS);
    assert_int_equal(parse("[{},{},{},{},{},{},{},{},{},{},{},{}]", 100000), 0);
}

static void without_memory_that_is_said_and_not_that_it_is_no_json(void **state)
{
    (void)state;
    use(MEMORY_RESERVE_BLOCKS / 2);
    assert_int_equal(parse("{\"a\":1}", SIZE_MAX), -ENOMEM);
}

static void only_small_texts_are_parsed_while_memory_is_short(void **state)
{
    char large[8192];
    (void)state;
    memset(large, ' ', sizeof large - 1);
    memcpy(large, "[1]", 3);
    large[sizeof large - 1] = '\0';
    use(1);
    assert_int_equal(parse("[1]", SIZE_MAX), 0);
    assert_int_equal(parse(large, SIZE_MAX), -ENOMEM);
}

/* jansson goes on when its text could not be appended to: the text must not pass for a whole one. */
static void a_text_that_breaks_off_is_an_error(void **state)
{
    (void)state;
    json_t *o = json_pack("{s:i, s:s}", "code", 400, "message", "hello");
    char *whole = json_dumps(o, JSON_COMPACT);
    for (size_t max = 0; max < strlen(whole); max++) {
        struct buf out;
        buf_init(&out, max);
        assert_int_equal(json_text_append(&out, o, JSON_COMPACT), -ENOBUFS);
        buf_finish(&out);
    }
    struct buf out;
    buf_init(&out, strlen(whole));
    assert_int_equal(json_text_append(&out, o, JSON_COMPACT), 0);
    assert_memory_equal(out.data, whole, strlen(whole));
    buf_finish(&out);
    free(whole);
    json_decref(o);
}

static void what_is_built_small_needs_no_more_than_the_reserve(void **state)
{
    (void)state;
    use(MEMORY_RESERVE_BLOCKS / 2);
    json_t *o = json_pack("{s:i}", "code", 400);
    assert_int_equal(json_integer_value(json_object_get(o, "code")), 400);
    assert_false(json_text_was_incomplete());
    json_t *many = json_array();
    for (int i = 0; i < 10000; i++)
        json_array_append_new(many, json_null());
    assert_true(json_text_was_incomplete());
    assert_false(json_text_was_incomplete());
    json_decref(many);
    json_decref(o);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_text_is_parsed_or_not),
        TEST(what_is_behind_a_zero_byte_does_not_count),
        TEST(a_document_has_a_maximum),
        TEST(without_memory_that_is_said_and_not_that_it_is_no_json),
        TEST(only_small_texts_are_parsed_while_memory_is_short),
        TEST(a_text_that_breaks_off_is_an_error),
        TEST(what_is_built_small_needs_no_more_than_the_reserve),
    };
    json_text_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
