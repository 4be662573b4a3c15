/* SPDX-License-Identifier: MIT */
#include "footprint_test.h"

static struct footprint f;

static int set_up(void **state)
{
    (void)state;
    smol_set_up();
    f = (struct footprint){0};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    smol_finish();
    return 0;
}

/* --- estimates ----------------------------------------------------------------------------------
 */

static struct engine_question asked;
static const struct memory_figures machine = {.n = 2};

static void estimate(struct engine_estimate *out, const struct engine_question *q)
{
    asked = *q;
    *out = (struct engine_estimate){.bytes = {1, 2}, .mapped = 3};
}

static void the_kind_gets_the_figures(void **state)
{
    const struct engine_kind kind = {.estimate = estimate};
    struct engine_question q;
    (void)state;
    model.mmproj_info = &(struct gguf_info){.tensor_bytes = 7};
    q = footprint_question(&model, &args, NULL, &machine);
    footprint_estimate(&f, &kind, &q);
    assert_int_equal(f.source, FOOTPRINT_ESTIMATED);
    assert_int_equal(f.bytes[0], 1);
    assert_int_equal(f.bytes[1], 2);
    assert_int_equal(f.mapped, 3);
    assert_false(f.alone);
    assert_true(asked.figures.has_header);
    assert_ptr_equal(asked.machine, &machine);
    assert_int_equal(asked.figures.file_bytes, SIZE);
    assert_int_equal(asked.figures.projector_bytes, 7);
    assert_int_equal(asked.figures.context_length, 8192);
    assert_int_equal(asked.figures.embedding_length, 576);
    assert_int_equal(asked.figures.block_count, 30);
    assert_int_equal(asked.figures.head_count, 9);
    assert_int_equal(asked.figures.head_count_kv, 3);
    assert_int_equal(asked.figures.vocab_size, 49152);
    model.header = MODEL_HEADER_PENDING;
    q = footprint_question(&model, &args, NULL, &machine);
    assert_false(q.figures.has_header);
    assert_int_equal(q.figures.context_length, 0);
}

static void a_kind_without_an_estimate(void **state)
{
    const struct engine_kind kind = {.name = "plain"};
    const struct engine_question q = footprint_question(&model, &args, NULL, &machine);
    (void)state;
    footprint_estimate(&f, &kind, &q);
    assert_int_equal(f.bytes[0], SIZE);
    assert_int_equal(f.mapped, 0);
}

static void from_a_dry_run(void **state)
{
    const struct engine_estimate e = {.bytes = {5, 6}, .mapped = 7};
    (void)state;
    f.alone = true;
    footprint_from_dry_run(&f, &e);
    assert_int_equal(f.source, FOOTPRINT_FITTED);
    assert_int_equal(f.bytes[0], 5);
    assert_int_equal(f.bytes[1], 6);
    assert_int_equal(f.mapped, 7);
}

/* --- measuring ----------------------------------------------------------------------------------
 */

static void what_loads_took(void **state)
{
    struct loads loads = {.n = 1, .load[0] = {.loaded = {10, 20}, .most = {15, 30}}};
    (void)state;
    f = (struct footprint){
        .source = FOOTPRINT_ESTIMATED, .bytes = {1000, 1000}, .mapped = 7, .alone = true};
    footprint_measure(&f, &loads); /* it goes before what was thought */
    assert_int_equal(f.source, FOOTPRINT_MEASURED);
    assert_int_equal(f.bytes[0], 15);
    assert_int_equal(f.bytes[1], 30);
    assert_int_equal(f.loaded[1], 20);
    assert_int_equal(f.mapped, 7);
    assert_false(f.alone);
}

/* The loads may have served short requests alone. */
static void batches_that_no_load_has_filled(void **state)
{
    const struct loads loads = {
        .n = 2,
        .load = {{.loaded = {10, 20}, .most = {13, 30}}, {.loaded = {11, 20}, .most = {12, 30}}}};
    (void)state;
    f = (struct footprint){.source = FOOTPRINT_ESTIMATED, .bytes = {1000, 1000}, .batches = 5};
    footprint_measure(&f, &loads);
    assert_int_equal(f.bytes[0], 10 + 5);
    assert_int_equal(f.bytes[1], 30); /* a card's buffers are there from the beginning */
    assert_int_equal(f.loaded[0], 10);
    f.batches = 2;
    footprint_measure(&f, &loads);
    assert_int_equal(f.bytes[0], 13);
}

#define FOOTPRINT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOOTPRINT_TEST(the_kind_gets_the_figures),
        FOOTPRINT_TEST(a_kind_without_an_estimate),
        FOOTPRINT_TEST(from_a_dry_run),
        FOOTPRINT_TEST(what_loads_took),
        FOOTPRINT_TEST(batches_that_no_load_has_filled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
