/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "server/loads.h"

static void measure(struct loads *l, uint64_t number, uint64_t bytes)
{
    loads_measure(l, number, &(struct memory_use){.bytes = {0, bytes}, .n = 2});
}

static void one_load(void **state)
{
    struct loads l = {0};
    (void)state;
    measure(&l, 1, 10);
    measure(&l, 1, 30);
    measure(&l, 1, 20);
    assert_int_equal(l.n, 1);
    assert_int_equal(loads_most(&l, 1), 30);
    assert_int_equal(loads_loaded(&l, 1), 10);
    assert_int_equal(loads_most(&l, 0), 0);
}

static void of_two_the_larger(void **state)
{
    struct loads l = {0};
    (void)state;
    measure(&l, 1, 30);
    measure(&l, 2, 10);
    assert_int_equal(loads_most(&l, 1), 30);
    assert_int_equal(loads_loaded(&l, 1), 10);
}

static void one_bad_reading_goes(void **state)
{
    struct loads l = {0};
    (void)state;
    measure(&l, 1, 20);
    measure(&l, 2, 5000);
    assert_int_equal(loads_most(&l, 1), 5000);
    measure(&l, 3, 21);
    assert_int_equal(loads_most(&l, 1), 21);
    measure(&l, 4, 1);
    assert_int_equal(loads_loaded(&l, 1), 20);
}

static void the_oldest_go(void **state)
{
    struct loads l = {0};
    (void)state;
    measure(&l, 1, 900);
    measure(&l, 2, 800);
    for (uint64_t n = 3; n < 3 + LOADS_MOST; n++)
        measure(&l, n, n);
    assert_int_equal(l.n, LOADS_MOST);
    assert_int_equal(loads_most(&l, 1), 1 + LOADS_MOST);
    measure(&l, 1, 1000); /* a running one that is among them no more begins anew */
    assert_int_equal(l.load[0].number, 1);
}

static void who_served_nobody(void **state)
{
    struct loads l = {0};
    (void)state;
    measure(&l, 1, 10);
    loads_end(&l, 1, false);
    assert_int_equal(l.n, 1); /* it is all that is known */
    measure(&l, 2, 20);
    measure(&l, 3, 30);
    loads_end(&l, 2, false);
    assert_int_equal(l.n, 2);
    assert_int_equal(l.load[0].number, 3);
    assert_int_equal(l.load[1].number, 1);
    loads_end(&l, 3, true);
    loads_end(&l, 7, false); /* not known */
    assert_int_equal(l.n, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_load),
        cmocka_unit_test(of_two_the_larger),
        cmocka_unit_test(one_bad_reading_goes),
        cmocka_unit_test(the_oldest_go),
        cmocka_unit_test(who_served_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
