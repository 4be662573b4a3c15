/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdatomic.h>
#include <string.h>

#include "server/cache_probe.h"

static uv_loop_t loop;
static uv_sem_t may_read; /* the disk answers */
static atomic_int n_entered, n_read;
static int n_done;
static double told;

static double slow_reader(const char *path)
{
    assert_string_equal(path, "/models/m.gguf");
    n_entered++;
    uv_sem_wait(&may_read);
    n_read++;
    return 0.25;
}

static void on_done(double share, void *ctx)
{
    told = share;
    n_done++;
    *(bool *)ctx = true;
}

static void on_timer(uv_timer_t *timer)
{
    assert_int_equal(n_done, 0); /* the loop turns while the disk does not answer */
    uv_sem_post(&may_read);
    uv_close((uv_handle_t *)timer, NULL);
}

static bool start(struct cache_probe *p, bool *answered)
{
    return cache_probe_start(p, &loop, "/models/m.gguf", slow_reader, on_done, answered);
}

static int set_up(void **state)
{
    (void)state;
    n_entered = n_read = n_done = 0;
    uv_sem_init(&may_read, 0);
    return uv_loop_init(&loop);
}

static int tear_down(void **state)
{
    (void)state;
    uv_sem_destroy(&may_read);
    return uv_loop_close(&loop);
}

static void the_loop_goes_on_while_a_disk_hangs(void **state)
{
    struct cache_probe p = {0};
    bool answered = false;
    uv_timer_t timer;
    (void)state;
    assert_true(start(&p, &answered));
    assert_true(start(&p, &answered)); /* one reading serves both */
    assert_false(p.known);
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, on_timer, 1, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(answered && p.known && !p.reading);
    assert_int_equal(n_read, 1);
    assert_int_equal(n_done, 1);
    assert_true(told == 0.25);
}

static void a_finished_probe_tells_nothing(void **state)
{
    struct cache_probe p = {0};
    bool answered = false;
    (void)state;
    assert_true(start(&p, &answered));
    cache_probe_finish(&p);
    cache_probe_finish(&p);
    uv_sem_post(&may_read);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_read, 1);
    assert_false(answered || p.known);
}

#define FILES 5

static void on_first(uv_timer_t *timer)
{
    assert_true(n_entered <= 2);
    uv_close((uv_handle_t *)timer, NULL);
    for (int i = 0; i < FILES; i++)
        uv_sem_post(&may_read);
}

/* The pool has threads for others, even when none of the files can be read. */
static void two_at_a_time(void **state)
{
    struct cache_probe p[FILES] = {0};
    bool answered[FILES] = {false};
    uv_timer_t timer;
    (void)state;
    for (int i = 0; i < FILES; i++)
        assert_true(start(&p[i], &answered[i]));
    cache_probe_finish(&p[3]); /* which waits */
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, on_first, 100, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_read, FILES - 1);
    for (int i = 0; i < FILES; i++)
        assert_int_equal(answered[i], i != 3);
}

static void on_hanging(uv_timer_t *timer)
{
    struct cache_probe *p = timer->data;
    bool answered = false;
    assert_false(start(&p[2], &answered)); /* it waited */
    assert_false(start(&p[3], &answered));
    assert_true(start(&p[0], &answered));
    assert_null(p[2].reading);
    assert_null(p[3].reading);
    uv_close((uv_handle_t *)timer, NULL);
    uv_sem_post(&may_read);
    uv_sem_post(&may_read);
}

static void nobody_waits_for_a_disk_that_hangs(void **state)
{
    struct cache_probe p[4] = {0};
    bool answered[3] = {false};
    uv_timer_t timer;
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(start(&p[i], &answered[i]));
    uv_timer_init(&loop, &timer);
    timer.data = p;
    uv_timer_start(&timer, on_hanging, 2100, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(answered[0] && answered[1] && !answered[2]);
    assert_int_equal(n_read, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_loop_goes_on_while_a_disk_hangs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_finished_probe_tells_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(two_at_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_waits_for_a_disk_that_hangs, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
