/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/logring.h"

static void assert_tail(const struct logring *r, size_t lines, const char *expected)
{
    char *text = logring_tail(r, lines);
    assert_string_equal(text, expected);
    free(text);
}

static void add(struct logring *r, const char *text)
{
    logring_add(r, text, strlen(text));
}

static void test_empty(void **state)
{
    struct logring r;
    (void)state;
    logring_init(&r, 3, 10);
    assert_tail(&r, 0, "");
    assert_tail(&r, 5, "");
    logring_finish(&r);
}

static void test_wraps(void **state)
{
    struct logring r;
    char text[16];
    (void)state;
    logring_init(&r, 3, 10);
    add(&r, "a");
    add(&r, "b");
    assert_tail(&r, 9, "a\nb");
    add(&r, "");
    assert_tail(&r, 9, "a\nb\n");
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof text, "%d", i);
        add(&r, text);
    }
    assert_tail(&r, 9, "997\n998\n999");
    assert_tail(&r, 2, "998\n999");
    assert_tail(&r, 0, "");
    logring_finish(&r);
}

static void test_cuts(void **state)
{
    struct logring r;
    (void)state;
    logring_init(&r, 2, 4);
    add(&r, "abcdef");
    assert_tail(&r, 1, "abcd");
    add(&r, "abcé"); /* the limit is within the é */
    assert_tail(&r, 1, "abc");
    logring_finish(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_wraps),
        cmocka_unit_test(test_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
