/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/terminal/progress.h"

static int permille(const char *text)
{
    json_t *progress = json_loads(text, 0, NULL);
    assert_non_null(progress);
    double f = progress_fraction(progress);
    json_decref(progress);
    return f < 0 ? -1 : (int)(f * 1000 + 0.5);
}

static void stages_share_the_bar(void **state)
{
    (void)state;
    assert_int_equal(permille("{\"stages\":[\"text_model\"],\"current\":\"text_model\","
                              "\"value\":0.42}"),
                     420);
    assert_int_equal(permille("{\"stages\":[\"a\",\"b\"],\"current\":\"b\",\"value\":0.5}"), 750);
    assert_int_equal(permille("{\"stages\":[],\"current\":\"x\",\"value\":0.5}"), 500);
    assert_int_equal(permille("{\"value\":7}"), 1000);
    assert_int_equal(permille("{\"stages\":[1,null],\"current\":\"a\",\"value\":-1}"), 0);
    assert_int_equal(permille("{}"), -1);
    assert_int_equal(permille("{\"value\":\"x\"}"), -1);
    assert_true(progress_fraction(NULL) < 0);
}

static void bars_are_drawn(void **state)
{
    static const struct {
        double fraction;
        const char *text;
    } cases[] = {
        {0, "[----------]   0%"},
        {0.5, "[#####-----]  50%"},
        {0.999, "[##########]  99%"},
        {1, "[##########] 100%"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *bar = progress_bar(cases[i].fraction, 10);
        assert_string_equal(bar, cases[i].text);
        free(bar);
    }
}

static void time_left_comes_from_the_rate(void **state)
{
    struct progress_rate r = {0};
    uint64_t left;
    (void)state;
    assert_false(progress_rate_left(&r, 0, &left));
    progress_rate_add(&r, 0.1, 1000);
    progress_rate_add(&r, 0.2, 1100);
    assert_false(progress_rate_left(&r, 1100, &left)); /* too early to tell */
    progress_rate_add(&r, 0.5, 3000);                  /* 0.4 in 2 s */
    assert_true(progress_rate_left(&r, 3000, &left));
    assert_in_range(left, 2499, 2500);
    assert_true(progress_rate_left(&r, 4000, &left)); /* a second later, nothing new */
    assert_in_range(left, 1499, 1500);
    assert_true(progress_rate_left(&r, 90000, &left));
    assert_int_equal(left, 0);
    progress_rate_add(&r, 0.0, 5000); /* it began anew */
    assert_false(progress_rate_left(&r, 5000, &left));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stages_share_the_bar),
        cmocka_unit_test(bars_are_drawn),
        cmocka_unit_test(time_left_comes_from_the_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
