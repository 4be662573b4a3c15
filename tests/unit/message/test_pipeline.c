/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "transforms_test.h"

static struct pipeline p;
static struct buf got;
static int sink_error;

static int take(void *ctx, const char *data, size_t len)
{
    assert_ptr_equal(ctx, &got);
    return sink_error ? sink_error : buf_append(&got, data, len);
}

static int set_up(void **state)
{
    (void)state;
    buf_init(&got, BUF_UNBOUNDED);
    pipeline_init(&p, take, &got);
    sink_error = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pipeline_finish(&p);
    buf_finish(&got);
    return 0;
}

static void add(const struct message_transform *t, size_t max)
{
    assert_int_equal(pipeline_add(&p, t, &max), 0);
}

static void push(const char *text)
{
    assert_int_equal(pipeline_push(&p, text, strlen(text)), 0);
}

static void finish_with(const char *text)
{
    assert_int_equal(pipeline_end(&p), 0);
    assert_string_equal(buf_cstr(&got), text);
}

static void none_changes_nothing(void **state)
{
    (void)state;
    push("ab");
    push("c");
    finish_with("abc");
}

static void one_that_grows(void **state)
{
    (void)state;
    add(&twice, 0);
    push("ab");
    push("c");
    finish_with("aabbcc");
}

static void one_that_shrinks(void **state)
{
    (void)state;
    add(&half, 0);
    push("abc");
    push("de");
    finish_with("ace");
}

static void what_is_held_back_passes_the_later_ones(void **state)
{
    (void)state;
    add(&hold, 10);
    add(&twice, 0);
    add(&hold, 10);
    push("a");
    push("b");
    assert_int_equal(got.len, 0);
    finish_with("aabb");
}

static void one_that_holds_more_than_it_may(void **state)
{
    (void)state;
    add(&hold, 3);
    push("abc");
    assert_int_equal(pipeline_push(&p, "d", 1), -ENOBUFS);
    assert_int_equal(pipeline_push(&p, "e", 1), -ENOBUFS); /* for ever */
    assert_int_equal(pipeline_end(&p), -ENOBUFS);
    assert_int_equal(got.len, 0);
}

static void one_that_fails(void **state)
{
    (void)state;
    add(&strict, 0);
    push("ab");
    assert_int_equal(pipeline_push(&p, "c!", 2), -EBADMSG);
    assert_int_equal(pipeline_push(&p, "d", 1), -EBADMSG);
    assert_int_equal(got.len, 2);
}

static void a_sink_that_fails(void **state)
{
    (void)state;
    add(&twice, 0);
    sink_error = -ENOSPC;
    assert_int_equal(pipeline_push(&p, "a", 1), -ENOSPC);
}

/* Three that double make eight times as much: beyond the ceiling it fails, however large the input. */
static void growth_is_bounded(void **state)
{
    (void)state;
    char *data = calloc(1, PIPELINE_OUT_MAX / 4);
    assert_non_null(data);
    for (int i = 0; i < 3; i++)
        add(&twice, 0);
    assert_int_equal(pipeline_push(&p, data, PIPELINE_OUT_MAX / 8), 0);
    assert_int_equal(got.len, PIPELINE_OUT_MAX);
    assert_int_equal(pipeline_push(&p, data, PIPELINE_OUT_MAX / 4), -ENOBUFS);
    assert_true(got.len <= 2 * PIPELINE_OUT_MAX);
    free(data);
}

static void too_many_stages(void **state)
{
    (void)state;
    for (int i = 0; i < PIPELINE_STAGES_MAX; i++)
        add(&half, 0);
    assert_int_equal(pipeline_add(&p, &half, NULL), -ENOSPC);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(none_changes_nothing),
        TEST(one_that_grows),
        TEST(one_that_shrinks),
        TEST(what_is_held_back_passes_the_later_ones),
        TEST(one_that_holds_more_than_it_may),
        TEST(one_that_fails),
        TEST(a_sink_that_fails),
        TEST(growth_is_bounded),
        TEST(too_many_stages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
