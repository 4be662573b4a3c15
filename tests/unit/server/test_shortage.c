/* SPDX-License-Identifier: MIT */
/* On snapshots that the test makes, with a scheduler whose actions the test takes itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "server/host_core.h"
#include "urgent.h"

#define MIB ((uint64_t)1 << 20)
#define TOTAL (8192 * MIB)
#define MARGIN (512 * MIB) /* of as much: 5 % and at least this */

static uv_loop_t loop;
static struct host host;
static struct snapshot now; /* what the next reading shows */
static struct sched_model model[2];
static struct sched_instance instance[3];
static int n_readings;
static struct urgent urgent;

/* --- a host with nothing but what a shortage needs ---------------------------------------------- */

static void read_devices(struct memory_figures *out)
{
    n_readings++;
    *out = now.figures;
}

static uint64_t read_zero(void)
{
    return 0;
}

static uint64_t read_stalled(void)
{
    return now.stalled;
}

static const struct sampler_source source = {
    .devices = read_devices, .oom_kills = read_zero, .stalled = read_stalled};

static void on_published(void *ctx)
{
    (void)ctx;
    host.budget.snapshot = sampler_snapshot(host.sampler);
    shortage_check(&host);
}

static const struct sampler_events events = {.published = on_published};

/* The model is loaded and idle. */
static void load(int i)
{
    struct sched_action action;
    host.sched.spare = &instance[i];
    sched_event(&host.sched, &(struct sched_event){.type = SCHED_EV_LOAD, .model = &model[i]}, 1);
    assert_true(sched_next(&host.sched, 1, &action));
    assert_int_equal(action.type, SCHED_ACT_SPAWN);
    host.sched.spare = &instance[i + 1];
    sched_event(&host.sched,
                &(struct sched_event){.type = SCHED_EV_READY, .instance = &instance[i]}, 1);
    assert_false(sched_next(&host.sched, 1, &action));
}

/* What the scheduler does about it: the model that it stops, -1: none. */
static int stopped(void)
{
    struct sched_action action;
    if (!sched_next(&host.sched, 1, &action))
        return -1;
    assert_int_equal(action.type, SCHED_ACT_STOP);
    assert_int_equal(action.stop, SCHED_STOP_MEMORY);
    int i = (int)(action.model - model);
    assert_false(sched_next(&host.sched, 1, &action));
    return i;
}

static void gone(int i)
{
    sched_event(&host.sched, &(struct sched_event){.type = SCHED_EV_GONE, .instance = &instance[i]},
                1);
}

static void create(int fd)
{
    host.loop = &loop;
    host.pumping = true; /* the test takes the actions */
    host.budget.devices = 1;
    sched_init(&host.sched,
               &(struct sched_config){.max_wait_ms = SCHED_NEVER, .hopeless_ms = SCHED_NEVER});
    for (int i = 0; i < 2; i++)
        sched_event(&host.sched, &(struct sched_event){.type = SCHED_EV_ADD, .model = &model[i]},
                    1);
    host.sampler = sampler_create(&loop, &source, sampler_read_first(&source), &events, NULL);
    host.budget.snapshot = sampler_snapshot(host.sampler);
    n_readings = 0;
    host.budget.devices = 0; /* not the machine's own trigger */
    shortage_init(&host);
    host.budget.devices = 1;
    if (fd < 0)
        return;
    struct pressure *p = &host.shortage.pressure;
    assert_int_equal(uv_poll_init(&loop, &p->trigger, fd), 0);
    p->fd = fd;
    p->open++;
}

static int set_up(void **state)
{
    (void)state;
    log_setup(LOG_ERROR, LOG_TEXT);
    memset(&host, 0, sizeof host);
    memset(model, 0, sizeof model);
    memset(instance, 0, sizeof instance);
    now = (struct snapshot){.figures = {.n = 1}};
    now.figures.device[0] =
        (struct memory_device){.name = "host", .total = TOTAL, .available = TOTAL / 2};
    if (uv_loop_init(&loop))
        return -1;
    urgent_open(&urgent);
    create(urgent.fd);
    return 0;
}

static bool closed;

static void on_sampler_closed(bool stuck, void *ctx)
{
    (void)ctx;
    assert_false(stuck);
}

static void on_shortage_closed(struct host *h)
{
    assert_ptr_equal(h, &host);
    closed = true;
    sampler_close(h->sampler, on_sampler_closed);
}

static int tear_down(void **state)
{
    (void)state;
    closed = false;
    shortage_close(&host, on_shortage_closed);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(closed);
    urgent_close(&urgent);
    return uv_loop_close(&loop);
}

/* A reading that began at `at` ms shows `available` bytes, and that all has waited for `stalled` ms so far. */
static void reading(uint64_t at, uint64_t available, uint64_t stalled)
{
    static struct snapshot shown;
    now.figures.device[0].available = available;
    now.began_at = at;
    now.stalled = stalled * 1000;
    shown = now;
    host.budget.snapshot = &shown;
    shortage_check(&host);
}

static uint64_t next_reading(void)
{
    return uv_is_active((uv_handle_t *)&host.shortage.timer)
               ? uv_timer_get_due_in(&host.shortage.timer)
               : 0;
}

/* --- when it is short --------------------------------------------------------------------------- */

static void short_is_a_quarter_of_the_margin_and_over_with_half(void **state)
{
    (void)state;
    load(0);
    load(1);
    reading(1000, MARGIN / 4, 0);
    assert_int_equal(stopped(), -1);
    reading(2000, MARGIN / 4 - 1, 0);
    assert_int_equal(stopped(), 0);
    gone(0);
    reading(3000, MARGIN / 2 - 1, 0); /* it is not over yet */
    assert_int_equal(stopped(), 1);
    gone(1);
    load(0);
    reading(4000, MARGIN / 2, 0);
    assert_int_equal(stopped(), -1);
    reading(5000, MARGIN / 4, 0);
    assert_int_equal(stopped(), -1);
}

static void with_half_while_a_tenth_of_the_time_went_into_waiting(void **state)
{
    (void)state;
    load(0);
    reading(10000, MARGIN / 2 - 1, 70000); /* before, which says nothing */
    assert_int_equal(stopped(), -1);
    reading(15000, MARGIN / 2 - 1, 70499);
    assert_int_equal(stopped(), -1);
    reading(20000, MARGIN / 2, 71499); /* a fifth, but there is enough */
    assert_int_equal(stopped(), -1);
    reading(20100, MARGIN / 2 - 1, 71599); /* too short a time */
    assert_int_equal(stopped(), -1);
    reading(25000, MARGIN / 2 - 1, 71999);
    assert_int_equal(stopped(), 0);
}

/* What an engine freed is in no reading that began before its end. */
static void an_older_reading_does_not_count(void **state)
{
    (void)state;
    load(0);
    load(1);
    uv_update_time(&loop);
    reading(uv_now(&loop), 0, 0);
    assert_int_equal(stopped(), 0);
    gone(0);
    shortage_note_end(&host);
    reading(uv_now(&loop) - 1, 0, 0);
    assert_int_equal(stopped(), -1);
    reading(uv_now(&loop), 0, 0);
    assert_int_equal(stopped(), 1);
}

static void memory_that_does_not_count(void **state)
{
    (void)state;
    load(0);
    host.budget.devices = 0;
    reading(1000, 0, 0);
    assert_int_equal(stopped(), -1);
    assert_int_equal(next_reading(), 0);
    host.budget.devices = 1;
    now.figures.device[0].total = 0; /* the kernel does not tell */
    reading(2000, 0, 0);
    assert_int_equal(stopped(), -1);
}

/* --- when it is read ---------------------------------------------------------------------------- */

static void the_less_there_is_the_sooner_it_is_read_again(void **state)
{
    (void)state;
    load(0);
    uv_update_time(&loop);
    reading(1000, 2 * MARGIN, 0);
    assert_int_equal(next_reading(), SHORTAGE_FAR_MS);
    reading(2000, 2 * MARGIN - 1, 0);
    assert_int_equal(next_reading(), SHORTAGE_NEAR_MS);
    reading(3000, 0, 0);
    assert_int_equal(next_reading(), SHORTAGE_NOW_MS);
    reading(4000, TOTAL / 2, 0);
    assert_int_equal(next_reading(), SHORTAGE_FAR_MS);
}

static void without_an_engine_never(void **state)
{
    (void)state;
    urgent_send(&urgent);
    reading(1000, 0, 0);
    assert_int_equal(next_reading(), 0);
    assert_false(host.shortage.pressure.listening || host.shortage.is_short);
    load(0);
    reading(2000, 0, 0);
    assert_true(next_reading() && host.shortage.pressure.listening && host.shortage.is_short);
    assert_int_equal(stopped(), 0);
    gone(0);
    reading(3000, 0, 0);
    assert_int_equal(next_reading(), 0);
    assert_false(host.shortage.pressure.listening || host.shortage.is_short);
    for (int i = 0; i < 3; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(n_readings, 0);
}

/* Until the pressure is listened to again, the timer reads. */
static void pressure_is_followed_by_two_readings(void **state)
{
    (void)state;
    load(0);
    reading(1000, TOTAL / 2, 0);
    assert_true(host.shortage.pressure.listening);
    now.figures.device[0].available = MARGIN / 4 - 1;
    urgent_send(&urgent);
    while (!host.shortage.is_short && uv_run(&loop, UV_RUN_ONCE))
        ;
    assert_true(host.shortage.alarmed && !host.shortage.pressure.listening);
    assert_int_equal(n_readings, 1);
    assert_int_equal(stopped(), 0);
    now.figures.device[0].available = TOTAL / 2;
    assert_in_range(next_reading(), 1, SHORTAGE_NOW_MS);
    urgent_take(&urgent);
    while (!host.shortage.pressure.listening && uv_run(&loop, UV_RUN_ONCE))
        ;
    assert_false(host.shortage.alarmed || host.shortage.is_short);
    assert_int_equal(n_readings, 2);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(short_is_a_quarter_of_the_margin_and_over_with_half),
        CASE(with_half_while_a_tenth_of_the_time_went_into_waiting),
        CASE(an_older_reading_does_not_count),
        CASE(memory_that_does_not_count),
        CASE(the_less_there_is_the_sooner_it_is_read_again),
        CASE(without_an_engine_never),
        CASE(pressure_is_followed_by_two_readings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
