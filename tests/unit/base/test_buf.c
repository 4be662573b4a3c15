/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

static void append_up_to_the_ceiling(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4);
    assert_int_equal(buf_append(&b, "abc", 3), 0);
    assert_int_equal(buf_append(&b, "d", 1), 0);
    assert_int_equal(b.len, 4);
    assert_memory_equal(b.data, "abcd", 4);
    buf_finish(&b);
}

static void append_beyond_it_changes_nothing(void **state)
{
    (void)state;
    struct buf b;
    volatile size_t all = SIZE_MAX; /* unseen by a compiler that would warn of the copy */
    buf_init(&b, 4);
    assert_int_equal(buf_puts(&b, "abc"), 0);
    assert_int_equal(buf_puts(&b, "de"), -ENOBUFS);
    assert_int_equal(buf_append(&b, "x", all), -ENOBUFS);
    assert_int_equal(b.len, 3);
    assert_memory_equal(b.data, "abc", 3);
    buf_finish(&b);
}

static void append_nothing(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 0);
    assert_int_equal(buf_append(&b, NULL, 0), 0);
    assert_int_equal(buf_puts(&b, ""), 0);
    assert_null(b.data);
    assert_int_equal(buf_puts(&b, "a"), -ENOBUFS);
    buf_finish(&b);
}

static void printf_up_to_the_ceiling(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 5);
    assert_int_equal(buf_printf(&b, "%d", 12345), 0);
    assert_int_equal(b.len, 5);
    assert_int_equal(b.max, 5);
    assert_memory_equal(b.data, "12345", 5);
    buf_finish(&b);
}

static void printf_beyond_it_changes_nothing(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 5);
    assert_int_equal(buf_printf(&b, "%s", "123"), 0);
    assert_int_equal(buf_printf(&b, "%s", "456"), -ENOBUFS);
    assert_int_equal(b.len, 3);
    assert_string_equal(buf_cstr(&b), "123");
    buf_finish(&b);
}

static void printf_of_nothing(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 0);
    assert_int_equal(buf_printf(&b, "%s", ""), 0);
    assert_int_equal(b.len, 0);
    buf_finish(&b);
}

static void printf_appends_and_grows(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, BUF_UNBOUNDED);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(buf_printf(&b, "%03d.", i), 0);
    assert_int_equal(b.len, 4000);
    assert_memory_equal(b.data, "000.001.", 8);
    assert_memory_equal(b.data + 3992, "998.999.", 8);
    buf_finish(&b);
}

static void reserve_makes_room_for_the_callers_own_writes(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    assert_int_equal(buf_reserve(&b, 1000), 0);
    assert_int_equal(b.len, 0);
    memset(b.data, 'x', 1000);
    b.len = 1000;
    assert_int_equal(buf_reserve(&b, 0), 0);
    assert_int_equal(buf_reserve(&b, 1), -ENOBUFS);
    buf_finish(&b);
}

static void consume_drops_from_the_front(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 8);
    assert_int_equal(buf_puts(&b, "abcdefgh"), 0);
    buf_consume(&b, 0);
    assert_int_equal(b.len, 8);
    buf_consume(&b, 3);
    assert_string_equal(buf_cstr(&b), "defgh");
    /* What was dropped is room again. */
    assert_int_equal(buf_puts(&b, "ijk"), 0);
    assert_string_equal(buf_cstr(&b), "defghijk");
    buf_consume(&b, 8);
    assert_int_equal(b.len, 0);
    buf_finish(&b);
}

static void consume_nothing_of_an_empty_one(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 8);
    buf_consume(&b, 0);
    assert_int_equal(b.len, 0);
}

static void clear_keeps_the_memory(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 8);
    assert_int_equal(buf_puts(&b, "abc"), 0);
    char *data = b.data;
    buf_clear(&b);
    assert_int_equal(b.len, 0);
    assert_int_equal(buf_puts(&b, "defg"), 0);
    assert_ptr_equal(b.data, data);
    buf_finish(&b);
}

static void finish_leaves_it_usable_under_the_same_ceiling(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 2);
    assert_int_equal(buf_puts(&b, "ab"), 0);
    buf_finish(&b);
    buf_finish(&b);
    assert_int_equal(buf_puts(&b, "abc"), -ENOBUFS);
    assert_int_equal(buf_puts(&b, "cd"), 0);
    assert_string_equal(buf_cstr(&b), "cd");
    buf_finish(&b);
}

static void cstr_ends_a_full_buffer_without_counting(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 64); /* as much as the first allocation: the zero needs another one */
    for (int i = 0; i < 64; i++)
        assert_int_equal(buf_puts(&b, "x"), 0);
    assert_int_equal(strlen(buf_cstr(&b)), 64);
    assert_int_equal(b.len, 64);
    assert_int_equal(b.max, 64);
    buf_finish(&b);
}

static void cstr_of_an_empty_one(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 0);
    assert_string_equal(buf_cstr(&b), "");
    buf_finish(&b);
}

static void take_hands_the_memory_over(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 3);
    assert_int_equal(buf_puts(&b, "abc"), 0);
    char *text = buf_take(&b);
    assert_string_equal(text, "abc");
    free(text);
    assert_null(b.data);
    assert_int_equal(b.len, 0);
    assert_int_equal(b.max, 3);
    assert_int_equal(buf_puts(&b, "def"), 0);
    buf_finish(&b);
}

static void take_from_an_empty_one(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 3);
    char *text = buf_take(&b);
    assert_string_equal(text, "");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(append_up_to_the_ceiling),
        cmocka_unit_test(append_beyond_it_changes_nothing),
        cmocka_unit_test(append_nothing),
        cmocka_unit_test(printf_up_to_the_ceiling),
        cmocka_unit_test(printf_beyond_it_changes_nothing),
        cmocka_unit_test(printf_of_nothing),
        cmocka_unit_test(printf_appends_and_grows),
        cmocka_unit_test(reserve_makes_room_for_the_callers_own_writes),
        cmocka_unit_test(consume_drops_from_the_front),
        cmocka_unit_test(consume_nothing_of_an_empty_one),
        cmocka_unit_test(clear_keeps_the_memory),
        cmocka_unit_test(finish_leaves_it_usable_under_the_same_ceiling),
        cmocka_unit_test(cstr_ends_a_full_buffer_without_counting),
        cmocka_unit_test(cstr_of_an_empty_one),
        cmocka_unit_test(take_hands_the_memory_over),
        cmocka_unit_test(take_from_an_empty_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
