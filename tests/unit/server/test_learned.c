/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "../catalog/tree.h"
#include "server/budget.h"
#include "server/learned.h"
#include "server/model.h"
#include "server/state.h"

#define GIB ((uint64_t)1 << 30)

static uv_loop_t loop;
static struct state *s;
static struct snapshot snapshot;
static struct budget b;
static struct catalog_model model;
static struct model h;
static struct engine_launch launch;
static const struct engine_kind kind = {.option_env_prefix = "X_ARG_"};
static struct engine_program program = {.kind = &kind, .path = "/opt/llama-server"};
static char id[] = "m";

static void set_devices(const char *second)
{
    b = (struct budget){.devices = second ? 2 : 1};
    b.snapshot = &snapshot;
    snapshot.figures.n = b.devices;
    strcpy(snapshot.figures.device[0].name, "host");
    if (second)
        strcpy(snapshot.figures.device[1].name, second);
}

static void set_argument(const char *text)
{
    strv_finish(&launch.argv);
    strv_add(&launch.argv, "--ctx-size");
    strv_add(&launch.argv, text);
}

/* As another daemon finds the model. */
static void begin(void)
{
    learned_forget(&h.learned);
    h.sched.load_ms = 0;
}

static int set_up(void **state)
{
    struct error err;
    (void)state;
    model = (struct catalog_model){.id = id, .size = 5 * GIB};
    h = (struct model){.entry = &model, .launch = &launch};
    launch.program = &program;
    set_devices("gpu0");
    set_argument("4096");
    return state_open(&s, NULL, NULL, &err);
}

static int tear_down(void **state)
{
    (void)state;
    learned_forget(&h.learned);
    strv_finish(&launch.argv);
    state_close(s);
    return 0;
}

static void measure(uint64_t number, uint64_t host, uint64_t gpu)
{
    learned_measure(&h.learned, number, &(struct memory_use){.bytes = {host, gpu}, .n = 2});
}

static void keep_measured(void)
{
    h.learned.footprint.mapped = 2 * GIB;
    measure(1, GIB / 2, 2 * GIB);
    measure(1, 1 * GIB, 3 * GIB);
    h.sched.load_ms = 1234;
    learned_keep(s, &b, &h);
    begin();
}

static bool is_recalled(void)
{
    begin();
    learned_recall(s, &b, &h);
    return h.learned.footprint.source == FOOTPRINT_MEASURED;
}

static void what_was_measured(void **state)
{
    (void)state;
    assert_false(is_recalled());
    keep_measured();
    assert_true(is_recalled());
    assert_int_equal(h.learned.footprint.bytes[0], 1 * GIB);
    assert_int_equal(h.learned.footprint.bytes[1], 3 * GIB);
    assert_int_equal(h.learned.footprint.mapped, 2 * GIB);
    assert_int_equal(h.learned.footprint.loaded[0], GIB / 2);
    assert_int_equal(h.learned.footprint.loaded[1], 2 * GIB);
    assert_false(h.learned.footprint.alone);
    assert_int_equal(h.sched.load_ms, 1234);
    assert_int_equal(h.sched.load_ms, 1234);
}

static void only_of_the_same_load(void **state)
{
    (void)state;
    keep_measured();
    set_argument("8192");
    assert_false(is_recalled());
    assert_int_equal(h.sched.load_ms, 0);
    set_argument("4096");
    assert_true(is_recalled());
    model.size++;
    assert_false(is_recalled());
    model.size--;
    model.id = (char[]){"other"};
    assert_false(is_recalled());
    model.id = id;
    assert_true(is_recalled());
    strv_add(&launch.env, "X_ARG_CTX_SIZE=131072");
    assert_false(is_recalled());
    strv_finish(&launch.env);
    model.created++; /* another file in its place */
    assert_false(is_recalled());
    model.created--;
    program.path = "/opt/newer/llama-server";
    assert_false(is_recalled());
    program.path = "/opt/llama-server";
    assert_true(is_recalled());
    /* Words that only together are the same. */
    strv_finish(&launch.argv);
    strv_add(&launch.argv, "--ctx-size4096");
    assert_false(is_recalled());
}

static void only_on_the_same_devices(void **state)
{
    (void)state;
    keep_measured();
    set_devices("gpu1");
    assert_false(is_recalled());
    assert_int_equal(h.sched.load_ms, 1234); /* it is as good a guess as any */
    set_devices(NULL);                       /* what was on the card goes to the host */
    assert_false(is_recalled());
    b.devices = 0; /* nobody looks */
    assert_false(is_recalled());
    set_devices("gpu0");
    assert_true(is_recalled());
}

/* What was thought is not what was measured; the time of the load is known all the same. */
static void only_if_measured(void **state)
{
    static const enum footprint_source others[] = {FOOTPRINT_UNKNOWN, FOOTPRINT_ESTIMATED,
                                                   FOOTPRINT_FITTED, FOOTPRINT_GIVEN};
    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        h.learned.footprint = (struct footprint){.source = others[i], .bytes = {GIB}};
        h.sched.load_ms = 10 + i;
        learned_keep(s, &b, &h);
        assert_false(is_recalled());
        assert_int_equal(h.learned.footprint.source, FOOTPRINT_UNKNOWN);
        assert_int_equal(h.sched.load_ms, 10 + i);
    }
}

/* A daemon that does not look at memory does not forget what another measured. */
static void what_is_known_stays_known(void **state)
{
    (void)state;
    keep_measured();
    b.devices = 0;
    h.sched.load_ms = 99;
    learned_keep(s, &b, &h);
    set_devices("gpu0");
    assert_true(is_recalled());
    assert_int_equal(h.learned.footprint.bytes[1], 3 * GIB);
    assert_int_equal(h.sched.load_ms, 99);
}

static struct card a_card(const char *uuid)
{
    struct card c = {.vendor = CARD_NVIDIA, .pci = "0000:01:00.0", .device = 1};
    snprintf(c.uuid, sizeof c.uuid, "%s", uuid);
    return c;
}

static void only_on_the_same_card(void **state)
{
    struct card_list *cards = &snapshot.figures.cards;
    (void)state;
    cards->n = 1;
    cards->card[0] = a_card("GPU-1");
    keep_measured();
    cards->card[0] = a_card("GPU-2"); /* in the same place */
    assert_false(is_recalled());
    cards->card[0] = a_card("GPU-1");
    assert_true(is_recalled());
    cards->n = 0;
}

/* Over restarts, too: so much of what was long ago goes. */
static void the_last_loads_count(void **state)
{
    (void)state;
    keep_measured();
    for (uint64_t n = 1; n <= LOADS_MOST; n++) { /* each daemon numbers them anew */
        assert_true(is_recalled());
        measure(1, GIB, GIB + n);
        learned_keep(s, &b, &h);
    }
    assert_true(is_recalled());
    assert_int_equal(h.learned.footprint.bytes[1], GIB + LOADS_MOST - 1);
    assert_int_equal(h.learned.footprint.loaded[1], GIB + 2);
}

static void a_load_without_a_request(void **state)
{
    (void)state;
    measure(1, GIB, 3 * GIB);
    learned_end(&h.learned, 1, true);
    measure(2, GIB, 2 * GIB);
    learned_end(&h.learned, 2, false);
    assert_int_equal(h.learned.loads->n, 1);
    assert_int_equal(h.learned.footprint.loaded[1], 3 * GIB);
}

static void open_in(const char *folder)
{
    struct error err;
    if (state_open(&s, &loop, folder, &err))
        fail_msg("%s", err.text);
}

static void close_it(void)
{
    state_close(s);
    uv_run(&loop, UV_RUN_DEFAULT);
}

/* Puts `text` in place of the only thing that was learned. */
static void replace(const char *file, const char *text)
{
    json_t *all = json_load_file(file, 0, NULL);
    json_t *entries = json_object_get(all, "footprints");
    assert_int_equal(json_object_size(entries), 1);
    json_object_set_new(entries, json_object_iter_key(json_object_iter(entries)),
                        json_loads(text, JSON_DECODE_ANY, NULL));
    assert_int_equal(json_dump_file(all, file, 0), 0);
    json_decref(all);
}

/* The file is somebody's to write into. */
static void nonsense_is_passed_over(void **state)
{
    static const char *const texts[] = {
        "1",
        "{}",
        "{\"loads\": [], \"mapped\": 0}",
        "{\"loads\": [{}], \"mapped\": 0}",
        "{\"loads\": [{\"loaded\": {\"host\": 1, \"gpu0\": 2}, \"most\": {\"host\": 1}}], "
        "\"mapped\": 0}",
        "{\"loads\": [{\"loaded\": {\"host\": 1, \"gpu0\": 2}, \"most\": {\"host\": 1, \"gpu0\": "
        "-1}}], \"mapped\": 0}",
        "{\"loads\": [{\"loaded\": {\"host\": 1, \"gpu0\": 2}, \"most\": {\"host\": 1, \"gpu0\": "
        "\"2\"}}], \"mapped\": 0}",
        "{\"loads\": [{\"loaded\": {\"host\": 1, \"gpu0\": 2}, \"most\": {\"host\": 1, \"gpu0\": "
        "2}}], \"mapped\": -1, \"load_ms\": -5}",
        "{\"loads\": [{\"loaded\": {\"host\": 1, \"gpu0\": 2}, \"most\": {\"host\": 1, \"gpu0\": "
        "2}}], \"load_ms\": null}",
    };
    struct tree t;
    (void)state;
    state_close(s);
    tree_create(&t);
    assert_int_equal(uv_loop_init(&loop), 0);
    open_in(t.root);
    keep_measured();
    close_it();
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        replace(tree_path(&t, "state.json"), texts[i]);
        open_in(t.root);
        if (is_recalled() || h.sched.load_ms)
            fail_msg("it was taken: %s", texts[i]);
        close_it();
    }
    replace(tree_path(&t, "state.json"), "{\"loads\": [{\"loaded\": {\"host\": 1, \"gpu0\": 2}, "
                                         "\"most\": {\"host\": 1, \"gpu0\": 2}}], \"mapped\": 0}");
    open_in(t.root);
    assert_true(is_recalled());
    close_it();
    assert_int_equal(uv_loop_close(&loop), 0);
    tree_remove(&t);
    assert_int_equal(state_open(&s, NULL, NULL, &(struct error){0}), 0);
}

#define LEARNED_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEARNED_TEST(what_was_measured),        LEARNED_TEST(only_of_the_same_load),
        LEARNED_TEST(only_on_the_same_devices), LEARNED_TEST(only_if_measured),
        LEARNED_TEST(only_on_the_same_card),    LEARNED_TEST(the_last_loads_count),
        LEARNED_TEST(a_load_without_a_request), LEARNED_TEST(what_is_known_stays_known),
        LEARNED_TEST(nonsense_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
