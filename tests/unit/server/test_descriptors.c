/* SPDX-License-Identifier: MIT */
/* What the limit of open files leaves to clients. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "server/descriptors.h"

static void others_have_theirs_first(void **state)
{
    (void)state;
    for (unsigned long limit = 128; limit < 100000; limit += 777) {
        unsigned clients = descriptors_clients(0, 4, limit);
        assert_true(2UL * clients + 4 * 8 + 48 + 16 + 32 <= limit || clients == 4);
    }
    assert_int_equal(descriptors_clients(0, 4, 1024), 448);
    assert_true(descriptors_clients(0, 0, 1024) < descriptors_clients(0, 4, 1024));
}

static void what_is_asked_for(void **state)
{
    (void)state;
    assert_int_equal(descriptors_clients(100, 4, 1024), 100);
    assert_int_equal(descriptors_clients(5000, 4, 1024), 448);
    assert_int_equal(descriptors_clients(80000, 4, 1UL << 20), 80000);
    assert_int_equal(descriptors_clients(0, 4, ~0UL), 50000);
}

static void however_low_it_is(void **state)
{
    (void)state;
    assert_int_equal(descriptors_clients(0, 4, 0), 4);
    assert_int_equal(descriptors_clients(1, 4, 0), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_have_theirs_first),
        cmocka_unit_test(what_is_asked_for),
        cmocka_unit_test(however_low_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
