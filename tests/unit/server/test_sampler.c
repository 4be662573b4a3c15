/* SPDX-License-Identifier: MIT */
/* Readings that take as long as the test says, and one of a tree in place of /proc. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../engine/tree.h"
#include "base/container_of.h"
#include "base/log.h"
#include "server/sampler.h"

#define GIB ((uint64_t)1 << 30)

static uv_loop_t loop;
static struct sampler *sampler;
static uv_sem_t may_read; /* a reading ends */
static uv_timer_t timer;  /* of a test */
static char order[64];    /* what was read, in its order: `D`, or a process's number */
static int n_readings;    /* of devices */
static int n_published;
static bool stuck;

/* --- a source ----------------------------------------------------------------------------------- */

static void add_to_order(char c)
{
    size_t len = strlen(order);
    if (len + 1 < sizeof order)
        order[len] = c;
}

static void read_devices(struct memory_figures *out)
{
    add_to_order('D');
    n_readings++;
    *out = (struct memory_figures){
        .n = 1,
        .device[0] = {.name = "host", .total = 64 * GIB, .available = (uint64_t)n_readings * GIB}};
}

static void read_engines(const struct memory_engine *engines, size_t n, struct memory_use *out)
{
    for (size_t i = 0; i < n; i++) {
        add_to_order((char)engines[i].leader);
        out[i] = (struct memory_use){.n = 1, .bytes = {(uint64_t)engines[i].leader}};
    }
}

static uint64_t read_oom_kills(void)
{
    return 7;
}

static uint64_t read_stalled(void)
{
    return 0;
}

static void read_devices_slowly(struct memory_figures *out)
{
    uv_sem_wait(&may_read);
    read_devices(out);
}

static const struct sampler_source quick = {read_devices, read_engines, read_oom_kills,
                                            read_stalled, NULL};
static const struct sampler_source slow = {read_devices_slowly, read_engines, read_oom_kills,
                                           read_stalled, NULL};

/* --- who is read, and who asks ------------------------------------------------------------------ */

struct engine {
    struct sampler_process process;
    bool ended;
};

struct asker {
    struct sampler_question question;
    const char *name;
    uint64_t version; /* of the snapshot that answered it; 0: none yet */
};

static bool is_running(const struct sampler_process *p)
{
    return !container_of(p, struct engine, process)->ended;
}

static void on_published(void *ctx)
{
    (void)ctx;
    n_published++;
}

static const struct sampler_events events = {.published = on_published, .is_running = is_running};

static void on_answered(struct sampler_question *q)
{
    struct asker *a = container_of(q, struct asker, question);
    a->version = sampler_snapshot(sampler)->version;
}

static bool ask(struct asker *a)
{
    return sampler_ask(sampler, &a->question, on_answered);
}

static void on_closed(bool is_stuck, void *ctx)
{
    stuck = is_stuck;
    *(bool *)ctx = true;
}

static void create(const struct sampler_source *source, bool *closed)
{
    struct snapshot *first = sampler_read_first(&quick);
    assert_int_equal(first->version, 1);
    assert_true(first->oom_kills == 7);
    sampler = sampler_create(&loop, source, first, &events, closed);
    memset(order, 0, sizeof order);
}

/* A reading that was asked for is in flight then. */
static void turn(void)
{
    uv_run(&loop, UV_RUN_NOWAIT);
}

static void run_until(const bool *flag)
{
    while (!*flag && uv_run(&loop, UV_RUN_ONCE))
        ;
    assert_true(*flag);
}

static void run_until_answered(const struct asker *a)
{
    while (!a->version && uv_run(&loop, UV_RUN_ONCE))
        ;
    assert_int_not_equal(a->version, 0);
}

static void close_sampler(bool *closed)
{
    sampler_close(sampler, on_closed);
    run_until(closed);
}

static int set_up(void **state)
{
    (void)state;
    log_setup(LOG_ERROR, LOG_TEXT);
    n_readings = n_published = 0;
    stuck = false;
    memset(order, 0, sizeof order);
    uv_sem_init(&may_read, 0);
    return tree_setup(state) || uv_loop_init(&loop);
}

static int tear_down(void **state)
{
    uv_run(&loop, UV_RUN_DEFAULT); /* a reading that was left behind ends */
    uv_sem_destroy(&may_read);
    return tree_teardown(state) || uv_loop_close(&loop);
}

/* --- questions ---------------------------------------------------------------------------------- */

static void on_release(uv_timer_t *t)
{
    (void)t;
    uv_sem_post(&may_read);
    uv_sem_post(&may_read);
    uv_close((uv_handle_t *)&timer, NULL);
}

/* The first reading may have read before the second question came. */
static void a_question_is_answered_by_a_reading_that_began_after_it(void **state)
{
    struct asker first = {0}, beside = {0}, second = {0}, gone = {0};
    bool closed = false;
    (void)state;
    create(&slow, &closed);
    assert_true(sampler_is_fresh(sampler));
    assert_true(ask(&first));
    assert_true(ask(&beside)); /* in the same turn of the loop */
    turn();
    assert_true(ask(&second));
    assert_true(ask(&gone));
    sampler_cancel(sampler, &gone.question);
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, on_release, 1, 0);
    assert_true(!first.version && !second.version);
    run_until_answered(&second);
    assert_int_equal(first.version, 2);
    assert_int_equal(beside.version, 2);
    assert_int_equal(second.version, 3);
    assert_int_equal(gone.version, 0);
    assert_int_equal(n_published, 2);
    assert_true(sampler_snapshot(sampler)->figures.device[0].available == 3 * GIB);
    close_sampler(&closed);
    assert_false(stuck);
}

static void a_reading_that_hangs_holds_nobody_up(void **state)
{
    struct asker a = {0}, later = {0};
    bool closed = false;
    (void)state;
    create(&slow, &closed);
    assert_true(ask(&a));
    run_until_answered(&a); /* by the limit */
    assert_int_equal(a.version, 1);
    assert_false(ask(&later)); /* no newer one is to be expected */
    uv_sem_post(&may_read);
    while (!n_published)
        uv_run(&loop, UV_RUN_ONCE);
    assert_true(ask(&later));
    uv_sem_post(&may_read);
    run_until_answered(&later);
    assert_int_equal(later.version, 3);
    close_sampler(&closed);
    assert_false(stuck);
}

static void who_closes_it_waits_for_the_reading(void **state)
{
    struct asker a = {0};
    bool closed = false;
    (void)state;
    create(&slow, &closed);
    assert_true(ask(&a));
    turn();
    sampler_close(sampler, on_closed);
    assert_false(closed);
    uv_sem_post(&may_read);
    run_until(&closed);
    assert_true(!stuck && !a.version && !n_published);
}

static void who_closes_it_does_not_wait_for_one_that_hangs(void **state)
{
    struct asker a = {0};
    bool closed = false;
    (void)state;
    create(&slow, &closed);
    assert_true(ask(&a));
    turn();
    sampler_close(sampler, on_closed);
    run_until(&closed);
    assert_true(stuck && !a.version);
    uv_sem_post(&may_read); /* tear_down() runs the loop until it has ended */
}

/* --- processes ---------------------------------------------------------------------------------- */

/* So no byte counts twice that a process takes or frees meanwhile. */
static void who_may_grow_is_read_before_the_devices(void **state)
{
    struct engine serves = {0}, ends = {0};
    struct asker a = {0};
    bool closed = false;
    (void)state;
    create(&quick, &closed);
    sampler_watch(sampler, &ends.process, &(struct memory_engine){.leader = '1'});
    sampler_watch(sampler, &serves.process, &(struct memory_engine){.leader = '2'});
    ends.process.ending = true;
    assert_true(ask(&a));
    run_until_answered(&a);
    assert_string_equal(order, "2D1");
    assert_true(sampler_snapshot(sampler)->held[0] == '1' + '2');
    sampler_unwatch(sampler, &serves.process);
    sampler_unwatch(sampler, &serves.process);
    sampler_unwatch(sampler, &ends.process);
    close_sampler(&closed);
}

/* Its pid may be another's before it was read. */
static void who_ended_meanwhile_is_not_in_the_snapshot(void **state)
{
    struct engine stays = {0}, reaped = {0}, freed = {0}, next = {0};
    struct asker a = {0};
    bool closed = false;
    (void)state;
    create(&slow, &closed);
    sampler_watch(sampler, &reaped.process, &(struct memory_engine){.leader = 'a'});
    sampler_watch(sampler, &freed.process, &(struct memory_engine){.leader = 'b'});
    sampler_watch(sampler, &stays.process, &(struct memory_engine){.leader = 'c'});
    uint64_t number = freed.process.number;
    assert_true(ask(&a));
    turn();
    reaped.ended = true;
    sampler_unwatch(sampler, &freed.process);
    sampler_watch(sampler, &next.process,
                  &(struct memory_engine){.leader = 'b'}); /* the same pid, in use again */
    uv_sem_post(&may_read);
    run_until_answered(&a);
    const struct snapshot *s = sampler_snapshot(sampler);
    assert_int_equal(s->n, 1);
    assert_true(s->held[0] == 'c');
    assert_non_null(snapshot_use(s, stays.process.number));
    assert_null(snapshot_use(s, reaped.process.number));
    assert_null(snapshot_use(s, number));
    assert_null(snapshot_use(s, next.process.number));
    sampler_unwatch(sampler, &reaped.process);
    sampler_unwatch(sampler, &stays.process);
    sampler_unwatch(sampler, &next.process);
    close_sampler(&closed);
}

/* --- pace --------------------------------------------------------------------------------------- */

static void changes_are_read_once_and_then_nothing_wakes(void **state)
{
    bool closed = false;
    (void)state;
    create(&quick, &closed);
    for (int i = 0; i < 5; i++)
        sampler_note_change(sampler);
    uv_run(&loop, UV_RUN_DEFAULT); /* ends when no timer and no reading is left */
    assert_int_equal(n_published, 1);
    sampler_refresh(sampler);
    turn();
    sampler_note_change(sampler);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_published, 3);
    close_sampler(&closed);
}

/* --- rest --------------------------------------------------------------------------------------- */

static unsigned n_rests;

static void rest(void)
{
    n_rests++;
    add_to_order('R');
}

static const struct sampler_source resting = {read_devices, read_engines, read_oom_kills,
                                              read_stalled, rest};

/* Cards are let go once, some time after the last reading, while no engine runs. */
static void it_rests_when_nothing_runs(void **state)
{
    bool closed = false;
    struct engine e = {0};
    struct asker a = {0};
    (void)state;
    n_rests = 0;
    create(&resting, &closed);
    while (!n_rests)
        uv_run(&loop, UV_RUN_ONCE);
    sampler_watch(sampler, &e.process, &(struct memory_engine){.leader = 77});
    assert_true(ask(&a));
    while (!a.version || uv_loop_alive(&loop)) /* nothing is left to do while it runs */
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(n_rests, 1);
    sampler_unwatch(sampler, &e.process);
    sampler_note_change(sampler); /* a reading comes first */
    uint64_t before = sampler_snapshot(sampler)->version;
    while (n_rests == 1)
        uv_run(&loop, UV_RUN_ONCE);
    assert_true(sampler_snapshot(sampler)->version > before);
    sampler_close(sampler, on_closed);
    while (!closed)
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(n_rests, 2);
}

/* A reading that is under way may be past the cards that have come. */
static void looking_for_cards_begins_with_a_rest(void **state)
{
    bool closed = false;
    struct engine e = {0};
    struct asker a = {0};
    (void)state;
    n_rests = 0;
    create(&resting, &closed);
    sampler_watch(sampler, &e.process,
                  &(struct memory_engine){.leader = 'e'}); /* also while an engine runs */
    sampler_refresh(sampler);
    turn();
    sampler_find_cards(sampler);
    assert_false(sampler_is_fresh(sampler));
    assert_true(ask(&a));
    run_until_answered(&a);
    assert_string_equal(order, "eDReD");
    assert_true(sampler_is_fresh(sampler) && n_rests == 1);
    memset(order, 0, sizeof order);
    a.version = 0;
    assert_true(ask(&a));
    run_until_answered(&a);
    assert_string_equal(order, "eD");
    sampler_unwatch(sampler, &e.process);
    close_sampler(&closed);
}

/* --- this machine's source ---------------------------------------------------------------------- */

static void on_open_fifo(uv_timer_t *t)
{
    static const char text[] = "MemTotal: 1024 kB\nMemAvailable: 512 kB\n";
    int fd = open(t->data, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    close(fd);
    uv_close((uv_handle_t *)t, NULL);
}

/* A kernel that is slow to answer: /proc/meminfo is a pipe that nobody has written into yet. */
static void the_loop_goes_on_while_the_kernel_does_not_answer(void **state)
{
    char path[PATH_MAX];
    bool closed = false;
    struct asker a = {0};
    struct engine e = {0};
    (void)state;
    setenv("HOSTLER_NVML", "/nonexistent.so", 1);
    tree_write("/proc/vmstat", "nr_free_pages 5\noom_kill 3\n");
    tree_write("/proc/77/stat", "77 (llama-server) S %d 77 77 0\n", (int)getpid());
    tree_write("/proc/77/status", "RssAnon:\t    2048 kB\n");
    memory_init_at(tree);
    snprintf(path, sizeof path, "%s/proc/meminfo", tree);
    create(&sampler_machine, &closed);
    assert_int_equal(mkfifo(path, 0600), 0);
    sampler_watch(sampler, &e.process, &(struct memory_engine){.leader = 77});
    assert_true(ask(&a));
    uv_timer_init(&loop, &timer);
    timer.data = path;
    uv_timer_start(&timer, on_open_fifo, 1, 0); /* called: the loop does not wait for the pool */
    run_until_answered(&a);
    const struct snapshot *s = sampler_snapshot(sampler);
    assert_int_equal(s->version, 2);
    assert_true(s->figures.device[0].available == 512 * 1024);
    assert_true(snapshot_use(s, e.process.number)->bytes[0] == 2048 * 1024);
    assert_true(s->oom_kills == 3);
    sampler_unwatch(sampler, &e.process);
    close_sampler(&closed);
    memory_finish();
}

#define SAMPLER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SAMPLER_TEST(a_question_is_answered_by_a_reading_that_began_after_it),
        SAMPLER_TEST(a_reading_that_hangs_holds_nobody_up),
        SAMPLER_TEST(who_closes_it_waits_for_the_reading),
        SAMPLER_TEST(who_closes_it_does_not_wait_for_one_that_hangs),
        SAMPLER_TEST(who_may_grow_is_read_before_the_devices),
        SAMPLER_TEST(who_ended_meanwhile_is_not_in_the_snapshot),
        SAMPLER_TEST(changes_are_read_once_and_then_nothing_wakes),
        SAMPLER_TEST(it_rests_when_nothing_runs),
        SAMPLER_TEST(looking_for_cards_begins_with_a_rest),
        SAMPLER_TEST(the_loop_goes_on_while_the_kernel_does_not_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
