/* SPDX-License-Identifier: MIT */
/* Where the bytes of a body are that is held. */
#include "loop_test.h"

#include <errno.h>
#include <stdlib.h>

#include "http/held_body.h"

static struct loop_test t;
static struct body_budget budget;
static struct held_body body;
static char *piece; /* HELD_IN_MEMORY bytes */

static void ignore_progress(void *ctx)
{
    assert_ptr_equal(ctx, &body);
}

static int set_up(void **state)
{
    (void)state;
    loop_test_init(&t);
    piece = calloc(1, HELD_IN_MEMORY);
    budget = (struct body_budget){.max = 4 * HELD_IN_MEMORY, .folder = t.folder, .loop = &t.loop};
    held_body_init(&body, ignore_progress, &body);
    body.share.budget = &budget;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    held_body_finish(&body);
    uv_run(&t.loop, UV_RUN_DEFAULT);
    assert_int_equal(budget.held, 0);
    free(piece);
    loop_test_finish(&t);
    return 0;
}

static int add(size_t len)
{
    return held_body_append(&body, piece, len);
}

static void a_small_one_is_in_memory(void **state)
{
    (void)state;
    assert_int_equal(add(HELD_IN_MEMORY), 0);
    assert_null(body.spool);
    assert_int_equal(body.memory.len, HELD_IN_MEMORY);
    assert_int_equal(budget.held, HELD_IN_MEMORY - BODY_SMALL);
}

static void what_is_more_is_in_a_file(void **state)
{
    (void)state;
    assert_int_equal(add(HELD_IN_MEMORY - 10), 0);
    assert_int_equal(add(30), 0);
    assert_int_equal(add(5), 0);
    assert_int_equal(body.memory.len, HELD_IN_MEMORY);
    assert_int_equal(body.in_file, 25);
    assert_int_equal(body.len, HELD_IN_MEMORY + 25);
    assert_int_equal(budget.files, 1);
    held_body_finish(&body);
    assert_int_equal(budget.files, 0);
}

static void files_count_too(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(add(HELD_IN_MEMORY), 0);
    assert_int_equal(add(HELD_IN_MEMORY), -ENOSPC);
    assert_int_equal(body.len, 4 * HELD_IN_MEMORY);
}

static void without_a_file_to_spare(void **state)
{
    (void)state;
    budget.files = BODY_FILES_MAX;
    assert_int_equal(add(HELD_IN_MEMORY), 0);
    assert_int_equal(add(HELD_IN_MEMORY), 0);
    assert_null(body.spool);
    assert_int_equal(body.memory.len, 2 * HELD_IN_MEMORY);
}

static void its_ceiling(void **state)
{
    (void)state;
    body.max = 100;
    assert_int_equal(add(60), 0);
    assert_int_equal(add(41), -ENOBUFS);
    assert_int_equal(add(40), 0);
}

static void a_folder_that_is_gone(void **state)
{
    (void)state;
    budget.folder = "/nonexistent";
    assert_int_equal(add(HELD_IN_MEMORY), 0);
    assert_int_equal(add(1), 0);
    UNTIL(&t, spool_error(body.spool));
    assert_int_equal(add(1), -EIO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_small_one_is_in_memory),
        TEST(what_is_more_is_in_a_file),
        TEST(files_count_too),
        TEST(without_a_file_to_spare),
        TEST(its_ceiling),
        TEST(a_folder_that_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
