/* SPDX-License-Identifier: MIT */
/* Saving prompts between the last lease and the stop. A save takes 5 s at most; A's prompts are worth 2 s where a test does not
 * say otherwise, and take 100 ms. */
#include "sched_test.h"

enum { SAVE_MS = 5000, GAIN_MS = 2000, COST_MS = 100 };

static struct world *begin_saving(unsigned models_max)
{
    return begin_with(&(struct sched_config){
        .models_max = models_max, .max_wait_ms = SCHED_NEVER, .save_ms = SAVE_MS, .turn = 1});
}

/* Two places, and memory that is known. */
static struct world *begin_known(uint64_t bytes)
{
    return begin_with(&(struct sched_config){.models_max = 1,
                                             .max_wait_ms = SCHED_NEVER,
                                             .save_ms = SAVE_MS,
                                             .devices = 1,
                                             .overlap = true,
                                             .ceiling = {bytes}});
}

static void give_prompts(struct world *w, int model, uint64_t gain_ms, uint64_t cost_ms)
{
    w->newest[model]->save_gain_ms = gain_ms;
    w->newest[model]->save_cost_ms = cost_ms;
}

/* A is loaded, idle, and has prompts. */
static void have_prompts(struct world *w)
{
    have_ready(w, A);
    give_prompts(w, A, GAIN_MS, COST_MS);
}

static void run_short(struct world *w)
{
    sched_event(&w->s, &(struct sched_event){.type = SCHED_EV_SHORT}, w->now);
}

/* The ttl of A passes, and it is SAVING. */
static void let_idle(struct world *w)
{
    w->m[A].ttl_ms = 1000;
    tick(w);
    did(w, "save A idle");
}

TEST(prompts_are_saved_for_every_reason_to_stop)
{
    static const char *const orders[] = {
        [SCHED_STOP_UNLOADED] = "save A unloaded",
        [SCHED_STOP_EVICTED] = "save A evicted",
        [SCHED_STOP_MEMORY] = "save A memory",
        [SCHED_STOP_IDLE] = "save A idle",
        [SCHED_STOP_REPLACED] = "save A replaced",
        [SCHED_STOP_REMOVED] = "save A removed",
        [SCHED_STOP_BROKEN] = NULL,
        [SCHED_STOP_SHUTDOWN] = "save A shutdown",
    };
    for (enum sched_stop_reason why = 0; why <= SCHED_STOP_SHUTDOWN; why++) {
        struct world *w = begin_saving(1);
        char stop[64];
        have_prompts(w);
        if (why == SCHED_STOP_UNLOADED)
            unload(w, A, SCHED_NEVER);
        else if (why == SCHED_STOP_EVICTED)
            ask(w, 0, B), pass(w, 10000);
        else if (why == SCHED_STOP_MEMORY)
            run_short(w);
        else if (why == SCHED_STOP_IDLE)
            w->m[A].ttl_ms = 1000, tick(w);
        else if (why == SCHED_STOP_REPLACED)
            tell(w, SCHED_EV_REPLACE, A);
        else if (why == SCHED_STOP_REMOVED)
            tell(w, SCHED_EV_REMOVE, A);
        else if (why == SCHED_STOP_SHUTDOWN)
            shut_down(w, SCHED_NEVER);
        else
            continue;
        did(w, orders[why]);
        assert_true(is(w, A, SCHED_SAVING));
        snprintf(stop, sizeof stop, "stop A %s", sched_stop_name(why));
        tell(w, SCHED_EV_SAVED, A);
        did(w, stop);
        assert_true(is(w, A, SCHED_STOPPING));
    }
}

TEST(a_drain_that_ends_is_followed_by_a_save)
{
    struct world *w = begin_saving(1);
    have_busy(w, A, 0);
    give_prompts(w, A, GAIN_MS, COST_MS);
    unload(w, A, w->now + 60000);
    did(w, "");
    done(w, 0);
    did(w, "save A unloaded");
}

TEST(nothing_is_saved_without_prompts_or_time)
{
    struct world *w = begin_saving(1);
    have_ready(w, A);
    unload(w, A, SCHED_NEVER);
    did(w, "stop A unloaded");
    w = begin(1); /* save_ms 0 */
    have_prompts(w);
    unload(w, A, SCHED_NEVER);
    did(w, "stop A unloaded");
}

TEST(nothing_is_saved_by_force_of_what_is_broken_or_loads)
{
    struct world *w = begin_saving(1);
    have_prompts(w);
    unload(w, A, 0);
    did(w, "stop A unloaded by force");

    w = begin_saving(1);
    have_busy(w, A, 0);
    give_prompts(w, A, GAIN_MS, COST_MS);
    unload(w, A, w->now + 500);
    tick(w);
    did(w, "stop A unloaded by force"); /* its lease was cut off */

    w = begin_saving(1);
    have_prompts(w);
    tell(w, SCHED_EV_BROKEN, A);
    did(w, "stop A broken by force");

    w = begin_saving(1);
    tell(w, SCHED_EV_LOAD, A);
    did(w, "spawn A");
    give_prompts(w, A, GAIN_MS, COST_MS);
    unload(w, A, SCHED_NEVER);
    did(w, "stop A unloaded");
}

TEST(a_save_that_does_not_end_ends_at_its_deadline)
{
    struct world *w = begin_saving(1);
    uint64_t begun;
    have_prompts(w);
    begun = w->now;
    unload(w, A, SCHED_NEVER);
    did(w, "save A unloaded");
    tick(w);
    assert_int_equal(w->now, begun + SAVE_MS);
    did(w, "stop A unloaded");
    tell(w, SCHED_EV_SAVED, A); /* too late */
    did(w, "");
    pass(w, 300);
    tell(w, SCHED_EV_GONE, A);
    assert_int_equal(w->m[A].stop_ms, SAVE_MS + 300);
}

TEST(the_deadline_of_a_drain_ends_a_save_by_force)
{
    struct world *w = begin_saving(1);
    have_prompts(w);
    unload(w, A, w->now + 700);
    did(w, "save A unloaded");
    tick(w);
    did(w, "stop A unloaded by force");

    w = begin_saving(1);
    have_prompts(w);
    shut_down(w, SCHED_NEVER);
    did(w, "save A shutdown");
    shut_down(w, 0);
    did(w, "stop A shutdown by force");
}

TEST(a_save_that_was_not_begun_is_not_given_after_a_force)
{
    struct world *w = begin_saving(1);
    have_prompts(w);
    unload(w, A, SCHED_NEVER);
    unload(w, A, 0);
    did(w, "stop A unloaded by force");
    assert_int_equal(w->newest[A]->saves, 0);
}

/* --- others that wait ------------------------------------------------------------------------- */

TEST(a_model_of_a_higher_priority_waits_no_longer_than_it_gains)
{
    struct world *w = begin_saving(1);
    have_prompts(w);
    w->m[B].priority = 1;
    pass(w, 10000);
    ask(w, 0, B);
    did(w, "save A evicted");
    assert_int_equal(sched_deadline(&w->s), w->now + GAIN_MS);
    tick(w);
    did(w, "stop A evicted");
}

TEST(nor_does_one_that_comes_while_it_is_saved)
{
    struct world *w = begin_saving(1);
    have_prompts(w);
    unload(w, A, SCHED_NEVER);
    did(w, "save A unloaded");
    pass(w, 500);
    w->m[B].priority = 1;
    ask(w, 0, B);
    did(w, "");
    assert_int_equal(sched_deadline(&w->s), w->now + GAIN_MS);
    pass(w, 500);
    ask(w, 1, C); /* another pass allows nothing more */
    did(w, "");
    assert_int_equal(sched_deadline(&w->s), w->now - 500 + GAIN_MS);
    give_prompts(w, A, 50, COST_MS); /* what is left */
    sched_event(&w->s, &(struct sched_event){.type = SCHED_EV_TICK}, w->now);
    did(w, "stop A unloaded");
}

TEST(whoever_waits_makes_a_save_that_costs_more_than_it_gains_not_worth_it)
{
    struct world *w = begin_saving(1);
    have_ready(w, A);
    give_prompts(w, A, 99, COST_MS);
    pass(w, 10000);
    ask(w, 0, B);
    did(w, "stop A evicted");

    w = begin_saving(1);
    have_ready(w, A);
    give_prompts(w, A, 99, COST_MS);
    let_idle(w); /* where nobody waits it costs nobody anything */
    w->m[B].priority = 1;
    ask(w, 0, B);
    did(w, "stop A idle");
}

TEST(a_model_of_the_same_priority_lets_it_be_saved_until_it_is_overdue)
{
    struct world *w = begin_with(
        &(struct sched_config){.models_max = 1, .max_wait_ms = 1000, .save_ms = 60000, .turn = 1});
    have_prompts(w);
    pass(w, 10000);
    ask(w, 0, B);
    did(w, "save A evicted");
    assert_int_equal(sched_deadline(&w->s), w->now + 1000); /* B is overdue then */
    tick(w);
    did(w, "");
    assert_int_equal(sched_deadline(&w->s), w->now + GAIN_MS);
}

TEST(who_could_not_be_loaded_anyhow_does_not_press)
{
    struct world *w = begin_saving(1);
    have_prompts(w);
    unload(w, A, SCHED_NEVER);
    did(w, "save A unloaded");
    w->m[B].priority = 1;
    w->m[B].unsure = true;
    ask(w, 0, B);
    did(w, "");
    assert_int_equal(sched_deadline(&w->s), w->now + SAVE_MS);
    w->m[B].unsure = false;
    sched_event(&w->s, &(struct sched_event){.type = SCHED_EV_TICK}, w->now);
    did(w, "");
    assert_int_equal(sched_deadline(&w->s), w->now + GAIN_MS);
}

TEST(what_is_saved_counts_as_going)
{
    struct world *w = begin_saving(2);
    have_prompts(w);
    have_ready(w, B);
    pass(w, 10000);
    ask(w, 0, C);
    did(w, "save A evicted"); /* and B stays, however often that is asked */
    ask(w, 1, C);
    did(w, "");
    run_short(w);
    did(w, "");
    tell(w, SCHED_EV_SAVED, A);
    did(w, "stop A evicted");
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn C for 0");
    assert_true(is(w, B, SCHED_READY));
}

TEST(a_crash_while_it_is_saved_is_no_failure)
{
    struct world *w = begin_saving(1);
    have_prompts(w);
    unload(w, A, SCHED_NEVER);
    did(w, "save A unloaded");
    tell(w, SCHED_EV_GONE, A);
    did(w, "");
    assert_int_equal(w->m[A].failures, 0);
    assert_int_equal(w->s.saving, 0);
    assert_int_equal(sched_deadline(&w->s), SCHED_NEVER);
}

/* --- READY again ------------------------------------------------------------------------------ */

TEST(a_request_calls_off_the_stop_of_an_idle_model)
{
    struct world *w = begin_saving(1);
    have_prompts(w);
    let_idle(w);
    ask(w, 0, A);
    did(w, "grant 0");
    tell(w, SCHED_EV_SAVED, A); /* of a save that nobody needs any more */
    did(w, "");
    assert_true(is(w, A, SCHED_READY));
    done(w, 0);
    did(w, "");
    tick(w);
    did(w, "save A idle");
    assert_int_equal(w->newest[A]->saves, 2);
}

TEST(a_save_that_nobody_pulled_is_not_given_after_that)
{
    struct world *w = begin_saving(1);
    have_prompts(w);
    unload(w, A, SCHED_NEVER);
    tell(w, SCHED_EV_KEEP, A);
    did(w, "");
    assert_true(is(w, A, SCHED_READY));
}

TEST(an_operators_load_calls_it_off_too_and_lasts_a_ttl)
{
    struct world *w = begin_saving(1);
    have_prompts(w);
    let_idle(w);
    pass(w, 100);
    tell(w, SCHED_EV_LOAD, A);
    did(w, "");
    assert_true(is(w, A, SCHED_READY) && !w->m[A].wanted);
    assert_int_equal(sched_deadline(&w->s), w->now + 1000);
}

TEST(an_evicted_model_stays_if_the_other_one_is_wanted_no_more)
{
    struct world *w = begin_saving(1);
    have_prompts(w);
    pass(w, 10000);
    ask(w, 0, B);
    did(w, "save A evicted");
    ask(w, 1, A);
    did(w, ""); /* B waits */
    cancel(w, 0);
    did(w, "grant 1");
    assert_true(is(w, A, SCHED_READY));
}

TEST(without_a_request_of_its_own_it_goes)
{
    struct world *w = begin_saving(1);
    have_prompts(w);
    pass(w, 10000);
    ask(w, 0, B);
    did(w, "save A evicted");
    cancel(w, 0);
    did(w, "");
    tell(w, SCHED_EV_SAVED, A);
    did(w, "stop A evicted");
}

TEST(a_request_calls_off_no_other_stop)
{
    for (enum sched_stop_reason why = 0; why <= SCHED_STOP_SHUTDOWN; why++) {
        struct world *w = begin_saving(1);
        have_prompts(w);
        if (why == SCHED_STOP_UNLOADED)
            unload(w, A, SCHED_NEVER);
        else if (why == SCHED_STOP_MEMORY)
            run_short(w);
        else if (why == SCHED_STOP_REPLACED)
            tell(w, SCHED_EV_REPLACE, A);
        else
            continue;
        actions(w);
        ask(w, 0, A);
        did(w, "");
        assert_true(is(w, A, SCHED_SAVING));
        tell(w, SCHED_EV_SAVED, A);
        actions(w);
        tell(w, SCHED_EV_GONE, A);
        did(w, "spawn A for 0");
    }
}

TEST(an_order_that_comes_while_it_is_saved_is_carried_out)
{
    struct world *w = begin_saving(1);
    have_prompts(w);
    let_idle(w);
    unload(w, A, SCHED_NEVER);
    ask(w, 0, A);
    did(w, "");
    tell(w, SCHED_EV_SAVED, A);
    did(w, "stop A unloaded");

    w = begin_saving(1);
    have_prompts(w);
    let_idle(w);
    unload(w, A, SCHED_NEVER);
    tell(w, SCHED_EV_KEEP, A); /* which is called off */
    did(w, "");
    assert_true(is(w, A, SCHED_READY));
}

TEST(who_may_not_load_may_not_call_off_a_stop)
{
    struct world *w = begin_saving(1);
    have_prompts(w);
    let_idle(w);
    ask_loaded(w, 0, A);
    did(w, "reject 0 not_loaded");
    assert_true(is(w, A, SCHED_SAVING));
    hold(w, A, SCHED_NEVER);
    ask(w, 1, A);
    did(w, "reject 1 held");
}

TEST(a_reader_who_comes_back_calls_off_an_eviction)
{
    struct world *w = begin_saving(1);
    have_busy(w, A, 0);
    give_prompts(w, A, GAIN_MS, COST_MS);
    tell_of(w, SCHED_EV_UNREAD, 0);
    sched_event(&w->s, &(struct sched_event){.type = SCHED_EV_TICK}, w->now);
    pass(w, 10000);
    ask(w, 1, B);
    did(w, "save A evicted");
    tell_of(w, SCHED_EV_READ, 0);
    did(w, ""); /* B waits */
    cancel(w, 1);
    did(w, "");
    assert_true(is(w, A, SCHED_READY) && w->newest[A]->leases == 1);
}

/* --- memory that is known --------------------------------------------------------------------- */

TEST(its_place_is_free_for_what_fits_beside_it_and_then_it_goes)
{
    struct world *w = begin_known(100);
    w->m[A].next.bytes[0] = 40;
    w->m[B].next.bytes[0] = 60;
    w->m[C].next.bytes[0] = 60;
    have_prompts(w);
    let_idle(w);
    ask(w, 0, B);
    did(w, "spawn B for 0");
    ask(w, 1, A);
    did(w, ""); /* B has its place */
    tell(w, SCHED_EV_READY, B);
    did(w, "grant 0");
    tell(w, SCHED_EV_KEEP, A);
    did(w, "");
    assert_true(is(w, A, SCHED_SAVING));

    w = begin_known(100);
    w->m[A].next.bytes[0] = 40;
    w->m[B].next.bytes[0] = 60;
    have_prompts(w);
    unload(w, A, SCHED_NEVER);
    did(w, "save A unloaded");
    ask(w, 0, B);
    did(w, "spawn B for 0");
    tell(w, SCHED_EV_KEEP, A);
    did(w, "");
    assert_true(is(w, A, SCHED_SAVING));
}

TEST(new_arguments_end_a_save_that_would_not_fit_them)
{
    struct world *w = begin_known(100);
    w->m[A].next.bytes[0] = 40;
    have_prompts(w);
    let_idle(w);
    give_prompts(w, A, 0, 0);
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "stop A idle");

    w = begin_known(100);
    w->m[A].next.bytes[0] = 40;
    have_prompts(w);
    let_idle(w);
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "");
    ask(w, 0, A); /* loaded beside it, as it is outdated */
    did(w, "spawn A for 0");
    assert_int_equal(w->older[A]->state, SCHED_SAVING);
    tell_older(w, SCHED_EV_SAVED, A);
    did(w, "stop older A idle");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompts_are_saved_for_every_reason_to_stop),
        cmocka_unit_test(a_drain_that_ends_is_followed_by_a_save),
        cmocka_unit_test(nothing_is_saved_without_prompts_or_time),
        cmocka_unit_test(nothing_is_saved_by_force_of_what_is_broken_or_loads),
        cmocka_unit_test(a_save_that_does_not_end_ends_at_its_deadline),
        cmocka_unit_test(the_deadline_of_a_drain_ends_a_save_by_force),
        cmocka_unit_test(a_save_that_was_not_begun_is_not_given_after_a_force),
        cmocka_unit_test(a_model_of_a_higher_priority_waits_no_longer_than_it_gains),
        cmocka_unit_test(nor_does_one_that_comes_while_it_is_saved),
        cmocka_unit_test(whoever_waits_makes_a_save_that_costs_more_than_it_gains_not_worth_it),
        cmocka_unit_test(a_model_of_the_same_priority_lets_it_be_saved_until_it_is_overdue),
        cmocka_unit_test(who_could_not_be_loaded_anyhow_does_not_press),
        cmocka_unit_test(what_is_saved_counts_as_going),
        cmocka_unit_test(a_crash_while_it_is_saved_is_no_failure),
        cmocka_unit_test(a_request_calls_off_the_stop_of_an_idle_model),
        cmocka_unit_test(a_save_that_nobody_pulled_is_not_given_after_that),
        cmocka_unit_test(an_operators_load_calls_it_off_too_and_lasts_a_ttl),
        cmocka_unit_test(an_evicted_model_stays_if_the_other_one_is_wanted_no_more),
        cmocka_unit_test(without_a_request_of_its_own_it_goes),
        cmocka_unit_test(a_request_calls_off_no_other_stop),
        cmocka_unit_test(an_order_that_comes_while_it_is_saved_is_carried_out),
        cmocka_unit_test(who_may_not_load_may_not_call_off_a_stop),
        cmocka_unit_test(a_reader_who_comes_back_calls_off_an_eviction),
        cmocka_unit_test(its_place_is_free_for_what_fits_beside_it_and_then_it_goes),
        cmocka_unit_test(new_arguments_end_a_save_that_would_not_fit_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
