/* SPDX-License-Identifier: MIT */
/* A model's arguments change while its engine runs: the next one loads beside it, or after it. */
#include "sched_test.h"

/* One place, 100 bytes on the host and on a card, 10 to spare; each model takes 40 of the card. */
static struct world *begin_known(void)
{
    struct world *w = begin_with(&(struct sched_config){.models_max = 1,
                                                        .devices = 2,
                                                        .max_wait_ms = SCHED_NEVER,
                                                        .max_failures = 3,
                                                        .back_off_ms = 1000,
                                                        .overlap = true,
                                                        .spare = 10,
                                                        .ceiling = {100, 100}});
    for (int i = 0; i < MODELS; i++)
        w->m[i].next.bytes[1] = 40;
    return w;
}

static void gone_by(struct world *w, int model, bool oom, bool ours)
{
    sched_event(&w->s,
                &(struct sched_event){
                    .type = SCHED_EV_GONE, .instance = w->newest[model], .oom = oom, .ours = ours},
                w->now);
}

static void time_passed(struct world *w)
{
    sched_event(&w->s, &(struct sched_event){.type = SCHED_EV_TICK}, w->now);
}

/* A is busy with request 0, and its replacement loads. */
static struct world *begin_replacing(void)
{
    struct world *w = begin_known();
    have_busy(w, A, 0);
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "spawn A");
    return w;
}

/* --- Beside ------------------------------------------------------------------------------ */

TEST(who_is_in_use_serves_on_until_the_next_one_is_ready)
{
    struct world *w = begin_replacing();
    struct sched_instance *old = w->older[A], *new = w->newest[A];
    assert_true(old->outdated && old->surplus && !new->outdated && !new->surplus);
    assert_ptr_equal(sched_model_serving(&w->m[A]), old);
    ask(w, 1, A);
    did(w, "grant 1");
    assert_ptr_equal(w->r[1].instance, old);
    tell(w, SCHED_EV_READY, A);
    did(w, "");
    assert_int_equal(old->state, SCHED_DRAINING);
    ask(w, 2, A);
    did(w, "grant 2");
    assert_ptr_equal(w->r[2].instance, new);
    assert_int_equal(w->m[A].leases, 3);
    assert_int_equal(old->leases, 2);
    done(w, 0);
    did(w, "");
    done(w, 1);
    did(w, "stop older A replaced");
    tell_older(w, SCHED_EV_GONE, A);
    did(w, "");
    assert_int_equal(w->s.running, 1);
    assert_true(is(w, A, SCHED_READY));
}

TEST(an_idle_one_is_stopped_when_its_replacement_is_ready)
{
    struct world *w = begin_replacing();
    done(w, 0);
    did(w, "");
    tell(w, SCHED_EV_READY, A);
    did(w, "stop older A replaced");
}

TEST(whoever_waits_for_a_lease_gets_one_of_the_next_engine)
{
    struct world *w = begin_known();
    w->m[A].max_leases = 1;
    have_busy(w, A, 0);
    ask(w, 1, A);
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "spawn A"); /* for the replacement, not for request 1 */
    assert_false(w->r[1].caused_load);
    tell(w, SCHED_EV_READY, A);
    did(w, "grant 1");
    assert_ptr_equal(w->r[1].instance, w->newest[A]);
}

TEST(who_is_idle_is_stopped_and_the_next_request_loads_beside_it)
{
    struct world *w = begin_known();
    have_ready(w, A);
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "stop A replaced");
    ask(w, 0, A);
    did(w, "spawn A for 0");
    tell_older(w, SCHED_EV_GONE, A);
    tell(w, SCHED_EV_READY, A);
    did(w, "grant 0");
}

TEST(who_answers_only_metrics_is_not_in_use)
{
    struct world *w = begin_known();
    have_ready(w, A);
    ask_passive(w, 0, A);
    did(w, "grant 0");
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "");
    assert_true(is(w, A, SCHED_DRAINING));
    done(w, 0);
    did(w, "stop A replaced");
}

TEST(what_nobody_reads_is_no_use)
{
    for (int passive = 0; passive < 2; passive++) {
        struct world *w = begin_known();
        have_busy(w, A, 0);
        tell_of(w, SCHED_EV_UNREAD, 0);
        tick(w);
        if (passive) { /* which may lapse, too */
            ask_passive(w, 1, A);
            tell_of(w, SCHED_EV_UNREAD, 1);
            did(w, "grant 1");
            tick(w);
        }
        tell(w, SCHED_EV_REPLACE, A);
        did(w, "stop A replaced");
    }
}

TEST(what_others_wait_for_is_in_use_though_nobody_reads)
{
    struct world *w = begin_known();
    w->m[A].max_leases = 1;
    have_busy(w, A, 0);
    tell_of(w, SCHED_EV_UNREAD, 0);
    tick(w);
    ask(w, 1, A);
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "spawn A");
    tell(w, SCHED_EV_READY, A);
    did(w, "grant 1; stop older A replaced");
}

TEST(who_is_read_is_in_use_though_a_passive_one_lapsed)
{
    struct world *w = begin_known();
    have_busy(w, A, 0);
    tell_of(w, SCHED_EV_UNREAD, 0);
    tick(w);
    tell_of(w, SCHED_EV_READ, 0);
    ask_passive(w, 1, A);
    tell_of(w, SCHED_EV_UNREAD, 1);
    did(w, "grant 1");
    tick(w);
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "spawn A");
}

TEST(who_was_used_just_now_is_in_use_if_its_load_is_long)
{
    for (int late = 0; late < 2; late++) {
        struct world *w = begin_known();
        w->m[A].load_ms = SCHED_RECENT_MS;
        have_busy(w, A, 0);
        done(w, 0);
        did(w, "");
        pass(w, SCHED_RECENT_MS / 4 - !late);
        tell(w, SCHED_EV_REPLACE, A);
        did(w, late ? "stop A replaced" : "spawn A");
        w = begin_known();
        w->m[A].load_ms = SCHED_RECENT_MS - 1;
        have_ready(w, A);
        tell(w, SCHED_EV_REPLACE, A);
        did(w, "stop A replaced");
    }
}

TEST(a_load_that_is_replaced_begins_anew_beside_the_one_that_stops)
{
    struct world *w = begin_known();
    ask(w, 0, A);
    did(w, "spawn A for 0");
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "stop A replaced; spawn A for 0");
    tell(w, SCHED_EV_READY, A);
    did(w, "grant 0");
}

/* --- Where it does not fit beside --------------------------------------------------------- */

/* A is busy, and after EV_REPLACE it drains. */
static void check_drains(struct world *w)
{
    have_busy(w, A, 0);
    tell(w, SCHED_EV_REPLACE, A);
    ask(w, 1, A);
    const char *granted =
        w->m[A].leases == 2 ? "grant 1" : ""; /* before it is seen that it does not fit */
    did(w, granted);
    assert_true(is(w, A, SCHED_DRAINING));
    cancel(w, 1);
    done(w, 0);
    did(w, "stop A replaced");
    ask(w, 2, A);
    did(w, "");
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn A for 2");
}

TEST(without_figures_of_memory_the_old_one_drains)
{
    struct world *w = begin_known();
    w->s.config.overlap = false;
    check_drains(w);
    w = begin_known();
    w->s.config.devices = 0;
    w->s.config.models_max = 0;
    check_drains(w);
}

TEST(who_is_to_be_apart_drains)
{
    struct world *w = begin_known();
    w->m[A].next.apart = true;
    check_drains(w);
    w = begin_known();
    have_busy(w, A, 0);
    w->m[A].next.apart = true;
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "");
    assert_true(is(w, A, SCHED_DRAINING));
}

TEST(without_memory_for_both_and_some_to_spare_the_old_one_drains)
{
    struct world *w = begin_known();
    w->m[A].next.bytes[1] = 46;
    check_drains(w);
    w = begin_known();
    w->m[A].next.bytes[1] = 45;
    have_busy(w, A, 0);
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "spawn A");
}

TEST(whether_a_replacement_would_fit_beside_is_a_question)
{
    struct world *w = begin_known();
    struct sched_footprint f = {.bytes = {0, 50}};
    assert_false(sched_would_fit_beside(&w->s, &w->m[A], &f)); /* there is nothing to be beside */
    have_busy(w, A, 0);
    w->m[A].unsure = true;
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "");
    assert_true(sched_would_fit_beside(&w->s, &w->m[A], &f));
    f.bytes[1] = 51;
    assert_false(sched_would_fit_beside(&w->s, &w->m[A], &f));
    assert_true(sched_would_fit_beside(&w->s, &w->m[A], &(struct sched_footprint){0}));
}

TEST(who_drains_is_joined_by_the_next_one_when_memory_is_free)
{
    struct world *w = begin_known();
    w->s.config.models_max = 2;
    w->m[B].next.bytes[1] = 20;
    have_ready(w, B);
    have_busy(w, A, 0);
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "");
    ask(w, 1, A);
    did(w, ""); /* nobody is evicted for it */
    assert_int_equal(sched_position(&w->s, &w->r[1]), 0);
    unload(w, B, 0);
    did(w, "stop B unloaded by force");
    assert_int_equal(w->m[A].waits, SCHED_WAITS_BESIDE);
    tell(w, SCHED_EV_GONE, B);
    did(w, "spawn A for 1");
    tell(w, SCHED_EV_READY, A);
    did(w, "grant 1");
    assert_int_equal(w->older[A]->leases, 1);
}

TEST(those_who_wait_for_room_come_first)
{
    struct world *w = begin_known();
    w->s.config.models_max = 2;
    have_busy(w, A, 0);
    w->m[B].next.bytes[1] = 20;
    ask(w, 1, B);
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "spawn B for 1"); /* which leaves 40 */
    assert_true(is(w, A, SCHED_DRAINING));
}

TEST(who_has_waited_too_long_for_room_is_not_overtaken)
{
    struct world *w = begin_known();
    w->s.config.max_wait_ms = 0;
    have_busy(w, A, 0);
    w->m[A].pinned = true;
    w->m[B].pinned = true;
    w->s.config.models_max = 2;
    w->m[B].next.bytes[1] = 5;
    have_busy(w, B, 1);
    ask(w, 2, C); /* not even both would yield: it has no reservation */
    did(w, "");
    w->m[A].next.bytes[1] = 10;
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "spawn A"); /* while it is without hope it blocks nobody */
    w->m[A].pinned = false;
}

TEST(who_is_held_drains)
{
    struct world *w = begin_known();
    have_busy(w, A, 0);
    hold(w, A, SCHED_NEVER);
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "");
    assert_true(is(w, A, SCHED_DRAINING));
    ask(w, 1, A);
    did(w, "reject 1 held");
}

TEST(who_is_held_while_its_replacement_is_due_drains)
{
    struct world *w = begin_known();
    have_busy(w, A, 0);
    w->m[A].unsure = true;
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "");
    assert_true(is(w, A, SCHED_READY));
    hold(w, A, SCHED_NEVER);
    w->m[A].unsure = false;
    time_passed(w);
    did(w, "");
    assert_true(is(w, A, SCHED_DRAINING));
}

/* --- Waiting for its load ----------------------------------------------------------------- */

TEST(it_waits_until_it_is_known_what_it_takes)
{
    struct world *w = begin_known();
    have_busy(w, A, 0);
    w->m[A].unsure = true;
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "");
    assert_true(w->newest[A]->replacement_due);
    ask(w, 1, A);
    did(w, "grant 1");
    w->m[A].unsure = false;
    time_passed(w);
    did(w, "spawn A");
}

TEST(it_waits_for_other_loads_with_its_memory_reserved)
{
    struct world *w = begin_known();
    w->s.config.models_max = 4;
    w->s.config.loads_max = 1;
    w->m[B].next.bytes[1] = w->m[C].next.bytes[1] = 5;
    have_busy(w, A, 0);
    have_busy(w, C, 1);
    ask(w, 2, B);
    tell(w, SCHED_EV_REPLACE, A);
    tell(w, SCHED_EV_REPLACE, C);
    did(w, "spawn B for 2");
    assert_true(is(w, A, SCHED_READY));
    assert_true(is(w, C, SCHED_DRAINING)); /* 100 - 40 - 5 - 5 - 40 is spare */
    tell(w, SCHED_EV_READY, B);
    did(w, "grant 2; spawn A");
}

TEST(it_waits_for_those_who_leave)
{
    struct world *w = begin_known();
    w->s.config.models_max = 2;
    w->m[B].next.bytes[1] = 20;
    have_ready(w, B);
    have_busy(w, A, 0);
    tell(w, SCHED_EV_UNLOAD, B);
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "stop B unloaded by force");
    assert_true(is(w, A, SCHED_READY));
    tell(w, SCHED_EV_GONE, B);
    did(w, "spawn A");
}

TEST(without_a_spare_record_nothing_is_loaded)
{
    struct world *w = begin_known();
    struct sched_instance *spare = w->s.spare;
    w->s.spare = NULL;
    ask(w, 0, A);
    did(w, "");
    w->s.spare = spare;
    time_passed(w);
    did(w, "spawn A for 0");
}

/* --- Places ------------------------------------------------------------------------------- */

TEST(the_next_one_takes_over_the_place_of_the_old_one)
{
    struct world *w = begin_replacing();
    w->m[A].pinned = true;
    w->m[B].next.bytes[1] = 0;
    ask(w, 1, B);
    did(w, ""); /* there is one place, and it is taken */
    tell(w, SCHED_EV_READY, A);
    did(w, "");
    done(w, 0);
    did(w, "stop older A replaced");
    tell_older(w, SCHED_EV_GONE, A);
    did(w, "");
    w->m[A].pinned = false;
    time_passed(w);
    did(w, "stop A evicted; spawn B for 1");
}

TEST(a_place_that_is_free_is_for_others_while_the_old_one_drains)
{
    struct world *w = begin_replacing();
    w->s.config.models_max = 2;
    w->m[B].next.bytes[1] = 10;
    tell(w, SCHED_EV_READY, A);
    ask(w, 1, B);
    did(w, "spawn B for 1");
    assert_int_equal(w->s.running, 3);
}

TEST(when_the_next_one_goes_its_place_is_free_though_the_old_one_drains)
{
    struct world *w = begin_replacing();
    tell(w, SCHED_EV_READY, A);
    unload(w, A, SCHED_NEVER);
    did(w, "stop A unloaded");
    w->m[B].next.bytes[1] = 10;
    tell(w, SCHED_EV_GONE, A);
    ask(w, 1, B);
    did(w, "spawn B for 1");
    ask(w, 2, A); /* waits for the place as any other */
    did(w, "");
    assert_int_equal(w->m[A].waits, SCHED_WAITS_PLACE);
    assert_int_equal(sched_position(&w->s, &w->r[2]), 1);
}

TEST(a_model_has_one_engine_too_many_at_most)
{
    struct world *w = begin_replacing();
    w->m[A].next.bytes[1] = 1;
    tell(w, SCHED_EV_READY, A);
    ask(w, 1, A);
    did(w, "grant 1");
    tell(w, SCHED_EV_REPLACE, A);
    did(w, ""); /* the first one still drains */
    assert_true(is(w, A, SCHED_DRAINING));
    ask(w, 2, A);
    done(w, 1);
    did(w, "stop A replaced");
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn A for 2");
}

/* --- Loads that fail ---------------------------------------------------------------------- */

TEST(a_replacement_that_fails_leaves_the_old_one_in_service)
{
    struct world *w = begin_replacing();
    struct sched_instance *old = w->older[A];
    ask(w, 1, A);
    did(w, "grant 1");
    gone_by(w, A, false, false);
    did(w, "");
    assert_true(old->state == SCHED_READY && old->outdated && !old->surplus);
    assert_int_equal(w->m[A].failures, 1);
    ask(w, 2, A);
    did(w, "grant 2");
    done(w, 2); /* says nothing about the new arguments */
    assert_int_equal(w->m[A].failures, 1);
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "spawn A");
    assert_int_equal(w->m[A].failures, 0);
    gone_by(w, A, false, false);
    did(w, "");
    tell(w, SCHED_EV_LOAD, A);
    did(w, "spawn A");
    tell(w, SCHED_EV_LOAD, A);
    did(w, "");
    assert_true(old->state == SCHED_READY);
}

TEST(whoever_waits_for_a_lease_of_the_old_one_is_not_rejected_when_its_replacement_fails)
{
    struct world *w = begin_replacing();
    w->m[A].max_leases = 1;
    ask(w, 1, A);
    did(w, "");
    gone_by(w, A, false, false);
    did(w, "");
    done(w, 0);
    did(w, "grant 1");
}

TEST(when_the_old_one_goes_the_next_request_tries_the_new_arguments_again)
{
    struct world *w = begin_replacing();
    gone_by(w, A, false, false);
    w->newest[A] = w->older[A];
    tell(w, SCHED_EV_GONE, A); /* the end of an outdated engine is no failure */
    did(w, "");
    assert_int_equal(w->m[A].failures, 1);
    done(w, 0);
    ask(w, 1, A);
    did(w, "spawn A for 1");
    assert_false(w->newest[A]->outdated);
}

TEST(a_model_that_is_failed_serves_on_with_the_old_arguments)
{
    struct world *w = begin_replacing();
    w->s.config.max_failures = 1;
    gone_by(w, A, false, false);
    did(w, "");
    assert_true(w->m[A].failed);
    ask(w, 1, A);
    did(w, "grant 1");
    w->newest[A] = w->older[A];
    tell(w, SCHED_EV_GONE, A);
    ask(w, 2, A);
    did(w, "reject 2 failed");
}

TEST(for_want_of_memory_the_old_one_drains_and_the_load_is_tried_once_more)
{
    struct world *w = begin_replacing();
    w->m[A].next.bytes[1] = 100;
    gone_by(w, A, true, false);
    did(w, "");
    assert_int_equal(w->older[A]->state, SCHED_DRAINING);
    ask(w, 1, A);
    did(w, "");
    done(w, 0);
    did(w, "stop older A replaced");
    tell_older(w, SCHED_EV_GONE, A);
    did(w, "spawn A"); /* for what began it: it is older than request 1 */
    tell(w, SCHED_EV_READY, A);
    did(w, "grant 1");
}

TEST(what_can_never_fit_is_given_up_and_the_old_one_serves_on)
{
    struct world *w = begin_known();
    have_busy(w, A, 0);
    w->m[A].next.bytes[1] = 101;
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "drop A too_large");
    ask(w, 1, A);
    did(w, "grant 1");
    assert_true(w->newest[A]->outdated);
}

TEST(what_can_never_fit_is_rejected_while_the_old_one_drains)
{
    struct world *w = begin_known();
    have_busy(w, A, 0);
    hold(w, A, SCHED_NEVER);
    tell(w, SCHED_EV_REPLACE, A);
    tell(w, SCHED_EV_RELEASE, A);
    w->m[A].next.bytes[1] = 101;
    ask(w, 1, A);
    did(w, "reject 1 too_large");
}

TEST(a_start_that_fails_for_our_own_sake_is_tried_again_beside)
{
    struct world *w = begin_replacing();
    gone_by(w, A, false, true);
    did(w, "");
    assert_true(w->older[A]->replacement_due && !w->older[A]->surplus);
    ask(w, 1, A);
    did(w, "grant 1");
    tick(w);
    assert_int_equal(w->now, 1000 + SCHED_RETRY_MS);
    did(w, "spawn A");
    assert_int_equal(w->m[A].failures, 0);
}

/* --- What happens meanwhile --------------------------------------------------------------- */

TEST(arguments_that_change_again_end_the_load_and_begin_another)
{
    struct world *w = begin_replacing();
    struct sched_instance *old = w->older[A];
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "stop A replaced");
    ask(w, 1, A);
    did(w, "grant 1");
    assert_ptr_equal(w->r[1].instance, old);
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn A");
    assert_true(old->surplus && old->state == SCHED_READY);
    tell(w, SCHED_EV_READY, A);
    assert_int_equal(old->state, SCHED_DRAINING);
}

TEST(a_crash_of_the_old_one_makes_requests_wait_for_the_load)
{
    struct world *w = begin_replacing();
    ask(w, 1, A); /* its grant is not pulled */
    tell_older(w, SCHED_EV_GONE, A);
    did(w, "");
    assert_int_equal(w->r[1].state, SCHED_REQUEST_WAITING);
    assert_int_equal(w->m[A].failures, 0);
    assert_int_equal(w->older[A]->leases, 1);
    ask_loaded(w, 2, A);
    did(w, "");
    tell(w, SCHED_EV_READY, A);
    did(w, "grant 1; grant 2");
    done(w, 0); /* at the engine that is gone */
    assert_int_equal(w->m[A].leases, 2);
}

TEST(a_grant_that_was_not_pulled_at_the_end_of_the_old_one_is_the_next_one_s)
{
    struct world *w = begin_replacing();
    ask(w, 1, A);
    tell(w, SCHED_EV_READY, A);
    tell_older(w, SCHED_EV_GONE, A);
    ask(w, 2, A);
    did(w, "grant 1; grant 2");
    assert_ptr_equal(w->r[1].instance, w->newest[A]);
}

TEST(a_crash_of_the_next_one_makes_requests_wait_for_another)
{
    struct world *w = begin_replacing();
    tell(w, SCHED_EV_READY, A);
    did(w, "");
    ask(w, 1, A);
    did(w, "grant 1");
    gone_by(w, A, false, false);
    assert_int_equal(w->m[A].failures, 1);
    ask(w, 2, A);
    did(w, "spawn A for 2"); /* beside the first one, which drains and has no place */
}

TEST(the_old_one_yields_to_who_has_waited_long_while_its_replacement_loads)
{
    struct world *w = begin_replacing();
    w->s.config.max_wait_ms = 100;
    w->s.config.models_max = 2;
    w->m[B].next.bytes[1] = 40;
    ask(w, 1, B);
    did(w, "");
    tick(w);
    did(w, "");
    assert_int_equal(w->older[A]->state, SCHED_YIELDING);
    ask(w, 2, A);
    did(w, "");
    tell(w, SCHED_EV_READY, A);
    did(w, "grant 2");
    assert_int_equal(w->older[A]->state, SCHED_DRAINING);
    done(w, 0);
    did(w, "stop older A replaced");
}

TEST(a_load_that_fails_beside_one_that_yields_rejects_who_waits)
{
    struct world *w = begin_replacing();
    w->s.config.max_wait_ms = 100;
    w->s.config.models_max = 2;
    ask(w, 1, B);
    tick(w);
    did(w, "");
    ask(w, 2, A);
    did(w, "");
    gone_by(w, A, false, false);
    did(w, "reject 2 load_failed; spawn B for 1");
    assert_int_equal(w->older[A]->state, SCHED_READY); /* there is room for both */
}

TEST(who_yields_drains_when_its_arguments_change_again)
{
    struct world *w = begin_replacing();
    w->s.config.max_wait_ms = 100;
    w->s.config.models_max = 2;
    ask(w, 1, B);
    tick(w);
    did(w, "");
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "stop A replaced");
    assert_int_equal(w->older[A]->state, SCHED_DRAINING);
}

TEST(a_place_that_others_wait_for_is_not_taken_over)
{
    struct world *w = begin_known();
    w->s.config.max_wait_ms = 100;
    w->m[A].next.bytes[1] = w->m[B].next.bytes[1] = 10;
    have_busy(w, A, 0);
    w->m[A].unsure = true;
    tell(w, SCHED_EV_REPLACE, A);
    ask(w, 1, B);
    tick(w);
    did(w, "");
    assert_true(is(w, A, SCHED_YIELDING)); /* its place is to be B's */
    w->m[A].unsure = false;
    time_passed(w);
    did(w, "");
    assert_true(is(w, A, SCHED_DRAINING));
    ask(w, 2, A);
    done(w, 0);
    did(w, "stop A replaced");
    assert_int_equal(w->m[A].waits, SCHED_WAITS_BESIDE);
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn B for 1");
}

TEST(a_place_that_another_was_evicted_for_is_not_taken_over)
{
    struct world *w = begin_known();
    w->m[A].next.bytes[1] = 10;
    w->m[B].next.bytes[1] = 85;
    have_ready(w, A);
    ask(w, 0, B);
    did(w, "stop A evicted");
    tell(w, SCHED_EV_REPLACE, A);
    w->m[A].next.bytes[1] = 0;
    ask(w, 1, A);
    did(w, "");
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn B for 0");
}

TEST(unloading_ends_both)
{
    struct world *w = begin_replacing();
    unload(w, A, SCHED_NEVER);
    did(w, "stop A unloaded");
    assert_int_equal(w->older[A]->state, SCHED_DRAINING);
    tell(w, SCHED_EV_GONE, A);
    done(w, 0);
    did(w, "stop older A unloaded");
    tell_older(w, SCHED_EV_GONE, A);
    did(w, "");
    assert_true(is(w, A, SCHED_UNLOADED));
}

TEST(keeping_asks_for_the_replacement_again)
{
    struct world *w = begin_replacing();
    struct sched_instance *old = w->older[A];
    unload(w, A, SCHED_NEVER);
    did(w, "stop A unloaded");
    tell(w, SCHED_EV_GONE, A);
    tell(w, SCHED_EV_KEEP, A);
    did(w, "spawn A");
    assert_int_equal(old->state, SCHED_READY);
    unload(w, A, SCHED_NEVER);
    did(w, "stop A unloaded");
    tell(w, SCHED_EV_GONE, A);
    hold(w, A, SCHED_NEVER);
    tell(w, SCHED_EV_KEEP, A); /* it cannot be replaced: it drains on */
    did(w, "");
    assert_int_equal(old->state, SCHED_DRAINING);
}

TEST(keeping_does_not_bring_back_what_has_been_replaced)
{
    struct world *w = begin_replacing();
    struct sched_instance *old = w->older[A];
    unload(w, A, SCHED_NEVER);
    did(w, "stop A unloaded");
    tell(w, SCHED_EV_GONE, A);
    ask(w, 1, A);
    did(w, "spawn A for 1");
    tell(w, SCHED_EV_READY, A);
    did(w, "grant 1");
    tell(w, SCHED_EV_KEEP, A);
    did(w, "");
    assert_int_equal(old->state, SCHED_DRAINING);
}

/* A is busy with request 0, its replacement is due, and the engine is to be unloaded when idle. */
static struct world *begin_unloading_while_due(void)
{
    struct world *w = begin_known();
    have_busy(w, A, 0);
    w->m[A].unsure = true;
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "");
    tell(w, SCHED_EV_UNLOAD_IDLE, A);
    w->m[A].unsure = false;
    time_passed(w);
    return w;
}

TEST(what_is_to_be_unloaded_when_idle_is_not_replaced)
{
    struct world *w = begin_unloading_while_due();
    did(w, "");
    ask(w, 1, A);
    did(w, "grant 1");
    done(w, 0);
    done(w, 1);
    did(w, "stop A unloaded");
    tell(w, SCHED_EV_GONE, A);
    did(w, "");
    assert_true(is(w, A, SCHED_UNLOADED));
}

TEST(keeping_what_was_to_be_unloaded_when_idle_replaces_it)
{
    struct world *w = begin_unloading_while_due();
    did(w, "");
    tell(w, SCHED_EV_KEEP, A);
    did(w, "spawn A");
}

TEST(arguments_that_change_during_an_unload_when_idle_load_nothing)
{
    for (int kept = 0; kept < 2; kept++) {
        struct world *w = begin_known();
        have_busy(w, A, 0);
        tell(w, SCHED_EV_UNLOAD_IDLE, A);
        tell(w, SCHED_EV_REPLACE, A);
        ask(w, 1, A);
        did(w, "grant 1");
        if (kept)
            tell(w, SCHED_EV_KEEP, A);
        did(w, kept ? "spawn A" : "");
        done(w, 0);
        done(w, 1);
        did(w, kept ? "" : "stop A unloaded");
    }
}

TEST(an_unload_when_idle_ends_the_load_of_a_replacement)
{
    for (int kept = 0; kept < 2; kept++) {
        struct world *w = begin_replacing();
        tell(w, SCHED_EV_UNLOAD_IDLE, A);
        did(w, "stop A unloaded");
        tell(w, SCHED_EV_GONE, A);
        did(w, "");
        if (kept)
            tell(w, SCHED_EV_KEEP, A);
        else
            done(w, 0);
        did(w, kept ? "spawn A" : "stop older A unloaded");
    }
}

TEST(a_removed_model_ends_both)
{
    struct world *w = begin_replacing();
    tell(w, SCHED_EV_REMOVE, A);
    did(w, "stop A removed");
    done(w, 0);
    did(w, "stop older A removed");
}

TEST(a_shutdown_ends_both)
{
    struct world *w = begin_replacing();
    shut_down(w, SCHED_NEVER);
    did(w, "stop A shutdown");
    done(w, 0);
    did(w, "stop older A shutdown");
}

TEST(a_shutdown_ends_what_was_due)
{
    struct world *w = begin_known();
    have_busy(w, A, 0);
    w->m[A].unsure = true;
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "");
    shut_down(w, SCHED_NEVER);
    w->m[A].unsure = false;
    time_passed(w);
    did(w, "");
    assert_true(TAILQ_EMPTY(&w->s.replacements));
}

TEST(a_wait_for_a_load_beside_can_time_out)
{
    struct world *w = begin_known();
    w->s.config.wait_timeout_ms = 100;
    have_busy(w, A, 0);
    w->m[A].next.bytes[1] = 90;
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "");
    ask(w, 1, A);
    did(w, "");
    tick(w);
    did(w, "reject 1 wait_timeout");
    assert_int_equal(w->now, 1100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_in_use_serves_on_until_the_next_one_is_ready),
        cmocka_unit_test(an_idle_one_is_stopped_when_its_replacement_is_ready),
        cmocka_unit_test(whoever_waits_for_a_lease_gets_one_of_the_next_engine),
        cmocka_unit_test(who_is_idle_is_stopped_and_the_next_request_loads_beside_it),
        cmocka_unit_test(who_answers_only_metrics_is_not_in_use),
        cmocka_unit_test(what_nobody_reads_is_no_use),
        cmocka_unit_test(what_others_wait_for_is_in_use_though_nobody_reads),
        cmocka_unit_test(who_is_read_is_in_use_though_a_passive_one_lapsed),
        cmocka_unit_test(who_was_used_just_now_is_in_use_if_its_load_is_long),
        cmocka_unit_test(a_load_that_is_replaced_begins_anew_beside_the_one_that_stops),
        cmocka_unit_test(without_figures_of_memory_the_old_one_drains),
        cmocka_unit_test(who_is_to_be_apart_drains),
        cmocka_unit_test(without_memory_for_both_and_some_to_spare_the_old_one_drains),
        cmocka_unit_test(whether_a_replacement_would_fit_beside_is_a_question),
        cmocka_unit_test(who_drains_is_joined_by_the_next_one_when_memory_is_free),
        cmocka_unit_test(those_who_wait_for_room_come_first),
        cmocka_unit_test(who_has_waited_too_long_for_room_is_not_overtaken),
        cmocka_unit_test(who_is_held_drains),
        cmocka_unit_test(who_is_held_while_its_replacement_is_due_drains),
        cmocka_unit_test(it_waits_until_it_is_known_what_it_takes),
        cmocka_unit_test(it_waits_for_other_loads_with_its_memory_reserved),
        cmocka_unit_test(it_waits_for_those_who_leave),
        cmocka_unit_test(without_a_spare_record_nothing_is_loaded),
        cmocka_unit_test(the_next_one_takes_over_the_place_of_the_old_one),
        cmocka_unit_test(a_place_that_is_free_is_for_others_while_the_old_one_drains),
        cmocka_unit_test(when_the_next_one_goes_its_place_is_free_though_the_old_one_drains),
        cmocka_unit_test(a_model_has_one_engine_too_many_at_most),
        cmocka_unit_test(a_replacement_that_fails_leaves_the_old_one_in_service),
        cmocka_unit_test(
            whoever_waits_for_a_lease_of_the_old_one_is_not_rejected_when_its_replacement_fails),
        cmocka_unit_test(when_the_old_one_goes_the_next_request_tries_the_new_arguments_again),
        cmocka_unit_test(a_model_that_is_failed_serves_on_with_the_old_arguments),
        cmocka_unit_test(for_want_of_memory_the_old_one_drains_and_the_load_is_tried_once_more),
        cmocka_unit_test(what_can_never_fit_is_given_up_and_the_old_one_serves_on),
        cmocka_unit_test(what_can_never_fit_is_rejected_while_the_old_one_drains),
        cmocka_unit_test(a_start_that_fails_for_our_own_sake_is_tried_again_beside),
        cmocka_unit_test(arguments_that_change_again_end_the_load_and_begin_another),
        cmocka_unit_test(a_crash_of_the_old_one_makes_requests_wait_for_the_load),
        cmocka_unit_test(a_grant_that_was_not_pulled_at_the_end_of_the_old_one_is_the_next_one_s),
        cmocka_unit_test(a_crash_of_the_next_one_makes_requests_wait_for_another),
        cmocka_unit_test(the_old_one_yields_to_who_has_waited_long_while_its_replacement_loads),
        cmocka_unit_test(a_load_that_fails_beside_one_that_yields_rejects_who_waits),
        cmocka_unit_test(who_yields_drains_when_its_arguments_change_again),
        cmocka_unit_test(a_place_that_others_wait_for_is_not_taken_over),
        cmocka_unit_test(a_place_that_another_was_evicted_for_is_not_taken_over),
        cmocka_unit_test(unloading_ends_both),
        cmocka_unit_test(keeping_asks_for_the_replacement_again),
        cmocka_unit_test(keeping_does_not_bring_back_what_has_been_replaced),
        cmocka_unit_test(what_is_to_be_unloaded_when_idle_is_not_replaced),
        cmocka_unit_test(keeping_what_was_to_be_unloaded_when_idle_replaces_it),
        cmocka_unit_test(arguments_that_change_during_an_unload_when_idle_load_nothing),
        cmocka_unit_test(an_unload_when_idle_ends_the_load_of_a_replacement),
        cmocka_unit_test(a_removed_model_ends_both),
        cmocka_unit_test(a_shutdown_ends_both),
        cmocka_unit_test(a_shutdown_ends_what_was_due),
        cmocka_unit_test(a_wait_for_a_load_beside_can_time_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
