/* SPDX-License-Identifier: MIT */
/* What the scheduler does where only places are short, rule by rule. */
#include "sched_test.h"

/* --- Requests ---------------------------------------------------------------------------- */

TEST(loads_a_model_for_a_request_and_grants_when_it_is_ready)
{
    struct world *w = begin(1);
    ask(w, 0, A);
    did(w, "spawn A for 0");
    assert_true(w->r[0].caused_load);
    tell(w, SCHED_EV_READY, A);
    did(w, "grant 0");
    assert_int_equal(w->m[A].leases, 1);
    done(w, 0);
    did(w, "");
    assert_int_equal(w->m[A].leases, 0);
    assert_int_equal(w->r[0].state, SCHED_REQUEST_NEW);
}

TEST(grants_at_once_at_a_ready_model_while_another_loads)
{
    struct world *w = begin(2);
    have_ready(w, A);
    ask(w, 0, B);
    did(w, "spawn B for 0");
    ask(w, 1, A);
    did(w, "grant 1");
}

TEST(waiters_share_a_load_and_are_granted_in_order)
{
    struct world *w = begin(1);
    ask(w, 0, A);
    ask(w, 1, A);
    did(w, "spawn A for 0");
    ask(w, 2, A);
    did(w, "");
    assert_false(w->r[1].caused_load);
    assert_int_equal(w->s.waiting, 3);
    tell(w, SCHED_EV_READY, A);
    did(w, "grant 0; grant 1; grant 2");
}

TEST(loads_as_many_as_there_are_places_oldest_first)
{
    struct world *w = begin(2);
    ask(w, 0, C);
    pass(w, 1);
    ask(w, 1, B);
    pass(w, 1);
    ask(w, 2, A);
    did(w, "spawn C for 0; spawn B for 1");
    assert_int_equal(w->s.running, 2);
}

TEST(loads_everything_where_there_is_no_limit)
{
    struct world *w = begin(0);
    ask(w, 0, A);
    ask(w, 1, B);
    ask(w, 2, C);
    did(w, "spawn A for 0; spawn B for 1; spawn C for 2");
}

TEST(a_failed_load_rejects_who_waited_and_is_not_tried_again)
{
    struct world *w = begin(1);
    ask(w, 0, A);
    ask(w, 1, A);
    did(w, "spawn A for 0");
    tell(w, SCHED_EV_GONE, A);
    did(w, "reject 0 load_failed; reject 1 load_failed");
    assert_int_equal(state_of(w, A), SCHED_UNLOADED);
}

TEST(a_request_that_may_not_load_is_granted_at_what_is_ready)
{
    struct world *w = begin(1);
    have_ready(w, A);
    ask_loaded(w, 0, A);
    did(w, "grant 0");
}

TEST(a_request_that_may_not_load_shares_a_load)
{
    struct world *w = begin(1);
    tell(w, SCHED_EV_LOAD, A);
    did(w, "spawn A");
    ask_loaded(w, 0, A);
    did(w, "");
    tell(w, SCHED_EV_READY, A);
    did(w, "grant 0");
}

TEST(a_request_that_may_not_load_fails_with_a_load)
{
    struct world *w = begin(1);
    tell(w, SCHED_EV_LOAD, A);
    did(w, "spawn A");
    ask_loaded(w, 0, A);
    tell(w, SCHED_EV_GONE, A);
    did(w, "reject 0 load_failed");
}

TEST(a_request_that_may_not_load_is_rejected_where_another_load_is_needed)
{
    struct world *w = begin(1);
    ask_loaded(w, 0, A);
    did(w, "reject 0 not_loaded");
    have_busy(w, A, 0);
    unload(w, A, SCHED_NEVER);
    ask_loaded(w, 1, A); /* draining */
    did(w, "reject 1 not_loaded");
    done(w, 0);
    ask_loaded(w, 1, A); /* stopping */
    did(w, "reject 1 not_loaded; stop A unloaded");
}

TEST(a_request_that_may_not_load_is_rejected_where_a_load_still_waits_for_a_place)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    ask(w, 1, B);
    ask_loaded(w, 2, B);
    did(w, "reject 2 not_loaded");
}

TEST(rejects_when_the_queue_is_full)
{
    struct world *w = begin_with(&(struct sched_config){.models_max = 1, .max_queue = 2});
    ask(w, 0, A);
    ask(w, 1, B);
    ask(w, 2, A);
    did(w, "reject 2 queue_full; spawn A for 0");
    tell(w, SCHED_EV_READY, A);
    ask(w, 2, A); /* at a ready model there is no queue */
    did(w, "grant 0; grant 2");
}

TEST(rejects_who_has_waited_too_long)
{
    struct world *w = begin_with(&(struct sched_config){.models_max = 1, .wait_timeout_ms = 100});
    ask(w, 0, A);
    pass(w, 10);
    ask(w, 1, B);
    did(w, "spawn A for 0");
    tick(w);
    did(w, "reject 0 wait_timeout");
    assert_int_equal(w->now, 1100);
    tick(w);
    did(w, "reject 1 wait_timeout");
    assert_int_equal(w->now, 1110);
    assert_true(sched_deadline(&w->s) == SCHED_NEVER);
}

TEST(a_request_that_is_given_twice_counts_once)
{
    struct world *w = begin(1);
    ask(w, 0, A);
    tell_of(w, SCHED_EV_REQUEST, 0);
    did(w, "spawn A for 0");
    assert_int_equal(w->m[A].waiting, 1);
}

TEST(rejects_requests_for_models_never_added)
{
    struct world *w = begin(1);
    struct sched_model stranger = {0};
    w->r[0] = (struct sched_request){.model = &stranger, .may_load = true};
    tell_of(w, SCHED_EV_REQUEST, 0);
    assert_string_equal(next(w), "reject 0 removed");
}

/* --- Clients that leave ------------------------------------------------------------------ */

TEST(a_waiter_that_leaves_is_forgotten)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    ask(w, 1, B);
    did(w, "");
    cancel(w, 1);
    done(w, 0);
    did(w, "");
    assert_int_equal(w->s.waiting, 0);
    assert_int_equal(state_of(w, A), SCHED_READY);
}

TEST(a_load_goes_on_when_its_waiters_leave)
{
    struct world *w = begin(1);
    ask(w, 0, A);
    did(w, "spawn A for 0");
    cancel(w, 0);
    tell(w, SCHED_EV_READY, A);
    did(w, "");
    assert_int_equal(state_of(w, A), SCHED_READY);
}

TEST(a_grant_that_was_not_pulled_is_not_given_after_a_cancel)
{
    struct world *w = begin(1);
    have_ready(w, A);
    ask(w, 0, A);
    cancel(w, 0);
    did(w, "");
    assert_int_equal(w->m[A].leases, 0);
}

TEST(a_rejection_that_was_not_pulled_is_not_given_after_a_cancel)
{
    struct world *w = begin(1);
    ask_loaded(w, 0, A);
    assert_int_equal(w->r[0].state, SCHED_REQUEST_REJECTED);
    cancel(w, 0);
    did(w, "");
    assert_int_equal(w->r[0].state, SCHED_REQUEST_NEW);
}

TEST(what_comes_after_the_end_of_a_request_is_ignored)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    ask(w, 1, B);
    done(w, 1); /* it waits: nothing is done yet */
    done(w, 0);
    done(w, 0);
    cancel(w, 0);
    did(w, "stop A evicted");
    assert_int_equal(w->m[A].leases, 0);
    assert_int_equal(w->m[B].waiting, 1);
}

TEST(a_model_whose_oldest_waiter_leaves_goes_back_in_the_queue)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    pass(w, 1);
    ask(w, 1, B);
    pass(w, 1);
    ask(w, 2, C);
    pass(w, 1);
    ask(w, 3, B);
    cancel(w, 1);
    did(w, "");
    done(w, 0);
    did(w, "stop A evicted");
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn C for 2");
}

/* --- Making room ------------------------------------------------------------------------- */

TEST(evicts_the_least_recently_used)
{
    struct world *w = begin(3);
    have_busy(w, A, 0);
    have_busy(w, B, 1);
    have_busy(w, C, 2);
    pass(w, 1);
    done(w, 1);
    pass(w, 1);
    done(w, 0);
    pass(w, 1);
    done(w, 2);
    ask(w, 3, D);
    did(w, "stop B evicted");
    tell(w, SCHED_EV_GONE, B);
    did(w, "spawn D for 3");
}

TEST(does_not_evict_for_a_place_that_is_to_come)
{
    struct world *w = begin(2);
    have_ready(w, A);
    have_ready(w, B);
    ask(w, 0, C);
    did(w, "stop A evicted");
    ask(w, 1, C);
    did(w, "");
    ask(w, 2, D);
    did(w, "stop B evicted");
}

TEST(does_not_evict_while_there_is_a_place)
{
    struct world *w = begin(2);
    have_ready(w, A);
    ask(w, 0, B);
    did(w, "spawn B for 0");
}

TEST(waits_for_the_memory_before_it_loads)
{
    struct world *w = begin(1);
    have_ready(w, A);
    ask(w, 0, B);
    did(w, "stop A evicted");
    tell(w, SCHED_EV_TICK, A);
    did(w, "");
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn B for 0");
}

TEST(never_evicts_what_is_busy)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    ask(w, 1, B);
    did(w, "");
    done(w, 0);
    did(w, "stop A evicted");
}

TEST(never_evicts_what_is_pinned)
{
    struct world *w = begin(1);
    have_ready(w, A);
    w->m[A].pinned = true;
    ask(w, 0, B);
    did(w, "");
    w->m[A].pinned = false;
    tell(w, SCHED_EV_TICK, A);
    did(w, "stop A evicted");
}

TEST(never_evicts_what_loads)
{
    struct world *w = begin(1);
    ask(w, 0, A);
    ask(w, 1, B);
    did(w, "spawn A for 0");
    cancel(w, 0);
    did(w, "");
    tell(w, SCHED_EV_READY, A);
    did(w, "stop A evicted");
}

TEST(stops_no_second_engine_when_the_need_ends_between_two_pulls)
{
    struct world *w = begin(2);
    have_ready(w, A);
    have_ready(w, B);
    ask(w, 0, C);
    ask(w, 1, D);
    assert_string_equal(next(w), "stop A evicted");
    cancel(w, 1);
    did(w, "");
    assert_int_equal(state_of(w, B), SCHED_READY);
}

/* --- Yielding ---------------------------------------------------------------------------- */

static struct world *begin_impatient(unsigned models_max)
{
    return begin_with(&(struct sched_config){.models_max = models_max, .max_wait_ms = 100});
}

TEST(a_busy_engine_yields_to_who_has_waited_long)
{
    struct world *w = begin_impatient(1);
    have_busy(w, A, 0);
    ask(w, 1, B);
    did(w, "");
    pass(w, 99);
    ask(w, 2, A);
    did(w, "grant 2");
    tick(w);
    assert_int_equal(w->now, 1100);
    did(w, "");
    assert_true(is(w, A, SCHED_YIELDING));
    ask(w, 3, A);
    ask_loaded(w, 4, A);
    did(w, "reject 4 not_loaded");
    done(w, 0);
    did(w, "");
    done(w, 2);
    did(w, "stop A evicted");
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn B for 1");
    assert_false(is(w, A, SCHED_YIELDING));
}

TEST(the_least_recently_granted_yields_and_never_a_pinned_one)
{
    struct world *w = begin_impatient(3);
    have_busy(w, A, 0);
    w->m[A].pinned = true;
    pass(w, 1);
    have_busy(w, C, 1);
    pass(w, 1);
    have_busy(w, B, 2);
    ask(w, 3, D);
    did(w, "");
    tick(w);
    did(w, "");
    assert_false(is(w, A, SCHED_YIELDING));
    assert_false(is(w, B, SCHED_YIELDING));
    assert_true(is(w, C, SCHED_YIELDING));
}

TEST(as_many_yield_as_have_waited_long)
{
    struct world *w = begin_impatient(2);
    have_busy(w, A, 0);
    pass(w, 1);
    have_busy(w, B, 1);
    ask(w, 2, C);
    pass(w, 50);
    ask(w, 3, D);
    did(w, "");
    tick(w);
    did(w, "");
    assert_true(is(w, A, SCHED_YIELDING) && !is(w, B, SCHED_YIELDING));
    tick(w);
    did(w, "");
    assert_true(is(w, A, SCHED_YIELDING) && is(w, B, SCHED_YIELDING));
    assert_true(sched_deadline(&w->s) == SCHED_NEVER);
}

TEST(the_most_recently_granted_stops_yielding_first)
{
    struct world *w = begin_impatient(2);
    have_busy(w, A, 0);
    pass(w, 1);
    have_busy(w, B, 1);
    ask(w, 2, C);
    ask(w, 3, D);
    tick(w);
    did(w, "");
    cancel(w, 3);
    did(w, "");
    assert_true(is(w, A, SCHED_YIELDING) && !is(w, B, SCHED_YIELDING));
}

TEST(a_yielding_engine_resumes_when_nobody_needs_its_place)
{
    struct world *w = begin_impatient(1);
    have_busy(w, A, 0);
    ask(w, 1, B);
    tick(w);
    did(w, "");
    ask(w, 2, A);
    did(w, "");
    cancel(w, 1);
    did(w, "grant 2");
    assert_false(is(w, A, SCHED_YIELDING));
}

TEST(a_yielding_engine_resumes_when_another_becomes_idle)
{
    struct world *w = begin_impatient(2);
    have_busy(w, A, 0);
    pass(w, 1);
    have_busy(w, B, 1);
    ask(w, 2, C);
    tick(w);
    did(w, "");
    ask(w, 3, A);
    done(w, 1);
    did(w, "stop B evicted; grant 3");
}

TEST(of_idle_engines_one_that_yields_with_waiters_is_the_last_to_be_evicted)
{
    struct world *w = begin_impatient(2);
    have_busy(w, A, 0);
    pass(w, 1);
    have_busy(w, B, 1);
    ask(w, 2, C);
    tick(w);
    did(w, "");
    ask(w, 3, A);
    done(w, 0);
    pass(w, 1);
    done(w, 1);
    did(w, "stop B evicted; grant 3");
}

TEST(an_engine_that_is_pinned_meanwhile_resumes)
{
    struct world *w = begin_impatient(1);
    have_busy(w, A, 0);
    ask(w, 1, B);
    tick(w);
    did(w, "");
    ask(w, 2, A);
    w->m[A].pinned = true;
    tell(w, SCHED_EV_TICK, A);
    did(w, "grant 2");
}

TEST(nobody_yields_while_another_engine_stops_or_drains)
{
    struct world *w = begin_impatient(2);
    have_busy(w, A, 0);
    have_busy(w, B, 1);
    unload(w, B, SCHED_NEVER);
    ask(w, 2, C);
    tick(w);
    did(w, "");
    assert_false(is(w, A, SCHED_YIELDING));
    done(w, 1);
    did(w, "stop B unloaded");
    assert_false(is(w, A, SCHED_YIELDING));
}

TEST(a_yielding_engine_that_drains_does_so_for_the_operator)
{
    struct world *w = begin_impatient(1);
    have_busy(w, A, 0);
    ask(w, 1, B);
    tick(w);
    did(w, "");
    unload(w, A, SCHED_NEVER);
    assert_false(is(w, A, SCHED_YIELDING));
    assert_int_equal(w->s.yielding, 0);
    done(w, 0);
    did(w, "stop A unloaded");
}

TEST(a_wish_for_a_yielding_model_is_about_its_next_load)
{
    struct world *w = begin_impatient(1);
    have_busy(w, A, 0);
    ask(w, 1, B);
    tick(w);
    did(w, "");
    tell(w, SCHED_EV_LOAD, A);
    cancel(w, 1);
    did(w, "");
    assert_false(w->m[A].wanted); /* for it stays loaded */
}

/* --- ttl --------------------------------------------------------------------------------- */

TEST(stops_what_is_idle_for_its_ttl)
{
    struct world *w = begin(1);
    w->m[A].ttl_ms = 500;
    have_busy(w, A, 0);
    assert_true(sched_deadline(&w->s) == SCHED_NEVER);
    pass(w, 1000);
    done(w, 0);
    did(w, "");
    tick(w);
    assert_int_equal(w->now, 2500);
    did(w, "stop A idle");
}

TEST(stops_what_was_never_used_after_its_ttl)
{
    struct world *w = begin(1);
    w->m[A].ttl_ms = 500;
    have_ready(w, A);
    pass(w, 499);
    tell(w, SCHED_EV_TICK, A);
    did(w, "");
    tick(w);
    did(w, "stop A idle");
}

TEST(passive_requests_do_not_keep_an_engine_from_being_idle)
{
    struct world *w = begin(1);
    w->m[A].ttl_ms = 500;
    have_ready(w, A);
    pass(w, 400);
    ask_passive(w, 0, A);
    did(w, "grant 0");
    assert_int_equal(w->newest[A]->last_granted, 1000);
    pass(w, 50);
    done(w, 0);
    did(w, "");
    tick(w);
    assert_int_equal(w->now, 1500);
    did(w, "stop A idle");
}

TEST(an_engine_is_not_stopped_while_it_answers_a_passive_request)
{
    struct world *w = begin(1);
    w->m[A].ttl_ms = 500;
    have_ready(w, A);
    ask_passive(w, 0, A);
    did(w, "grant 0");
    pass(w, 1000);
    tell(w, SCHED_EV_TICK, A);
    ask(w, 1, B);
    did(w, "");
    cancel(w, 1);
    done(w, 0);
    tell(w, SCHED_EV_TICK, A);
    did(w, "stop A idle");
}

TEST(what_is_pinned_has_no_ttl)
{
    struct world *w = begin(1);
    w->m[A].ttl_ms = 500;
    w->m[A].pinned = true;
    have_ready(w, A);
    assert_true(sched_deadline(&w->s) == SCHED_NEVER);
    pass(w, 1000);
    tell(w, SCHED_EV_TICK, A);
    did(w, "");
}

/* --- Crashes ----------------------------------------------------------------------------- */

TEST(a_crash_frees_the_place_and_leases_end_on_their_own)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    tell(w, SCHED_EV_GONE, A);
    did(w, "");
    assert_int_equal(w->m[A].leases, 1);
    assert_int_equal(w->newest[A]->leases, 1);
    ask(w, 1, B);
    did(w, "spawn B for 1");
    done(w, 0);
    assert_int_equal(w->m[A].leases, 0);
    assert_int_equal(w->newest[A]->leases, 0);
}

TEST(leases_of_a_crashed_engine_do_not_keep_its_successor)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    tell(w, SCHED_EV_GONE, A);
    have_ready(w, A);
    ask(w, 1, B);
    did(w, "stop A evicted");
}

TEST(who_waits_at_a_yielding_engine_that_crashes_waits_for_the_next_load)
{
    struct world *w = begin_impatient(1);
    have_busy(w, A, 0);
    ask(w, 1, B);
    tick(w);
    did(w, "");
    ask(w, 2, A);
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn B for 1");
    tell(w, SCHED_EV_READY, B);
    cancel(w, 1);
    did(w, "stop B evicted");
    tell(w, SCHED_EV_GONE, B);
    did(w, "spawn A for 2");
}

TEST(grants_not_pulled_at_a_crash_wait_again_in_their_order)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    ask(w, 1, A);
    pass(w, 1);
    ask(w, 2, A);
    ask_loaded(w, 3, A);
    tell(w, SCHED_EV_GONE, A);
    did(w, "reject 3 not_loaded; spawn A for 1");
    assert_int_equal(w->m[A].leases, 1);
    tell(w, SCHED_EV_READY, A);
    did(w, "grant 1; grant 2");
}

TEST(grants_not_pulled_at_another_model_survive_a_crash)
{
    struct world *w = begin(2);
    have_ready(w, A);
    have_ready(w, B);
    ask(w, 0, B);
    tell(w, SCHED_EV_GONE, A);
    did(w, "grant 0");
}

TEST(grants_not_pulled_at_a_crash_are_rejected_when_the_model_is_held)
{
    struct world *w = begin(1);
    have_ready(w, A);
    hold(w, A, SCHED_NEVER);
    ask(w, 0, A);
    tell(w, SCHED_EV_GONE, A);
    did(w, "reject 0 held");
}

TEST(grants_not_pulled_at_a_crash_are_rejected_when_the_model_drained)
{
    struct world *w = begin(1);
    have_ready(w, A);
    ask(w, 0, A);
    unload(w, A, SCHED_NEVER);
    tell(w, SCHED_EV_GONE, A);
    did(w, "reject 0 unloaded");
}

TEST(a_second_report_of_the_end_is_ignored)
{
    struct world *w = begin(1);
    have_ready(w, A);
    tell(w, SCHED_EV_GONE, A);
    tell(w, SCHED_EV_GONE, A);
    did(w, "");
    assert_int_equal(w->s.running, 0);
}

TEST(an_engine_that_does_not_answer_is_stopped_by_force)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    ask(w, 1, A);
    tell(w, SCHED_EV_BROKEN, A);
    did(w, "stop A broken by force");
    tell(w, SCHED_EV_BROKEN, A);
    did(w, "");
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn A for 1");
    tell(w, SCHED_EV_BROKEN, A); /* what loads does not answer anyway */
    did(w, "");
}

TEST(an_engine_that_drains_and_does_not_answer_is_stopped_for_what_it_drained_for)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    unload(w, A, SCHED_NEVER);
    tell(w, SCHED_EV_BROKEN, A);
    did(w, "stop A unloaded by force");
}

/* --- Operators: load --------------------------------------------------------------------- */

TEST(loads_for_an_operator)
{
    struct world *w = begin(1);
    tell(w, SCHED_EV_LOAD, A);
    tell(w, SCHED_EV_LOAD, A);
    did(w, "spawn A");
    tell(w, SCHED_EV_LOAD, A);
    tell(w, SCHED_EV_READY, A);
    tell(w, SCHED_EV_LOAD, A);
    did(w, "");
    assert_false(w->m[A].wanted);
}

TEST(a_load_that_fails_for_an_operator_is_not_tried_again)
{
    struct world *w = begin(1);
    tell(w, SCHED_EV_LOAD, A);
    did(w, "spawn A");
    tell(w, SCHED_EV_GONE, A);
    did(w, "");
}

TEST(an_operator_waits_for_a_place_like_a_request)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    ask(w, 1, B);
    pass(w, 1);
    tell(w, SCHED_EV_LOAD, C);
    done(w, 0);
    did(w, "stop A evicted");
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn B for 1");
    tell(w, SCHED_EV_READY, B);
    did(w, "grant 1");
    done(w, 1);
    did(w, "stop B evicted");
    tell(w, SCHED_EV_GONE, B);
    did(w, "spawn C");
}

TEST(a_load_is_the_request_s_when_that_came_before_the_operator)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    ask(w, 1, B);
    pass(w, 1);
    tell(w, SCHED_EV_LOAD, B);
    did(w, "");
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn B for 1");
    assert_false(w->m[B].wanted);
}

TEST(a_load_is_the_operator_s_when_that_came_before_the_request)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    tell(w, SCHED_EV_LOAD, B);
    pass(w, 1);
    ask(w, 1, B);
    did(w, "");
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn B");
    assert_false(w->r[1].caused_load);
}

TEST(a_load_asked_for_while_stopping_follows)
{
    struct world *w = begin(1);
    have_ready(w, A);
    unload(w, A, SCHED_NEVER);
    tell(w, SCHED_EV_LOAD, A);
    did(w, "stop A unloaded");
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn A");
}

/* --- Operators: unload ------------------------------------------------------------------- */

TEST(unloads_what_is_idle_at_once)
{
    struct world *w = begin(1);
    have_ready(w, A);
    unload(w, A, SCHED_NEVER);
    did(w, "stop A unloaded");
    tell(w, SCHED_EV_READY, A); /* it crossed the order on its way */
    did(w, "");
    assert_int_equal(state_of(w, A), SCHED_STOPPING);
    tell(w, SCHED_EV_GONE, A);
    did(w, "");
    assert_int_equal(state_of(w, A), SCHED_UNLOADED);
}

TEST(drains_what_is_busy)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    unload(w, A, SCHED_NEVER);
    did(w, "");
    ask(w, 1, A);
    did(w, "");
    done(w, 0);
    did(w, "stop A unloaded");
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn A for 1");
    assert_false(is(w, A, SCHED_DRAINING));
}

TEST(who_waits_for_the_next_load_keeps_the_turn)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    unload(w, A, SCHED_NEVER);
    ask(w, 1, A);
    pass(w, 1);
    ask(w, 2, B);
    done(w, 0);
    did(w, "stop A unloaded");
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn A for 1");
}

TEST(cuts_leases_off_at_the_end_of_a_drain)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    unload(w, A, w->now + 100);
    did(w, "");
    tick(w);
    assert_int_equal(w->now, 1100);
    did(w, "stop A unloaded by force");
    done(w, 0);
    did(w, "");
}

TEST(unloads_by_force_without_a_deadline)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    ask(w, 1, A);
    unload(w, A, 0);
    did(w, "reject 1 unloaded; stop A unloaded by force");
}

TEST(a_drain_can_be_hurried_but_not_slowed_down)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    unload(w, A, w->now + 100);
    unload(w, A, w->now + 500);
    assert_int_equal(sched_deadline(&w->s), 1100);
    unload(w, A, w->now + 50);
    assert_int_equal(sched_deadline(&w->s), 1050);
    unload(w, A, 0);
    did(w, "stop A unloaded by force");
}

TEST(a_stop_that_was_given_can_be_made_one_by_force_once)
{
    struct world *w = begin(1);
    have_ready(w, A);
    unload(w, A, SCHED_NEVER);
    did(w, "stop A unloaded");
    unload(w, A, w->now + 100);
    did(w, "");
    unload(w, A, 0);
    did(w, "stop A unloaded by force");
    unload(w, A, 0);
    did(w, "");
}

TEST(a_stop_that_is_due_and_hurried_is_given_once)
{
    struct world *w = begin(1);
    have_ready(w, A);
    unload(w, A, SCHED_NEVER);
    unload(w, A, 0);
    did(w, "stop A unloaded by force");
}

TEST(a_stop_that_is_due_is_not_given_to_what_is_gone)
{
    struct world *w = begin(1);
    have_ready(w, A);
    unload(w, A, SCHED_NEVER);
    tell(w, SCHED_EV_GONE, A);
    did(w, "");
}

TEST(unloading_ends_a_load_and_rejects_who_waits)
{
    struct world *w = begin(1);
    ask(w, 0, A);
    did(w, "spawn A for 0");
    unload(w, A, SCHED_NEVER);
    did(w, "reject 0 unloaded; stop A unloaded");
    ask(w, 1, A);
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn A for 1");
}

TEST(unloading_what_is_not_loaded_ends_wishes_only)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    ask(w, 1, B);
    tell(w, SCHED_EV_LOAD, B);
    unload(w, B, 0);
    did(w, "reject 1 unloaded");
    done(w, 0);
    did(w, "");
}

TEST(what_is_to_be_unloaded_when_idle_serves_until_then)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    tell(w, SCHED_EV_UNLOAD_IDLE, A);
    ask(w, 1, A);
    did(w, "grant 1");
    done(w, 0);
    did(w, "");
    done(w, 1);
    ask(w, 2, A);
    did(w, "stop A unloaded");
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn A for 2");
}

TEST(what_is_idle_or_loads_is_unloaded_at_once)
{
    struct world *w = begin(1);
    have_ready(w, A);
    tell(w, SCHED_EV_UNLOAD_IDLE, A);
    did(w, "stop A unloaded");
    tell(w, SCHED_EV_GONE, A);
    ask(w, 0, A);
    did(w, "spawn A for 0");
    tell(w, SCHED_EV_UNLOAD_IDLE, A);
    did(w, "reject 0 unloaded; stop A unloaded");
}

TEST(keeping_withdraws_an_unload_when_idle)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    tell(w, SCHED_EV_UNLOAD_IDLE, A);
    tell(w, SCHED_EV_KEEP, A);
    done(w, 0);
    did(w, "");
    assert_true(is(w, A, SCHED_READY));
}

TEST(a_load_withdraws_an_unload_when_idle)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    tell(w, SCHED_EV_UNLOAD_IDLE, A);
    tell(w, SCHED_EV_LOAD, A);
    done(w, 0);
    did(w, "");
    assert_true(is(w, A, SCHED_READY));
}

TEST(a_load_withdraws_an_unload_of_one_that_yields)
{
    struct world *w = begin_with(&(struct sched_config){.models_max = 1, .max_wait_ms = 0});
    have_busy(w, A, 0);
    tell(w, SCHED_EV_UNLOAD_IDLE, A);
    ask(w, 1, B);
    did(w, "");
    tell(w, SCHED_EV_LOAD, A);
    cancel(w, 1);
    did(w, "");
    done(w, 0);
    did(w, "");
    assert_true(is(w, A, SCHED_READY));
}

TEST(who_waits_for_a_lease_is_served_before_an_unload_when_idle)
{
    struct world *w = begin(1);
    w->m[A].max_leases = 1;
    have_busy(w, A, 0);
    ask(w, 1, A);
    tell(w, SCHED_EV_UNLOAD_IDLE, A);
    did(w, "");
    done(w, 0);
    did(w, "grant 1");
    done(w, 1);
    did(w, "stop A unloaded");
}

TEST(one_that_yields_and_need_not_is_unloaded_when_idle)
{
    struct world *w = begin_with(&(struct sched_config){.models_max = 1, .max_wait_ms = 0});
    have_busy(w, A, 0);
    tell(w, SCHED_EV_UNLOAD_IDLE, A);
    ask(w, 1, B);
    did(w, "");
    assert_true(is(w, A, SCHED_YIELDING));
    cancel(w, 1);
    did(w, "");
    assert_true(is(w, A, SCHED_READY));
    done(w, 0);
    did(w, "stop A unloaded");
}

TEST(keeping_ends_a_drain)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    unload(w, A, w->now + 100);
    ask(w, 1, A);
    tell(w, SCHED_EV_KEEP, A);
    did(w, "grant 1");
    assert_true(sched_deadline(&w->s) == SCHED_NEVER);
    done(w, 0);
    done(w, 1);
    did(w, "");
    tell(w, SCHED_EV_KEEP, A);
    assert_int_equal(state_of(w, A), SCHED_READY);
}

TEST(keeping_does_not_end_a_drain_for_another_reason)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    unload(w, A, SCHED_NEVER);
    tell(w, SCHED_EV_REMOVE, A);
    tell(w, SCHED_EV_KEEP, A);
    assert_true(is(w, A, SCHED_DRAINING));
    done(w, 0);
    did(w, "stop A removed");
    tell(w, SCHED_EV_KEEP, A);
    did(w, "");
}

/* --- Operators: hold --------------------------------------------------------------------- */

TEST(a_hold_rejects_requests_until_it_is_released)
{
    struct world *w = begin(1);
    hold(w, A, SCHED_NEVER);
    ask(w, 0, A);
    tell(w, SCHED_EV_LOAD, A);
    did(w, "reject 0 held");
    tell(w, SCHED_EV_RELEASE, A);
    ask(w, 0, A);
    did(w, "spawn A for 0");
}

TEST(a_hold_ends_at_its_time)
{
    struct world *w = begin(1);
    hold(w, A, w->now + 100);
    pass(w, 99);
    ask(w, 0, A);
    did(w, "reject 0 held");
    pass(w, 1);
    ask(w, 0, A);
    did(w, "spawn A for 0");
}

TEST(a_hold_rejects_who_waits_and_the_operator_s_wish)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    ask(w, 1, B);
    tell(w, SCHED_EV_LOAD, B);
    hold(w, B, SCHED_NEVER);
    did(w, "reject 1 held");
    done(w, 0);
    did(w, "");
}

TEST(what_runs_serves_on_when_it_is_held)
{
    struct world *w = begin(1);
    ask(w, 0, A);
    did(w, "spawn A for 0");
    hold(w, A, SCHED_NEVER);
    ask(w, 1, A);
    did(w, "");
    tell(w, SCHED_EV_READY, A);
    ask(w, 2, A);
    did(w, "grant 0; grant 1; grant 2");
}

TEST(what_is_unloaded_and_held_stays_unloaded)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    hold(w, A, SCHED_NEVER);
    unload(w, A, SCHED_NEVER);
    ask(w, 1, A);
    did(w, "reject 1 held");
    done(w, 0);
    did(w, "stop A unloaded");
    tell(w, SCHED_EV_GONE, A);
    did(w, "");
}

/* --- The catalog ------------------------------------------------------------------------- */

TEST(removal_rejects_waiters_and_ends_a_load)
{
    struct world *w = begin(1);
    ask(w, 0, A);
    did(w, "spawn A for 0");
    tell(w, SCHED_EV_REMOVE, A);
    tell(w, SCHED_EV_REMOVE, A);
    did(w, "reject 0 removed; stop A removed");
    tell(w, SCHED_EV_LOAD, A);
    ask(w, 1, A);
    tell(w, SCHED_EV_GONE, A);
    did(w, "reject 1 removed");
}

TEST(removal_drains_and_can_be_hurried)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    ask(w, 1, A);
    tell(w, SCHED_EV_REMOVE, A);
    unload(w, A, 0);
    did(w, "reject 1 removed; stop A removed by force");
}

TEST(what_is_added_again_waits_for_the_old_engine_to_end)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    tell(w, SCHED_EV_REMOVE, A);
    tell(w, SCHED_EV_ADD, A);
    tell(w, SCHED_EV_ADD, A);
    ask(w, 1, A);
    did(w, "");
    done(w, 0);
    did(w, "stop A removed");
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn A for 1");
}

/* --- Shutdown ---------------------------------------------------------------------------- */

TEST(shutdown_rejects_drains_and_loads_nothing_more)
{
    struct world *w = begin(3);
    have_busy(w, A, 0);
    have_ready(w, B);
    ask(w, 1, C);
    did(w, "spawn C for 1");
    ask(w, 2, D);
    shut_down(w, SCHED_NEVER);
    did(w, "reject 2 shutdown; reject 1 shutdown; stop B shutdown; stop C shutdown");
    ask(w, 3, A);
    tell(w, SCHED_EV_LOAD, D);
    did(w, "reject 3 shutdown");
    done(w, 0);
    did(w, "stop A shutdown");
}

TEST(shutdown_can_be_hurried)
{
    struct world *w = begin(2);
    have_busy(w, A, 0);
    have_ready(w, B);
    shut_down(w, w->now + 1000);
    did(w, "stop B shutdown");
    shut_down(w, w->now + 10);
    assert_int_equal(sched_deadline(&w->s), 1010);
    ask(w, 1, A);
    did(w, "reject 1 shutdown");
    shut_down(w, 0);
    did(w, "stop A shutdown by force; stop B shutdown by force");
}

TEST(shutdown_by_force_rejects_grants_not_pulled)
{
    struct world *w = begin(1);
    have_ready(w, A);
    ask(w, 0, A);
    shut_down(w, 0);
    did(w, "reject 0 shutdown; stop A shutdown by force");
}

/* --- Time, place in the queue, size ------------------------------------------------------ */

/* --- Replacing --------------------------------------------------------------------------- */

TEST(replacing_what_is_not_loaded_does_nothing)
{
    struct world *w = begin(1);
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "");
    have_ready(w, A);
    ask(w, 0, B); /* waits for A's place, not loaded either */
    did(w, "stop A evicted");
    tell(w, SCHED_EV_REPLACE, B);
    did(w, "");
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn B for 0");
}

TEST(replacing_ends_a_load_and_who_waits_gets_the_next)
{
    struct world *w = begin(1);
    ask(w, 0, A);
    did(w, "spawn A for 0");
    ask(w, 1, A);
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "stop A replaced");
    ask(w, 2, A);
    tell(w, SCHED_EV_READY, A); /* too late */
    did(w, "");
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn A for 0");
    tell(w, SCHED_EV_READY, A);
    did(w, "grant 0; grant 1; grant 2");
}

TEST(replacing_ends_a_load_and_the_operator_who_asked_gets_the_next)
{
    struct world *w = begin(1);
    tell(w, SCHED_EV_LOAD, A);
    did(w, "spawn A");
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "stop A replaced");
    tell(w, SCHED_EV_REPLACE, A); /* once more, before it is gone */
    did(w, "");
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn A");
    tell(w, SCHED_EV_READY, A);
    did(w, "");
}

TEST(a_load_that_is_replaced_goes_behind_others_only_as_far_as_its_waiters)
{
    struct world *w = begin(1);
    tell(w, SCHED_EV_LOAD, A);
    did(w, "spawn A");
    pass(w, 10);
    ask(w, 0, B);
    pass(w, 10);
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "stop A replaced");
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn B for 0"); /* the operator's wish is new */
}

TEST(replacing_rejects_who_waits_for_a_load_and_may_not_cause_one)
{
    struct world *w = begin(1);
    ask(w, 0, A);
    did(w, "spawn A for 0");
    ask_loaded(w, 1, A);
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "reject 1 not_loaded; stop A replaced");
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn A for 0");
}

TEST(a_load_whose_only_waiters_may_not_cause_another_is_wished_for_again)
{
    struct world *w = begin(1);
    ask(w, 0, A);
    did(w, "spawn A for 0");
    ask_loaded(w, 1, A);
    cancel(w, 0); /* who caused it left; it loads on */
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "reject 1 not_loaded; stop A replaced");
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn A");
}

TEST(replacing_stops_what_is_idle_at_once)
{
    struct world *w = begin(1);
    have_ready(w, A);
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "stop A replaced");
    tell(w, SCHED_EV_GONE, A);
    did(w, ""); /* the next request loads it */
    ask(w, 0, A);
    did(w, "spawn A for 0");
}

TEST(replacing_drains_what_is_busy_as_long_as_it_takes)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "");
    assert_true(is(w, A, SCHED_DRAINING) && w->newest[A]->drain_until == SCHED_NEVER);
    assert_true(sched_deadline(&w->s) == SCHED_NEVER);
    ask(w, 1, A); /* is for the next engine */
    ask_loaded(w, 2, A);
    did(w, "reject 2 not_loaded");
    pass(w, 1000000);
    done(w, 0);
    did(w, "stop A replaced");
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn A for 1");
    tell(w, SCHED_EV_READY, A);
    did(w, "grant 1");
}

TEST(replacing_what_drains_does_not_allow_it_more_time)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    unload(w, A, w->now + 100);
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "");
    assert_true(w->newest[A]->drain_until == w->now + 100);
    tell(w, SCHED_EV_KEEP, A); /* that operator's drain is not the only reason any more */
    assert_true(is(w, A, SCHED_DRAINING));
    tick(w);
    did(w, "stop A replaced by force");
}

TEST(unloading_what_is_being_replaced_can_hurry_it)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    tell(w, SCHED_EV_REPLACE, A);
    ask(w, 1, A);
    did(w, "");
    unload(w, A, 0); /* and it rejects who waits */
    did(w, "reject 1 unloaded; stop A replaced by force");
}

TEST(what_is_removed_while_it_is_replaced_goes_as_removed)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    tell(w, SCHED_EV_REPLACE, A);
    ask(w, 1, A);
    tell(w, SCHED_EV_REMOVE, A);
    did(w, "reject 1 removed");
    tell(w, SCHED_EV_REPLACE, A); /* not in the catalog */
    done(w, 0);
    did(w, "stop A removed");
}

TEST(replacing_what_stops_adds_nothing)
{
    struct world *w = begin(1);
    have_ready(w, A);
    unload(w, A, SCHED_NEVER);
    did(w, "stop A unloaded");
    tell(w, SCHED_EV_REPLACE, A);
    ask(w, 0, A);
    did(w, "");
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn A for 0");
    unload(w, A, SCHED_NEVER); /* and a load that an operator ended is not wished for again */
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "reject 0 unloaded; stop A unloaded");
    tell(w, SCHED_EV_GONE, A);
    did(w, "");
}

TEST(what_is_held_is_drained_but_not_loaded_anew)
{
    struct world *w = begin(2);
    have_busy(w, A, 0);
    hold(w, A, SCHED_NEVER);
    tell(w, SCHED_EV_REPLACE, A);
    ask(w, 1, A);
    did(w, "reject 1 held");
    done(w, 0);
    did(w, "stop A replaced");
    tell(w, SCHED_EV_GONE, A);
    did(w, "");
    ask(w, 2, B);
    did(w, "spawn B for 2");
    ask(w, 3, B);
    hold(w, B, SCHED_NEVER); /* a load goes on when it is held, but not to another engine */
    tell(w, SCHED_EV_REPLACE, B);
    did(w, "reject 2 held; reject 3 held; stop B replaced");
    tell(w, SCHED_EV_GONE, B);
    did(w, "");
}

TEST(an_operator_s_load_that_is_held_and_replaced_is_not_wished_for_again)
{
    struct world *w = begin(1);
    tell(w, SCHED_EV_LOAD, A);
    did(w, "spawn A");
    hold(w, A, SCHED_NEVER);
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "stop A replaced");
    tell(w, SCHED_EV_GONE, A);
    tell(w, SCHED_EV_RELEASE, A);
    did(w, "");
}

TEST(replacing_during_a_shutdown_loads_nothing)
{
    struct world *w = begin(2);
    have_busy(w, A, 0);
    tell(w, SCHED_EV_LOAD, B);
    did(w, "spawn B");
    shut_down(w, SCHED_NEVER);
    did(w, "stop B shutdown");
    tell(w, SCHED_EV_REPLACE, A);
    tell(w, SCHED_EV_REPLACE, B);
    tell(w, SCHED_EV_GONE, B);
    did(w, "");
    done(w, 0);
    did(w, "stop A shutdown");
    tell(w, SCHED_EV_GONE, A);
    did(w, "");
}

TEST(a_shutdown_while_it_is_replaced_rejects_who_waits_for_the_next)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    tell(w, SCHED_EV_REPLACE, A);
    ask(w, 1, A);
    did(w, "");
    shut_down(w, SCHED_NEVER);
    did(w, "reject 1 shutdown");
    done(w, 0);
    did(w, "stop A shutdown");
    tell(w, SCHED_EV_GONE, A);
    did(w, "");
}

TEST(a_crash_while_it_is_replaced_brings_the_next_for_who_waits)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    tell(w, SCHED_EV_REPLACE, A);
    ask(w, 1, A);
    did(w, "");
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn A for 1");
    tell(w, SCHED_EV_READY, A);
    did(w, "grant 1");
    assert_false(is(w, A, SCHED_DRAINING)); /* the next one is as it should be */
    done(w, 0);
    done(w, 1);
    did(w, "");
}

TEST(grants_not_pulled_at_a_crash_wait_for_what_replaces_it)
{
    struct world *w = begin(1);
    have_ready(w, A);
    ask(w, 0, A); /* granted, but nobody was told yet */
    tell(w, SCHED_EV_REPLACE, A);
    ask(w, 1, A);
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn A for 0");
    tell(w, SCHED_EV_READY, A);
    did(w, "grant 0; grant 1");
}

TEST(what_does_not_answer_while_it_is_replaced_is_stopped_by_force)
{
    struct world *w = begin(1);
    have_busy(w, A, 0);
    tell(w, SCHED_EV_REPLACE, A);
    ask(w, 1, A);
    tell(w, SCHED_EV_BROKEN, A);
    did(w, "stop A replaced by force");
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn A for 1");
}

TEST(what_is_pinned_is_replaced_as_well)
{
    struct world *w = begin(1);
    have_ready(w, A);
    w->m[A].pinned = true;
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "stop A replaced");
}

TEST(what_yields_and_is_replaced_drains_and_serves_its_waiters_in_their_turn)
{
    struct world *w = begin_with(&(struct sched_config){.models_max = 1});
    have_busy(w, A, 0);
    ask(w, 1, B); /* overdue at once: A yields */
    did(w, "");
    pass(w, 1);
    ask(w, 2, A);
    did(w, "");
    assert_true(is(w, A, SCHED_YIELDING));
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "");
    assert_false(is(w, A, SCHED_YIELDING));
    done(w, 0);
    did(w, "stop A replaced");
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn B for 1");
    tell(w, SCHED_EV_READY, B);
    did(w, "grant 1");
    done(w, 1);
    did(w, "stop B evicted");
    tell(w, SCHED_EV_GONE, B);
    did(w, "spawn A for 2");
}

TEST(time_does_not_go_backwards)
{
    struct world *w = begin(1);
    w->m[A].ttl_ms = 100;
    have_ready(w, A);
    pass(w, 50);
    ask(w, 0, A);
    did(w, "grant 0");
    w->now -= 40;
    done(w, 0);
    assert_int_equal(sched_deadline(&w->s), 1150);
}

TEST(a_time_far_away_is_never)
{
    struct world *w = begin(1);
    w->m[A].ttl_ms = SCHED_NEVER - 1;
    have_ready(w, A);
    assert_true(sched_deadline(&w->s) == SCHED_NEVER);
}

TEST(tells_the_position_in_the_queue)
{
    struct world *w = begin(2);
    have_busy(w, A, 0);
    ask(w, 1, B); /* loads: is served before those that still need a place */
    ask(w, 2, B);
    did(w, "spawn B for 1");
    pass(w, 1);
    ask(w, 3, C);
    pass(w, 1);
    ask(w, 4, D);
    ask(w, 5, C);
    did(w, "");
    assert_int_equal(sched_position(&w->s, &w->r[0]), 0);
    assert_int_equal(sched_position(&w->s, &w->r[1]), 0);
    assert_int_equal(sched_position(&w->s, &w->r[2]), 1);
    assert_int_equal(sched_position(&w->s, &w->r[3]), 2);
    assert_int_equal(sched_position(&w->s, &w->r[5]), 3);
    assert_int_equal(sched_position(&w->s, &w->r[4]), 4);
}

TEST(tells_the_position_behind_younger_ones_whose_model_loads)
{
    struct world *w = begin(2);
    have_busy(w, A, 0);
    tell(w, SCHED_EV_LOAD, B);
    did(w, "spawn B");
    ask(w, 1, C);
    pass(w, 1);
    ask(w, 2, B);
    assert_int_equal(sched_position(&w->s, &w->r[1]), 1);
}

TEST(tells_the_position_behind_an_older_wait_for_a_draining_engine)
{
    struct world *w = begin(2);
    have_busy(w, A, 0);
    have_busy(w, B, 1);
    unload(w, A, SCHED_NEVER);
    ask(w, 2, A);
    pass(w, 1);
    ask(w, 3, C);
    pass(w, 1);
    ask(w, 4, A);
    unload(w, B, SCHED_NEVER);
    ask(w, 5, B);
    did(w, "");
    assert_int_equal(sched_position(&w->s, &w->r[2]), 0);
    assert_int_equal(sched_position(&w->s, &w->r[3]), 2);
    assert_int_equal(sched_position(&w->s, &w->r[5]), 3);
}

TEST(a_catalog_of_ten_thousand_models_costs_nothing_on_the_way_of_a_request)
{
    enum { N = 10000, TIMES = 200000 };
    struct world *w = begin(4);
    struct sched_model *many = calloc(N, sizeof *many);
    assert_non_null(many);
    for (int i = 0; i < N; i++)
        sched_event(&w->s, &(struct sched_event){.type = SCHED_EV_ADD, .model = &many[i]}, w->now);
    have_ready(w, A);
    /* 200,000 walks over 10,000 models would take ten seconds; this takes a few hundredths of one.
     */
    for (int i = 0; i < TIMES; i++) {
        ask(w, 0, A);
        assert_string_equal(next(w), "grant 0");
        done(w, 0);
        assert_string_equal(next(w), "");
        assert_true(sched_deadline(&w->s) == SCHED_NEVER);
    }
    free(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_a_model_for_a_request_and_grants_when_it_is_ready),
        cmocka_unit_test(grants_at_once_at_a_ready_model_while_another_loads),
        cmocka_unit_test(waiters_share_a_load_and_are_granted_in_order),
        cmocka_unit_test(loads_as_many_as_there_are_places_oldest_first),
        cmocka_unit_test(loads_everything_where_there_is_no_limit),
        cmocka_unit_test(a_failed_load_rejects_who_waited_and_is_not_tried_again),
        cmocka_unit_test(a_request_that_may_not_load_is_granted_at_what_is_ready),
        cmocka_unit_test(a_request_that_may_not_load_shares_a_load),
        cmocka_unit_test(a_request_that_may_not_load_fails_with_a_load),
        cmocka_unit_test(a_request_that_may_not_load_is_rejected_where_another_load_is_needed),
        cmocka_unit_test(
            a_request_that_may_not_load_is_rejected_where_a_load_still_waits_for_a_place),
        cmocka_unit_test(rejects_when_the_queue_is_full),
        cmocka_unit_test(rejects_who_has_waited_too_long),
        cmocka_unit_test(a_request_that_is_given_twice_counts_once),
        cmocka_unit_test(rejects_requests_for_models_never_added),
        cmocka_unit_test(a_waiter_that_leaves_is_forgotten),
        cmocka_unit_test(a_load_goes_on_when_its_waiters_leave),
        cmocka_unit_test(a_grant_that_was_not_pulled_is_not_given_after_a_cancel),
        cmocka_unit_test(a_rejection_that_was_not_pulled_is_not_given_after_a_cancel),
        cmocka_unit_test(what_comes_after_the_end_of_a_request_is_ignored),
        cmocka_unit_test(a_model_whose_oldest_waiter_leaves_goes_back_in_the_queue),
        cmocka_unit_test(evicts_the_least_recently_used),
        cmocka_unit_test(does_not_evict_for_a_place_that_is_to_come),
        cmocka_unit_test(does_not_evict_while_there_is_a_place),
        cmocka_unit_test(waits_for_the_memory_before_it_loads),
        cmocka_unit_test(never_evicts_what_is_busy),
        cmocka_unit_test(never_evicts_what_is_pinned),
        cmocka_unit_test(never_evicts_what_loads),
        cmocka_unit_test(stops_no_second_engine_when_the_need_ends_between_two_pulls),
        cmocka_unit_test(a_busy_engine_yields_to_who_has_waited_long),
        cmocka_unit_test(the_least_recently_granted_yields_and_never_a_pinned_one),
        cmocka_unit_test(as_many_yield_as_have_waited_long),
        cmocka_unit_test(the_most_recently_granted_stops_yielding_first),
        cmocka_unit_test(a_yielding_engine_resumes_when_nobody_needs_its_place),
        cmocka_unit_test(a_yielding_engine_resumes_when_another_becomes_idle),
        cmocka_unit_test(of_idle_engines_one_that_yields_with_waiters_is_the_last_to_be_evicted),
        cmocka_unit_test(an_engine_that_is_pinned_meanwhile_resumes),
        cmocka_unit_test(nobody_yields_while_another_engine_stops_or_drains),
        cmocka_unit_test(a_yielding_engine_that_drains_does_so_for_the_operator),
        cmocka_unit_test(a_wish_for_a_yielding_model_is_about_its_next_load),
        cmocka_unit_test(stops_what_is_idle_for_its_ttl),
        cmocka_unit_test(stops_what_was_never_used_after_its_ttl),
        cmocka_unit_test(passive_requests_do_not_keep_an_engine_from_being_idle),
        cmocka_unit_test(an_engine_is_not_stopped_while_it_answers_a_passive_request),
        cmocka_unit_test(what_is_pinned_has_no_ttl),
        cmocka_unit_test(a_crash_frees_the_place_and_leases_end_on_their_own),
        cmocka_unit_test(leases_of_a_crashed_engine_do_not_keep_its_successor),
        cmocka_unit_test(who_waits_at_a_yielding_engine_that_crashes_waits_for_the_next_load),
        cmocka_unit_test(grants_not_pulled_at_a_crash_wait_again_in_their_order),
        cmocka_unit_test(grants_not_pulled_at_another_model_survive_a_crash),
        cmocka_unit_test(grants_not_pulled_at_a_crash_are_rejected_when_the_model_is_held),
        cmocka_unit_test(grants_not_pulled_at_a_crash_are_rejected_when_the_model_drained),
        cmocka_unit_test(a_second_report_of_the_end_is_ignored),
        cmocka_unit_test(an_engine_that_does_not_answer_is_stopped_by_force),
        cmocka_unit_test(
            an_engine_that_drains_and_does_not_answer_is_stopped_for_what_it_drained_for),
        cmocka_unit_test(loads_for_an_operator),
        cmocka_unit_test(a_load_that_fails_for_an_operator_is_not_tried_again),
        cmocka_unit_test(an_operator_waits_for_a_place_like_a_request),
        cmocka_unit_test(a_load_is_the_request_s_when_that_came_before_the_operator),
        cmocka_unit_test(a_load_is_the_operator_s_when_that_came_before_the_request),
        cmocka_unit_test(a_load_asked_for_while_stopping_follows),
        cmocka_unit_test(unloads_what_is_idle_at_once),
        cmocka_unit_test(drains_what_is_busy),
        cmocka_unit_test(who_waits_for_the_next_load_keeps_the_turn),
        cmocka_unit_test(cuts_leases_off_at_the_end_of_a_drain),
        cmocka_unit_test(unloads_by_force_without_a_deadline),
        cmocka_unit_test(a_drain_can_be_hurried_but_not_slowed_down),
        cmocka_unit_test(a_stop_that_was_given_can_be_made_one_by_force_once),
        cmocka_unit_test(a_stop_that_is_due_and_hurried_is_given_once),
        cmocka_unit_test(a_stop_that_is_due_is_not_given_to_what_is_gone),
        cmocka_unit_test(unloading_ends_a_load_and_rejects_who_waits),
        cmocka_unit_test(unloading_what_is_not_loaded_ends_wishes_only),
        cmocka_unit_test(what_is_to_be_unloaded_when_idle_serves_until_then),
        cmocka_unit_test(what_is_idle_or_loads_is_unloaded_at_once),
        cmocka_unit_test(keeping_withdraws_an_unload_when_idle),
        cmocka_unit_test(a_load_withdraws_an_unload_when_idle),
        cmocka_unit_test(a_load_withdraws_an_unload_of_one_that_yields),
        cmocka_unit_test(who_waits_for_a_lease_is_served_before_an_unload_when_idle),
        cmocka_unit_test(one_that_yields_and_need_not_is_unloaded_when_idle),
        cmocka_unit_test(keeping_ends_a_drain),
        cmocka_unit_test(keeping_does_not_end_a_drain_for_another_reason),
        cmocka_unit_test(a_hold_rejects_requests_until_it_is_released),
        cmocka_unit_test(a_hold_ends_at_its_time),
        cmocka_unit_test(a_hold_rejects_who_waits_and_the_operator_s_wish),
        cmocka_unit_test(what_runs_serves_on_when_it_is_held),
        cmocka_unit_test(what_is_unloaded_and_held_stays_unloaded),
        cmocka_unit_test(removal_rejects_waiters_and_ends_a_load),
        cmocka_unit_test(removal_drains_and_can_be_hurried),
        cmocka_unit_test(what_is_added_again_waits_for_the_old_engine_to_end),
        cmocka_unit_test(shutdown_rejects_drains_and_loads_nothing_more),
        cmocka_unit_test(shutdown_can_be_hurried),
        cmocka_unit_test(shutdown_by_force_rejects_grants_not_pulled),
        cmocka_unit_test(replacing_what_is_not_loaded_does_nothing),
        cmocka_unit_test(replacing_ends_a_load_and_who_waits_gets_the_next),
        cmocka_unit_test(replacing_ends_a_load_and_the_operator_who_asked_gets_the_next),
        cmocka_unit_test(a_load_that_is_replaced_goes_behind_others_only_as_far_as_its_waiters),
        cmocka_unit_test(replacing_rejects_who_waits_for_a_load_and_may_not_cause_one),
        cmocka_unit_test(a_load_whose_only_waiters_may_not_cause_another_is_wished_for_again),
        cmocka_unit_test(replacing_stops_what_is_idle_at_once),
        cmocka_unit_test(replacing_drains_what_is_busy_as_long_as_it_takes),
        cmocka_unit_test(replacing_what_drains_does_not_allow_it_more_time),
        cmocka_unit_test(unloading_what_is_being_replaced_can_hurry_it),
        cmocka_unit_test(what_is_removed_while_it_is_replaced_goes_as_removed),
        cmocka_unit_test(replacing_what_stops_adds_nothing),
        cmocka_unit_test(what_is_held_is_drained_but_not_loaded_anew),
        cmocka_unit_test(an_operator_s_load_that_is_held_and_replaced_is_not_wished_for_again),
        cmocka_unit_test(replacing_during_a_shutdown_loads_nothing),
        cmocka_unit_test(a_shutdown_while_it_is_replaced_rejects_who_waits_for_the_next),
        cmocka_unit_test(a_crash_while_it_is_replaced_brings_the_next_for_who_waits),
        cmocka_unit_test(grants_not_pulled_at_a_crash_wait_for_what_replaces_it),
        cmocka_unit_test(what_does_not_answer_while_it_is_replaced_is_stopped_by_force),
        cmocka_unit_test(what_is_pinned_is_replaced_as_well),
        cmocka_unit_test(what_yields_and_is_replaced_drains_and_serves_its_waiters_in_their_turn),
        cmocka_unit_test(time_does_not_go_backwards),
        cmocka_unit_test(a_time_far_away_is_never),
        cmocka_unit_test(tells_the_position_in_the_queue),
        cmocka_unit_test(tells_the_position_behind_younger_ones_whose_model_loads),
        cmocka_unit_test(tells_the_position_behind_an_older_wait_for_a_draining_engine),
        cmocka_unit_test(a_catalog_of_ten_thousand_models_costs_nothing_on_the_way_of_a_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
