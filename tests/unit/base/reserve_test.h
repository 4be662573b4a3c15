/* SPDX-License-Identifier: MIT */
/* A reserve of memory that the test uses up. */
#ifndef HOSTLER_TESTS_RESERVE_TEST_H
#define HOSTLER_TESTS_RESERVE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/memory_reserve.h"

static inline int set_up(void **state)
{
    (void)state;
    memory_reserve_init();
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    memory_reserve_finish();
    return 0;
}

static inline void use(unsigned n)
{
    while (n--)
        assert_true(memory_reserve_use());
}

#endif
