/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/strv.h"

static void assert_strv(const struct strv *s, size_t n, const char *const *wanted)
{
    assert_int_equal(s->n, n);
    for (size_t i = 0; i < n; i++)
        assert_string_equal(s->v[i], wanted[i]);
    if (s->v)
        assert_null(s->v[n]);
}
#define ASSERT_STRV(s, ...)                                                                        \
    assert_strv(s, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *),                         \
                (const char *[]){__VA_ARGS__})

static void always_ended_by_null(void **state)
{
    (void)state;
    struct strv s = {0};
    for (size_t i = 0; i < 300; i++) {
        strv_addf(&s, "%zu", i);
        assert_int_equal(s.n, i + 1);
        assert_null(s.v[s.n]);
    }
    assert_string_equal(s.v[0], "0");
    assert_string_equal(s.v[299], "299");
    strv_finish(&s);
}

static void add_copies(void **state)
{
    (void)state;
    struct strv s = {0};
    char text[] = "a";
    strv_add(&s, text);
    text[0] = 'b';
    ASSERT_STRV(&s, "a");
    strv_finish(&s);
}

static void add_take_does_not(void **state)
{
    (void)state;
    struct strv s = {0};
    char *text = strdup("a");
    strv_add_take(&s, text);
    assert_ptr_equal(s.v[0], text);
    strv_finish(&s);
}

static void finish_leaves_it_usable(void **state)
{
    (void)state;
    struct strv s = {0};
    strv_finish(&s);
    strv_add(&s, "a");
    strv_finish(&s);
    assert_null(s.v);
    assert_int_equal(s.n, 0);
    strv_add(&s, "b");
    ASSERT_STRV(&s, "b");
    strv_finish(&s);
}

static void copy_appends(void **state)
{
    (void)state;
    struct strv from = {0}, to = {0};
    strv_add(&from, "b");
    strv_add(&from, "c");
    strv_add(&to, "a");
    strv_copy(&to, &from);
    ASSERT_STRV(&to, "a", "b", "c");
    ASSERT_STRV(&from, "b", "c");
    strv_finish(&from);
    strv_finish(&to);
}

static void has(void **state)
{
    (void)state;
    struct strv s = {0};
    assert_false(strv_has(&s, ""));
    strv_add(&s, "abc");
    assert_true(strv_has(&s, "abc"));
    assert_false(strv_has(&s, "ab"));
    assert_false(strv_has(&s, "ABC"));
    strv_finish(&s);
}

static void equal(void **state)
{
    (void)state;
    struct strv a = {0}, b = {0};
    assert_true(strv_equal(&a, &b));
    strv_add(&a, "x");
    assert_false(strv_equal(&a, &b));
    strv_add(&b, "y");
    assert_false(strv_equal(&a, &b));
    strv_add(&a, "y");
    strv_add(&b, "x");
    assert_false(strv_equal(&a, &b)); /* the order counts */
    strv_finish(&b);
    strv_copy(&b, &a);
    assert_true(strv_equal(&a, &b));
    strv_finish(&a);
    strv_finish(&b);
}

static void split_drops_blanks_and_empty_pieces(void **state)
{
    (void)state;
    struct strv s = {0};
    strv_split(&s, " a ,,b c\t, \t,,d,", ',');
    ASSERT_STRV(&s, "a", "b c", "d");
    strv_finish(&s);
}

static void split_of_nothing(void **state)
{
    (void)state;
    static const char *const nothing[] = {"", ",", " ", ", ,\t,"};
    struct strv s = {0};
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++)
        strv_split(&s, nothing[i], ',');
    assert_int_equal(s.n, 0);
    assert_null(s.v);
}

static void split_at_blanks(void **state)
{
    (void)state;
    struct strv s = {0};
    strv_split(&s, "  1 12 ", ' ');
    ASSERT_STRV(&s, "1", "12");
    strv_finish(&s);
}

static void split_appends(void **state)
{
    (void)state;
    struct strv s = {0};
    strv_add(&s, "a");
    strv_split(&s, "b:c", ':');
    ASSERT_STRV(&s, "a", "b", "c");
    strv_finish(&s);
}

static void sort_in_byte_order_each_once(void **state)
{
    (void)state;
    struct strv s = {0};
    strv_sort(&s);
    assert_null(s.v);
    strv_split(&s, "b,a,B,a,\xC3\xA4,b,aa,b", ',');
    strv_sort(&s);
    ASSERT_STRV(&s, "B", "a", "aa", "b", "\xC3\xA4");
    strv_sort(&s);
    ASSERT_STRV(&s, "B", "a", "aa", "b", "\xC3\xA4");
    strv_finish(&s);
}

/* Fewer texts than places: the next ones must still find room. */
static void grows_after_a_sort(void **state)
{
    (void)state;
    struct strv s = {0};
    for (int i = 0; i < 20; i++)
        strv_add(&s, "same");
    strv_sort(&s);
    ASSERT_STRV(&s, "same");
    for (size_t i = 0; i < 300; i++) {
        strv_addf(&s, "%zu", i);
        assert_int_equal(s.n, i + 2);
        assert_null(s.v[s.n]);
    }
    strv_finish(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(always_ended_by_null),
        cmocka_unit_test(add_copies),
        cmocka_unit_test(add_take_does_not),
        cmocka_unit_test(finish_leaves_it_usable),
        cmocka_unit_test(copy_appends),
        cmocka_unit_test(has),
        cmocka_unit_test(equal),
        cmocka_unit_test(split_drops_blanks_and_empty_pieces),
        cmocka_unit_test(split_of_nothing),
        cmocka_unit_test(split_at_blanks),
        cmocka_unit_test(split_appends),
        cmocka_unit_test(sort_in_byte_order_each_once),
        cmocka_unit_test(grows_after_a_sort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
