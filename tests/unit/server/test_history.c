/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <time.h>

#include "server/history.h"

static struct history h;

static int forget(void **state)
{
    (void)state;
    history_finish(&h);
    h = (struct history){0};
    return 0;
}

static void the_newest_is_first(void **state)
{
    (void)state;
    assert_null(history_at(&h, 0));
    double before = (double)time(NULL);
    history_add(&h, "a", "load", "somebody asked");
    history_add(&h, "b", "pin", NULL);
    assert_string_equal(history_at(&h, 0)->model, "b");
    assert_string_equal(history_at(&h, 0)->event, "pin");
    assert_null(history_at(&h, 0)->why);
    assert_string_equal(history_at(&h, 1)->model, "a");
    assert_string_equal(history_at(&h, 1)->why, "somebody asked");
    assert_true(history_at(&h, 1)->at >= before && history_at(&h, 1)->at < before + 60);
    assert_null(history_at(&h, 2));
}

static void of_why_one_line(void **state)
{
    (void)state;
    history_add(&h, "a", "failed", "it crashed:\nline\nline");
    assert_string_equal(history_at(&h, 0)->why, "it crashed:");
    history_add(&h, "a", "failed", "\nline");
    assert_string_equal(history_at(&h, 0)->why, "");
}

static void the_oldest_go(void **state)
{
    char name[16];
    (void)state;
    for (int i = 0; i < HISTORY_MAX * 2 + 7; i++) {
        snprintf(name, sizeof name, "%d", i);
        history_add(&h, name, "load", name);
    }
    for (int i = 0; i < HISTORY_MAX; i++) {
        snprintf(name, sizeof name, "%d", HISTORY_MAX * 2 + 6 - i);
        assert_string_equal(history_at(&h, (size_t)i)->model, name);
        assert_string_equal(history_at(&h, (size_t)i)->why, name);
    }
    assert_null(history_at(&h, HISTORY_MAX));
    assert_null(history_at(&h, SIZE_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_newest_is_first, forget),
        cmocka_unit_test_teardown(of_why_one_line, forget),
        cmocka_unit_test_teardown(the_oldest_go, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
