/* SPDX-License-Identifier: MIT */
/* How long an instance keeps its place while others wait, busy and in a pause. */
#include "sched_test.h"

enum { LOAD = 1000, STOP = 200 };

/* One place. A and B take LOAD and STOP, and A serves request 0 from now on. */
static struct world *begin_busy(unsigned turn, uint64_t max_wait_ms)
{
    struct world *w = begin_with(
        &(struct sched_config){.models_max = 1, .turn = turn, .max_wait_ms = max_wait_ms});
    for (int model = A; model < MODELS; model++) {
        w->m[model].load_ms = LOAD;
        w->m[model].stop_ms = STOP;
    }
    have_busy(w, A, 0);
    return w;
}

/* How long request 1 at B has waited when A yields to it. */
static uint64_t until_it_yields(struct world *w)
{
    uint64_t since = w->now;
    ask(w, 1, B);
    did(w, "");
    while (state_of(w, A) == SCHED_READY) {
        tick(w);
        did(w, "");
    }
    assert_int_equal(state_of(w, A), SCHED_YIELDING);
    return w->now - since;
}

/* --- Busy ---------------------------------------------------------------------------------- */

TEST(a_turn_lasts_a_multiple_of_a_change_there_and_back)
{
    assert_int_equal(until_it_yields(begin_busy(1, SCHED_NEVER)), 2 * (LOAD + STOP));
    assert_int_equal(until_it_yields(begin_busy(2, SCHED_NEVER)), 4 * (LOAD + STOP));
}

TEST(what_is_said_of_the_wait_counts_turns)
{
    struct world *w = begin_busy(2, SCHED_NEVER);
    const uint64_t turn = 4 * (LOAD + STOP), change = STOP + LOAD;
    assert_int_equal(sched_eta(&w->s, &w->m[B]), turn + change);
    ask(w, 1, B);
    pass(w, 1);
    ask(w, 2, C);
    did(w, "");
    assert_int_equal(sched_eta(&w->s, &w->m[B]), turn - 1 + change);
    assert_int_equal(sched_eta(&w->s, &w->m[C]), 2 * (turn + change) - 1);
}

TEST(both_costs_count)
{
    struct world *w = begin_busy(2, SCHED_NEVER);
    w->m[B].load_ms = 10 * LOAD;
    assert_int_equal(until_it_yields(w), 2 * (11 * LOAD + 2 * STOP));
}

TEST(what_a_stop_takes_is_measured)
{
    struct world *w = begin_busy(1, SCHED_NEVER);
    done(w, 0);
    ask(w, 1, B);
    pass(w, SCHED_PAUSE_MIN_MS + LOAD);
    tell(w, SCHED_EV_TICK, A);
    did(w, "stop A evicted");
    pass(w, 3 * STOP);
    tell(w, SCHED_EV_GONE, A);
    assert_int_equal(w->m[A].stop_ms, 3 * STOP);
}

TEST(what_force_took_says_nothing)
{
    struct world *w = begin_busy(1, SCHED_NEVER);
    unload(w, A, 0);
    did(w, "stop A unloaded by force");
    tell(w, SCHED_EV_GONE, A);
    assert_int_equal(w->m[A].stop_ms, STOP);
}

TEST(a_load_that_costs_nothing_has_a_turn_all_the_same)
{
    struct world *w = begin_busy(2, SCHED_NEVER);
    for (int model = A; model <= B; model++)
        w->m[model].load_ms = w->m[model].stop_ms = 0;
    assert_int_equal(until_it_yields(w), SCHED_TURN_MIN_MS);
}

TEST(no_turn_is_longer_than_max_wait)
{
    assert_int_equal(until_it_yields(begin_busy(2, 700)), 700);
}

TEST(without_turns_one_yields_when_somebody_has_waited_for_max_wait)
{
    struct world *w = begin_busy(0, 5000);
    pass(w, 60000);
    assert_int_equal(until_it_yields(w), 5000);
}

TEST(a_turn_begins_with_the_load_and_not_with_a_visitor)
{
    struct world *w = begin_busy(2, SCHED_NEVER);
    pass(w, 3 * (LOAD + STOP));
    assert_int_equal(until_it_yields(w), LOAD + STOP);
}

TEST(who_comes_after_the_turn_waits_for_half_a_change)
{
    struct world *w = begin_busy(2, SCHED_NEVER);
    pass(w, 3600000);
    assert_int_equal(until_it_yields(w), LOAD + STOP);
}

TEST(nobody_yields_when_nobody_waits)
{
    struct world *w = begin_busy(2, SCHED_NEVER);
    pass(w, 3600000);
    ask(w, 1, A);
    did(w, "grant 1");
    assert_int_equal(sched_deadline(&w->s), SCHED_NEVER);
}

TEST(one_that_yields_finishes_and_the_queue_of_the_other_is_served)
{
    struct world *w = begin_busy(2, SCHED_NEVER);
    until_it_yields(w);
    ask(w, 2, A);
    ask(w, 3, B);
    did(w, "");
    done(w, 0);
    did(w, "stop A evicted");
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn B for 1");
    tell(w, SCHED_EV_READY, B);
    did(w, "grant 1; grant 3");
}

TEST(then_the_turn_is_the_others)
{
    struct world *w = begin_busy(2, SCHED_NEVER);
    until_it_yields(w);
    ask(w, 2, A);
    done(w, 0);
    did(w, "stop A evicted");
    pass(w, STOP);
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn B for 1");
    pass(w, LOAD);
    tell(w, SCHED_EV_READY, B);
    uint64_t ready = w->now;
    did(w, "grant 1");
    while (state_of(w, B) == SCHED_READY) {
        tick(w);
        did(w, "");
    }
    assert_int_equal(w->now - ready, 4 * (LOAD + STOP));
}

TEST(one_that_yields_goes_on_yielding_when_another_has_waited_longer)
{
    struct world *w = begin_busy(2, SCHED_NEVER);
    until_it_yields(w);
    w->m[B].load_ms = 100 * LOAD; /* its turn would not be over by that */
    tell(w, SCHED_EV_TICK, A);
    did(w, "");
    assert_int_equal(state_of(w, A), SCHED_YIELDING);
}

/* --- Two cards ----------------------------------------------------------------------------- */

/* Of each card's two models one is busy: A and B are for card 1, C and D for card 2. Loads of A and B take 100 ms,
 * those of C and D `slow_ms`. Card 2's D has waited a while. */
static struct world *begin_two_cards(uint64_t slow_ms)
{
    struct world *w = begin_with(&(struct sched_config){
        .turn = 2, .max_wait_ms = 30000, .devices = 3, .ceiling = {100, 10, 10}});
    for (int model = A; model <= D; model++) {
        w->m[model].next.bytes[0] = 1;
        w->m[model].next.bytes[model <= B ? 1 : 2] = 8;
        w->m[model].load_ms = model <= B ? 100 : slow_ms;
    }
    have_busy(w, C, 2);
    have_busy(w, A, 0);
    ask(w, 3, D);
    did(w, "");
    return w;
}

TEST(who_waits_for_another_card_has_no_part_in_a_turn)
{
    assert_int_equal(until_it_yields(begin_two_cards(5000)), SCHED_TURN_MIN_MS);
}

TEST(a_quick_model_of_another_card_does_not_shorten_a_turn)
{
    struct world *w = begin_two_cards(1);
    w->m[A].load_ms = w->m[B].load_ms = 1000;
    uint64_t since = w->now;
    ask(w, 1, B);
    while (state_of(w, A) == SCHED_READY) {
        tick(w);
        did(w, "");
    }
    assert_int_equal(w->now - since, 4000);
}

TEST(who_is_overdue_for_one_card_holds_up_nobody_on_another)
{
    struct world *w = begin_with(&(struct sched_config){
        .turn = 2, .max_wait_ms = 1000, .devices = 3, .ceiling = {100, 10, 10}});
    for (int model = A; model <= D; model++)
        w->m[model].next.bytes[model <= B ? 1 : 2] = 8;
    tell(w, SCHED_EV_LOAD, A);
    did(w, "spawn A");
    ask(w, 1, B);
    did(w, "");
    pass(w, 2000);
    ask(w, 2, C);
    did(w, "spawn C for 2");
}

TEST(who_may_not_be_loaded_yet_has_no_part_in_a_turn)
{
    struct world *w = begin_busy(2, SCHED_NEVER);
    ask(w, 2, C);
    w->m[C].load_ms = 100 * LOAD;
    w->m[C].unsure = true;
    assert_int_equal(until_it_yields(w), 4 * (LOAD + STOP));
}

TEST(who_is_of_a_lower_priority_has_no_part_in_a_turn)
{
    struct world *w = begin_busy(2, SCHED_NEVER);
    w->m[A].priority = w->m[B].priority = 1;
    w->m[C].load_ms = 100 * LOAD;
    ask(w, 2, C);
    assert_int_equal(until_it_yields(w), 4 * (LOAD + STOP));
}

TEST(one_that_yields_for_nobody_any_more_is_ready_again)
{
    struct world *w = begin_busy(2, SCHED_NEVER);
    until_it_yields(w);
    ask(w, 2, A);
    cancel(w, 1);
    did(w, "grant 2");
    assert_int_equal(state_of(w, A), SCHED_READY);
}

/* --- Priorities ---------------------------------------------------------------------------- */

TEST(a_higher_priority_yields_only_to_one_that_is_overdue)
{
    struct world *w = begin_busy(2, 60000);
    w->m[A].priority = 1;
    assert_int_equal(until_it_yields(w), 60000);
}

TEST(a_lower_priority_yields_after_its_turn)
{
    struct world *w = begin_busy(2, 60000);
    w->m[B].priority = 1;
    assert_int_equal(until_it_yields(w), 4 * (LOAD + STOP));
}

TEST(of_two_places_the_lower_priority_yields)
{
    struct world *w =
        begin_with(&(struct sched_config){.models_max = 2, .turn = 2, .max_wait_ms = SCHED_NEVER});
    w->m[A].priority = 1;
    have_busy(w, A, 0);
    have_busy(w, B, 1);
    pass(w, 60000);
    ask(w, 2, C);
    did(w, "");
    ask(w, 3, D);
    w->m[D].priority = 1;
    tell(w, SCHED_EV_TICK, D);
    did(w, "");
    assert_int_equal(state_of(w, A), SCHED_READY);
    assert_int_equal(state_of(w, B), SCHED_YIELDING);
}

TEST(what_is_pinned_does_not_yield)
{
    struct world *w = begin_busy(2, 1000);
    w->m[A].pinned = true;
    ask(w, 1, B);
    pass(w, 60000);
    tell(w, SCHED_EV_TICK, A);
    did(w, "");
    assert_int_equal(state_of(w, A), SCHED_READY);
}

/* --- Pauses -------------------------------------------------------------------------------- */

/* A is used with such a pause while request 9 waits for B: how long after that is A stopped? */
static uint64_t end_of_pause(uint64_t load_ms, uint64_t pause_ms)
{
    struct world *w =
        begin_with(&(struct sched_config){.models_max = 1, .turn = 4, .max_wait_ms = SCHED_NEVER});
    w->m[A].load_ms = w->m[B].load_ms = load_ms;
    have_busy(w, A, 0);
    ask(w, 9, B);
    done(w, 0);
    did(w, "");
    pass(w, pause_ms);
    ask(w, 1, A);
    did(w, "grant 1");
    done(w, 1);
    uint64_t since = w->now;
    while (!*actions(w))
        tick(w);
    assert_int_equal(state_of(w, A), SCHED_STOPPING);
    return w->now - since;
}

TEST(a_pause_is_waited_for_as_long_as_a_quarter_of_a_load)
{
    assert_int_equal(end_of_pause(4000, 100), 1000);
    assert_int_equal(end_of_pause(20, 5), SCHED_PAUSE_MIN_MS);
}

TEST(a_pause_lasts_no_longer_than_the_turn)
{
    struct world *w = begin_busy(1, SCHED_NEVER);
    w->m[A].load_ms = 4 * LOAD;
    ask(w, 1, B);
    pass(w, 5 * LOAD + 2 * STOP - 100); /* of the turn 100 ms are left */
    done(w, 0);
    did(w, "");
    pass(w, 99);
    tell(w, SCHED_EV_TICK, A);
    did(w, "");
    pass(w, 1);
    tell(w, SCHED_EV_TICK, A);
    did(w, "stop A evicted");
}

TEST(whose_pauses_are_long_is_not_waited_for)
{
    struct world *w = begin_busy(4, SCHED_NEVER);
    w->m[A].pauses[0] = w->m[A].pauses[1] = LOAD;
    done(w, 0);
    ask(w, 1, B);
    did(w, "stop A evicted");
}

TEST(a_pause_for_which_nobody_could_have_waited_does_not_count)
{
    struct world *w = begin_busy(4, SCHED_NEVER);
    w->m[A].pauses[0] = w->m[A].pauses[1] = LOAD;
    for (int i = 0; i < 3; i++) {
        done(w, i);
        pass(w, 1);
        ask(w, i + 1, A);
        actions(w);
    }
    assert_int_equal(w->m[A].pauses[0], LOAD);
}

/* An agent that asks A, then B, then A again: whoever waits for it at A waits in vain. */
TEST(who_comes_back_only_after_another_model_is_not_waited_for)
{
    struct world *w = begin_busy(4, SCHED_NEVER);
    for (int round = 0; round < 2; round++) {
        done(w, 0);
        ask(w, 1, B);
        pass(w, LOAD);
        tell(w, SCHED_EV_TICK, A);
        did(w, "stop A evicted");
        tell(w, SCHED_EV_GONE, A);
        did(w, "spawn B for 1");
        tell(w, SCHED_EV_READY, B);
        did(w, "grant 1");
        pass(w, SCHED_PAUSE_MIN_MS);
        done(w, 1);
        ask(w, 0, A);
        pass(w, LOAD);
        tell(w, SCHED_EV_TICK, B);
        did(w, "stop B evicted");
        tell(w, SCHED_EV_GONE, B);
        did(w, "spawn A for 0");
        tell(w, SCHED_EV_READY, A);
        did(w, "grant 0");
    }
    assert_true(w->m[A].pauses[0] == SCHED_NEVER && w->m[A].pauses[1] == SCHED_NEVER);
    done(w, 0);
    ask(w, 1, B);
    did(w, "stop A evicted");
}

TEST(a_pause_keeps_no_place_from_a_higher_priority)
{
    struct world *w =
        begin_with(&(struct sched_config){.models_max = 2, .turn = 2, .max_wait_ms = SCHED_NEVER});
    w->m[A].priority = 1;
    w->m[A].pauses[0] = w->m[A].pauses[1] = SCHED_NEVER;
    w->m[B].load_ms = 3000;
    have_ready(w, A);
    have_ready(w, B);
    ask(w, 0, C);
    did(w, "stop B evicted");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turn_lasts_a_multiple_of_a_change_there_and_back),
        cmocka_unit_test(what_is_said_of_the_wait_counts_turns),
        cmocka_unit_test(both_costs_count),
        cmocka_unit_test(what_a_stop_takes_is_measured),
        cmocka_unit_test(what_force_took_says_nothing),
        cmocka_unit_test(a_load_that_costs_nothing_has_a_turn_all_the_same),
        cmocka_unit_test(no_turn_is_longer_than_max_wait),
        cmocka_unit_test(without_turns_one_yields_when_somebody_has_waited_for_max_wait),
        cmocka_unit_test(a_turn_begins_with_the_load_and_not_with_a_visitor),
        cmocka_unit_test(who_comes_after_the_turn_waits_for_half_a_change),
        cmocka_unit_test(nobody_yields_when_nobody_waits),
        cmocka_unit_test(one_that_yields_finishes_and_the_queue_of_the_other_is_served),
        cmocka_unit_test(then_the_turn_is_the_others),
        cmocka_unit_test(one_that_yields_goes_on_yielding_when_another_has_waited_longer),
        cmocka_unit_test(who_waits_for_another_card_has_no_part_in_a_turn),
        cmocka_unit_test(a_quick_model_of_another_card_does_not_shorten_a_turn),
        cmocka_unit_test(who_is_overdue_for_one_card_holds_up_nobody_on_another),
        cmocka_unit_test(who_may_not_be_loaded_yet_has_no_part_in_a_turn),
        cmocka_unit_test(who_is_of_a_lower_priority_has_no_part_in_a_turn),
        cmocka_unit_test(one_that_yields_for_nobody_any_more_is_ready_again),
        cmocka_unit_test(a_higher_priority_yields_only_to_one_that_is_overdue),
        cmocka_unit_test(a_lower_priority_yields_after_its_turn),
        cmocka_unit_test(of_two_places_the_lower_priority_yields),
        cmocka_unit_test(what_is_pinned_does_not_yield),
        cmocka_unit_test(a_pause_is_waited_for_as_long_as_a_quarter_of_a_load),
        cmocka_unit_test(a_pause_lasts_no_longer_than_the_turn),
        cmocka_unit_test(whose_pauses_are_long_is_not_waited_for),
        cmocka_unit_test(a_pause_for_which_nobody_could_have_waited_does_not_count),
        cmocka_unit_test(who_comes_back_only_after_another_model_is_not_waited_for),
        cmocka_unit_test(a_pause_keeps_no_place_from_a_higher_priority),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
