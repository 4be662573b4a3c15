/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "server/prompt_costs.h"

/* ms a token: SmolLM2-135M on two cores, and a model of 8B on a fast card. */
static struct prompt_costs slow(void)
{
    return (struct prompt_costs){.token = 6, .save = 0.011, .restore = 0.004, .bytes = 22000};
}

static struct prompt_costs fast(void)
{
    return (struct prompt_costs){.token = 0.3, .save = 0.08, .restore = 0.03, .bytes = 131072};
}

static void nothing_is_known(void **state)
{
    struct prompt_costs c = {0};
    (void)state;
    assert_false(prompt_costs_worth_saving(&c, 100000, 0, PROMPT_AT_STOP));
    assert_true(prompt_costs_save(&c, 1000) > 0);
}

static void figures_follow_what_was_seen(void **state)
{
    struct prompt_costs c = {0};
    (void)state;
    prompt_costs_note_computed(&c, 8, 800); /* a small batch tells nothing */
    assert_true(c.token == 0);
    prompt_costs_note_computed(&c, 1000, 2000);
    assert_true(c.token == 2);
    prompt_costs_note_computed(&c, 1000, 4000);
    assert_true(c.token > 2 && c.token < 4);
    prompt_costs_note_saved(&c, 1000, 50000, 100);
    assert_true(c.save == 0.1 && c.bytes == 50);
    prompt_costs_note_restored(&c, 1000, 50);
    assert_true(c.restore == 0.05);
    prompt_costs_note_saved(&c, 0, 0, 100);
    prompt_costs_note_restored(&c, 0, 100);
    assert_true(c.save == 0.1 && c.restore == 0.05);
}

struct row {
    uint64_t tokens, saved;
    bool is_fast, at_stop, while_running;
};

static void what_is_saved(void **state)
{
    static const struct row rows[] = {
        {5, 0, false, false, false},      /* nothing to gain */
        {10, 0, false, true, false},      /* 60 ms */
        {500, 0, false, true, true},      /* 3 s */
        {500, 500, false, false, false},  /* the store has it */
        {500, 480, false, true, false},   /* the last 20 of it: 120 ms */
        {2500, 0, true, true, false},     /* 750 ms, for which 285 ms are spent */
        {2500, 2000, true, false, false}, /* 150 ms */
        {20000, 0, true, true, false},    /* 6 s against 2.2 s */
        {20000, 19990, true, false, false},
        {400, 800, false, false, false}, /* it has more than that */
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct prompt_costs c = rows[i].is_fast ? fast() : slow();
        assert_int_equal(
            prompt_costs_worth_saving(&c, rows[i].tokens, rows[i].saved, PROMPT_AT_STOP),
            rows[i].at_stop);
        assert_int_equal(
            prompt_costs_worth_saving(&c, rows[i].tokens, rows[i].saved, PROMPT_WHILE_RUNNING),
            rows[i].while_running);
    }
}

static void what_is_restored(void **state)
{
    struct prompt_costs c = fast();
    (void)state;
    assert_true(prompt_costs_worth_restoring(&c, 2500, 750));
    assert_false(prompt_costs_worth_restoring(&c, 2500, 150)); /* a fifth of it is used */
    assert_false(prompt_costs_worth_restoring(&c, 100, 30));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known),
        cmocka_unit_test(figures_follow_what_was_seen),
        cmocka_unit_test(what_is_saved),
        cmocka_unit_test(what_is_restored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
