/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "server/timeline.h"

#define STEP 5000

static struct timeline *t;

static int begin(void **state)
{
    (void)state;
    t = timeline_create();
    return 0;
}

static int end(void **state)
{
    (void)state;
    timeline_destroy(t);
    return 0;
}

static void sample(uint64_t now, double engines, unsigned waiting)
{
    timeline_sample(
        t, now,
        &(struct timeline_sample){
            .devices = 1, .engines = {engines}, .others = {7}, .waiting = waiting, .running = 1});
}

static double at(enum timeline_series series, uint64_t step, uint64_t now)
{
    return timeline_value(t, TIMELINE_HOUR, series, 0, step, now);
}

static void test_empty(void **state)
{
    (void)state;
    assert_true(isnan(at(TIMELINE_ENGINES, 0, 0)));
    assert_true(isnan(at(TIMELINE_TOKENS, 100, 100 * STEP)));
    assert_int_equal(timeline_first(t, TIMELINE_HOUR, 100 * STEP), 100);
    assert_null(timeline_mark_at(t, 0));
}

static void test_samples_of_a_step(void **state)
{
    (void)state;
    sample(100 * STEP, 10, 3);
    sample(100 * STEP + 1000, 20, 1);
    sample(101 * STEP, 50, 0);
    assert_true(at(TIMELINE_ENGINES, 100, 101 * STEP) == 15); /* the mean */
    assert_true(at(TIMELINE_WAITING, 100, 101 * STEP) == 3);  /* the most */
    assert_true(at(TIMELINE_ENGINES, 101, 101 * STEP) == 50);
    assert_true(at(TIMELINE_OTHERS, 101, 101 * STEP) == 7);
    assert_true(isnan(at(TIMELINE_ENGINES, 99, 101 * STEP)));
    assert_true(isnan(timeline_value(t, TIMELINE_HOUR, TIMELINE_ENGINES, 3, 100, 101 * STEP)));
    assert_int_equal(timeline_first(t, TIMELINE_HOUR, 110 * STEP), 100);
    assert_int_equal(timeline_first(t, TIMELINE_DAY, 110 * STEP), 100 * STEP / 120000);
}

/* One step without a sample is the clock's jitter, more is that nothing is known. */
static void test_gaps(void **state)
{
    (void)state;
    sample(100 * STEP, 10, 0);
    sample(102 * STEP, 30, 0);
    sample(105 * STEP, 50, 0);
    assert_true(at(TIMELINE_ENGINES, 101, 105 * STEP) == 30);
    assert_true(isnan(at(TIMELINE_ENGINES, 103, 105 * STEP)));
    assert_true(isnan(at(TIMELINE_ENGINES, 104, 105 * STEP)));
}

static void test_what_is_old_is_forgotten(void **state)
{
    (void)state;
    const uint64_t later = (100 + TIMELINE_STEPS) * (uint64_t)STEP;
    sample(100 * STEP, 10, 0);
    sample(101 * STEP, 20, 0);
    sample(later, 30, 0); /* in the place of the first one */
    assert_true(isnan(at(TIMELINE_ENGINES, 100, later)));
    assert_true(at(TIMELINE_ENGINES, 101, later) == 20);
    assert_true(at(TIMELINE_ENGINES, later / STEP, later) == 30);
    sample(later * 1000, 40, 0); /* a machine that slept */
    assert_true(isnan(at(TIMELINE_ENGINES, 101, later * 1000)));
    assert_int_equal(timeline_first(t, TIMELINE_HOUR, later * 1000), later * 1000 / STEP);
}

static void test_tokens_are_spread(void **state)
{
    (void)state;
    const uint64_t now = 110 * STEP;
    sample(100 * STEP, 10, 0);
    timeline_add_tokens(t, 100 * STEP + 2500, 102 * STEP + 2500, 100);
    assert_true(at(TIMELINE_TOKENS, 100, now) == 5); /* 25 in 5 s */
    assert_true(at(TIMELINE_TOKENS, 101, now) == 10);
    assert_true(at(TIMELINE_TOKENS, 102, now) == 5);
    timeline_add_tokens(t, 102 * STEP, 102 * STEP, 25);
    assert_true(at(TIMELINE_TOKENS, 102, now) == 10);
    timeline_add_tokens(t, 0, (uint64_t)10000 * STEP, 1000000); /* longer than the hour */
    assert_true(at(TIMELINE_TOKENS, 9999, (uint64_t)10001 * STEP) == 20);
}

/* Of the step that goes on the time that has passed counts. */
static void test_the_step_of_now(void **state)
{
    (void)state;
    sample(100 * STEP, 10, 0);
    timeline_add_tokens(t, 100 * STEP, 100 * STEP + 2000, 100);
    assert_true(at(TIMELINE_TOKENS, 100, 100 * STEP + 2000) == 50);
    assert_true(at(TIMELINE_TOKENS, 100, 101 * STEP) == 20);
}

static void test_marks(void **state)
{
    char name[32], cause[500];
    (void)state;
    memset(cause, 'x', sizeof cause - 1);
    cause[sizeof cause - 1] = '\0';
    for (int i = 0; i < 2 * TIMELINE_MARKS + 3; i++) {
        snprintf(name, sizeof name, "m%d", i);
        timeline_mark(t, i, name, "load", i % 2 ? cause : NULL);
    }
    assert_string_equal(timeline_mark_at(t, 0)->model, name);
    assert_true(timeline_mark_at(t, TIMELINE_MARKS - 1)->at == TIMELINE_MARKS + 3);
    assert_null(timeline_mark_at(t, TIMELINE_MARKS));
    assert_true(strlen(timeline_mark_at(t, 1)->cause) < 160);
    assert_null(timeline_mark_at(t, 0)->cause);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_empty, begin, end),
        cmocka_unit_test_setup_teardown(test_samples_of_a_step, begin, end),
        cmocka_unit_test_setup_teardown(test_gaps, begin, end),
        cmocka_unit_test_setup_teardown(test_what_is_old_is_forgotten, begin, end),
        cmocka_unit_test_setup_teardown(test_tokens_are_spread, begin, end),
        cmocka_unit_test_setup_teardown(test_the_step_of_now, begin, end),
        cmocka_unit_test_setup_teardown(test_marks, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
