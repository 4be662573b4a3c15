/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "http/body_budget.h"

static void what_is_small_leaves_the_budget_to_others(void **state)
{
    (void)state;
    struct body_budget b = {.max = 0};
    struct body_share s = {.budget = &b};
    assert_int_equal(body_share_grow(&s, BODY_SMALL), 0);
    assert_int_equal(b.held, 0);
    assert_int_equal(body_share_grow(&s, BODY_SMALL + 1), -ENOSPC);
    assert_int_equal(b.held, 0);
}

static void the_sum_is_bounded(void **state)
{
    (void)state;
    struct body_budget b = {.max = 100};
    struct body_share one = {.budget = &b}, two = {.budget = &b};
    assert_int_equal(body_share_grow(&one, BODY_SMALL + 60), 0);
    assert_int_equal(body_share_grow(&one, BODY_SMALL + 70), 0);
    assert_int_equal(b.held, 70);
    assert_int_equal(body_share_grow(&two, BODY_SMALL + 31), -ENOSPC);
    assert_int_equal(body_share_grow(&two, BODY_SMALL + 30), 0);
    assert_int_equal(b.held, 100);
    body_share_release(&one);
    body_share_release(&one);
    assert_int_equal(b.held, 30);
    assert_int_equal(body_share_grow(&two, BODY_SMALL + 100), 0);
    body_share_release(&two);
    assert_int_equal(b.held, 0);
}

static void small_ones_are_bounded_in_sum_too(void **state)
{
    (void)state;
    struct body_budget b = {.max = 100, .small = BODY_SMALL_SUM_MAX - 10};
    struct body_share one = {.budget = &b}, two = {.budget = &b};
    assert_int_equal(body_share_grow(&one, BODY_FREE + 10), 0);
    assert_int_equal(body_share_grow(&two, BODY_FREE), 0);
    assert_int_equal(body_share_grow(&two, BODY_FREE + 1), -ENOSPC);
    assert_int_equal(body_share_grow(&two, BODY_SMALL + 1), -ENOSPC);
    assert_int_equal(b.held, 0);
    body_share_release(&one);
    assert_int_equal(body_share_grow(&two, BODY_FREE + 10), 0);
    assert_int_equal(b.small, BODY_SMALL_SUM_MAX);
    body_share_release(&two);
    assert_int_equal(b.small, BODY_SMALL_SUM_MAX - 10);
}

static void without_a_budget_nothing_counts(void **state)
{
    (void)state;
    struct body_share s = {0};
    assert_int_equal(body_share_grow(&s, SIZE_MAX), 0);
    body_share_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_small_leaves_the_budget_to_others),
        cmocka_unit_test(small_ones_are_bounded_in_sum_too),
        cmocka_unit_test(the_sum_is_bounded),
        cmocka_unit_test(without_a_budget_nothing_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
