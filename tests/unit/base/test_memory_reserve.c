/* SPDX-License-Identifier: MIT */
/* malloc() itself is made to fail by the torture run (tests/torture) and tests/integration/test_memory_shortage.py;
 * here, who may have what is left of the reserve. */
#include "reserve_test.h"

#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/memory.h"

static void nothing_is_short_before_it_is_used(void **state)
{
    (void)state;
    assert_false(memory_is_short());
    assert_true(memory_reserve_permits(SIZE_MAX));
}

static void what_was_used_is_set_aside_anew(void **state)
{
    (void)state;
    use(3);
    assert_true(memory_is_short());
    assert_true(memory_reserve_refill());
    assert_false(memory_is_short());
}

static void its_blocks_come_to_an_end(void **state)
{
    (void)state;
    use(MEMORY_RESERVE_BLOCKS);
    assert_false(memory_reserve_use());
    assert_true(memory_reserve_refill());
    assert_true(memory_reserve_use());
}

static void large_allocations_fail_while_memory_is_short(void **state)
{
    (void)state;
    use(1);
    assert_null(mem_try_zalloc(MEM_SMALL + 1));
    void *small = mem_try_zalloc(MEM_SMALL);
    assert_non_null(small);
    free(small);
    assert_false(mem_has(1024 * 1024));
}

static void the_second_half_is_not_for_what_may_fail(void **state)
{
    (void)state;
    use(MEMORY_RESERVE_BLOCKS / 2);
    assert_null(mem_try_zalloc(1));
    assert_null(mem_try_realloc(NULL, 1));
    void *needed = mem_zalloc(1);
    assert_non_null(needed);
    free(needed);
}

static void a_buffer_fails_softly_and_keeps_what_it_has(void **state)
{
    struct buf b, own;
    (void)state;
    buf_init(&b, BUF_UNBOUNDED);
    buf_init(&own, BUF_OWN);
    assert_int_equal(buf_puts(&b, "kept"), 0);
    use(MEMORY_RESERVE_BLOCKS / 2);
    static const char more[4096];
    assert_int_equal(buf_append(&b, more, sizeof more), -ENOMEM);
    assert_int_equal(buf_append(&own, more, sizeof more), 0);
    assert_int_equal(b.len, 4);
    assert_memory_equal(b.data, "kept", 4);
    buf_finish(&b);
    buf_finish(&own);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_short_before_it_is_used),
        TEST(what_was_used_is_set_aside_anew),
        TEST(its_blocks_come_to_an_end),
        TEST(large_allocations_fail_while_memory_is_short),
        TEST(the_second_half_is_not_for_what_may_fail),
        TEST(a_buffer_fails_softly_and_keeps_what_it_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
