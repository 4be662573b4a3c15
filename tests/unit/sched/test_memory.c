/* SPDX-License-Identifier: MIT */
/* What the scheduler does where memory is short, loads fail, and models differ, rule by rule. */
#include "sched_test.h"

/* 100 bytes on the host and 100 on a card; each model takes 40 of the card. */
static struct world *begin_small(const struct sched_config *config)
{
    struct sched_config c = *config;
    c.devices = 2;
    c.ceiling[0] = c.ceiling[1] = 100;
    c.max_wait_ms = c.max_wait_ms ? c.max_wait_ms : SCHED_NEVER;
    struct world *w = begin_with(&c);
    for (int i = 0; i < MODELS; i++)
        w->m[i].next.bytes[1] = 40;
    return w;
}

static struct world *begin_card(void)
{
    return begin_small(&(struct sched_config){0});
}

static void gone(struct world *w, int model, bool oom)
{
    sched_event(
        &w->s,
        &(struct sched_event){.type = SCHED_EV_GONE, .instance = w->newest[model], .oom = oom},
        w->now);
}

/* Without going to a deadline. */
static void time_passed(struct world *w)
{
    sched_event(&w->s, &(struct sched_event){.type = SCHED_EV_TICK}, w->now);
}

/* Its engine ends by itself, and who waits has it loaded again. */
static void crash(struct world *w, int model)
{
    tell(w, SCHED_EV_READY, model);
    actions(w);
    gone(w, model, false);
}

/* --- Memory ------------------------------------------------------------------------------ */

TEST(loads_as_many_as_there_is_memory_for)
{
    struct world *w = begin_card();
    ask(w, 0, A);
    ask(w, 1, B);
    ask(w, 2, C);
    did(w, "spawn A for 0; spawn B for 1");
    tell(w, SCHED_EV_READY, A);
    did(w, "grant 0");
    done(w, 0);
    did(w, "stop A evicted");
    gone(w, A, false);
    did(w, "spawn C for 2");
}

TEST(memory_of_what_stops_is_not_free_before_it_is_gone)
{
    struct world *w = begin_card();
    w->m[B].next.bytes[1] = 70;
    have_ready(w, A);
    ask(w, 0, B);
    did(w, "stop A evicted");
    time_passed(w);
    did(w, "");
    gone(w, A, false);
    did(w, "spawn B for 0");
}

/* One place, on a card of 100; what comes must leave 10. */
static struct world *begin_overlapping(uint64_t comes)
{
    struct world *w =
        begin_small(&(struct sched_config){.models_max = 1, .overlap = true, .spare = 10});
    w->m[B].next.bytes[1] = comes;
    have_ready(w, A);
    ask(w, 0, B);
    return w;
}

TEST(a_load_begins_while_its_victim_leaves_if_there_is_memory_for_both)
{
    struct world *w = begin_overlapping(50);
    did(w, "stop A evicted; spawn B for 0");
    gone(w, A, false);
    tell(w, SCHED_EV_READY, B);
    did(w, "grant 0");
}

TEST(a_load_waits_for_its_victim_where_too_little_would_be_left)
{
    struct world *w = begin_overlapping(51);
    did(w, "stop A evicted");
    gone(w, A, false);
    did(w, "spawn B for 0");
}

TEST(one_who_leaves_makes_place_for_one)
{
    struct world *w = begin_overlapping(10);
    w->m[C].next.bytes[1] = 10;
    did(w, "stop A evicted; spawn B for 0");
    ask(w, 1, C);
    did(w, "");
    tell(w, SCHED_EV_READY, B);
    did(w, "grant 0");
    done(w, 0);
    did(w, "stop B evicted; spawn C for 1");
}

TEST(no_load_overlaps_with_who_is_to_be_apart)
{
    struct world *w = begin_small(&(struct sched_config){.models_max = 1, .overlap = true});
    w->m[A].next.apart = true;
    have_ready(w, A);
    ask(w, 0, B);
    did(w, "stop A evicted");
    w = begin_small(&(struct sched_config){.models_max = 1, .overlap = true});
    w->m[B].next.apart = true;
    have_ready(w, A);
    ask(w, 0, B);
    did(w, "stop A evicted");
}

/* Its context would be fitted to what the other leaves. */
TEST(who_has_nothing_on_a_full_card_waits_for_it)
{
    struct world *w =
        begin_small(&(struct sched_config){.models_max = 1, .overlap = true, .spare = 10});
    w->m[A].next.bytes[1] = 100;
    w->m[B].next.bytes[1] = 0;
    have_ready(w, A);
    ask(w, 0, B);
    did(w, "stop A evicted");
}

TEST(the_place_of_who_is_replaced_is_its_next_engines)
{
    struct world *w =
        begin_small(&(struct sched_config){.models_max = 1, .overlap = true, .spare = 100});
    have_busy(w, A, 0);
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "");
    ask(w, 1, A);
    done(w, 0);
    pass(w, 1);
    ask(w, 2, B);
    did(w, "stop A replaced");
    gone(w, A, false);
    did(w, "spawn A for 1");
}

TEST(the_place_of_who_hangs_is_its_next_engines)
{
    struct world *w = begin_small(&(struct sched_config){.models_max = 1, .overlap = true});
    have_ready(w, A);
    tell(w, SCHED_EV_BROKEN, A);
    ask(w, 1, A);
    pass(w, 1);
    ask(w, 2, B);
    did(w, "stop A broken by force");
    gone(w, A, false);
    did(w, "spawn A for 1");
}

TEST(as_few_go_as_are_enough)
{
    struct world *w = begin_card();
    w->m[A].next.bytes[1] = 10;
    w->m[B].next.bytes[1] = 20;
    w->m[C].next.bytes[1] = 70;
    w->m[D].next.bytes[1] = 80;
    have_ready(w, A);
    pass(w, 500);
    have_ready(w, B);
    pass(w, 500);
    have_ready(w, C);
    pass(w, 500);
    ask(w, 0, D);
    did(w, "stop A evicted; stop C evicted"); /* 80 of 100: B may stay */
    gone(w, C, false);
    did(w, "");
    gone(w, A, false);
    did(w, "spawn D for 0");
}

TEST(who_loads_long_stays_before_who_loads_fast)
{
    struct world *w = begin_card();
    w->m[A].load_ms = 60000;
    w->m[B].load_ms = 100;
    have_ready(w, A);
    pass(w, 1000);
    have_ready(w, B);
    pass(w, 1000);
    ask(w, 0, C);
    did(w, "stop B evicted");
}

TEST(a_stop_names_who_needs_the_room)
{
    struct world *w = begin_card();
    struct sched_action a;
    have_ready(w, A);
    have_ready(w, B);
    ask(w, 0, C);
    assert_true(sched_next(&w->s, w->now, &a));
    assert_int_equal(a.type, SCHED_ACT_STOP);
    assert_ptr_equal(a.cause, &w->m[C]);
}

TEST(who_needed_the_room_of_an_engine_that_crashed_is_forgotten)
{
    struct world *w = begin_card();
    struct sched_action a;
    have_ready(w, A);
    have_ready(w, B);
    w->m[C].next.bytes[1] = 100;
    ask(w, 0, C);
    assert_string_equal(next(w), "stop A evicted");
    gone(w, B, false); /* before its stop was pulled */
    cancel(w, 0);
    gone(w, A, false);
    did(w, "");
    have_ready(w, B);
    unload(w, B, SCHED_NEVER);
    assert_true(sched_next(&w->s, w->now, &a));
    assert_int_equal(a.stop, SCHED_STOP_UNLOADED);
    assert_null(a.cause);
}

TEST(of_several_stops_that_are_due_one_can_be_too_late)
{
    struct world *w = begin_card();
    have_ready(w, A);
    have_ready(w, B);
    unload(w, A, SCHED_NEVER);
    unload(w, B, SCHED_NEVER);
    gone(w, A, false);
    did(w, "stop B unloaded");
}

TEST(who_fits_into_what_is_left_is_not_held_up)
{
    struct world *w = begin_card();
    w->m[B].next.bytes[1] = 80;
    w->m[C].next.bytes[1] = 60;
    have_busy(w, A, 0);
    ask(w, 1, B);
    pass(w, 1);
    ask(w, 2, C);
    did(w, "spawn C for 2");
}

TEST(who_fits_takes_no_room_from_those_for_whom_it_is_made)
{
    struct world *w = begin_card();
    w->m[B].next.bytes[1] = 80;
    w->m[C].next.bytes[1] = 60;
    w->m[D].next.bytes[1] = 20;
    have_ready(w, A);
    ask(w, 1, B);
    did(w, "stop A evicted");
    ask(w, 2, C);
    did(w, "");
    ask(w, 3, D); /* beside B */
    did(w, "spawn D for 3");
    gone(w, A, false);
    did(w, "spawn B for 1");
}

TEST(each_device_is_looked_at)
{
    struct world *w = begin_card();
    w->m[A].next.bytes[0] = 60;
    w->m[A].next.bytes[1] = 0;
    w->m[B].next.bytes[0] = 60;
    have_ready(w, A);
    have_ready(w, C); /* on the card, where there is enough */
    ask(w, 0, B);
    did(w, "stop A evicted");
}

TEST(weights_of_one_file_count_once)
{
    struct world *w = begin_card();
    struct sched_weights file = {.bytes = 80}, other = {.bytes = 30};
    w->m[A].next.weights = w->m[B].next.weights = &file;
    w->m[C].next.weights = &other;
    ask(w, 0, A);
    ask(w, 1, B);
    ask(w, 2, C);
    did(w, "spawn A for 0; spawn B for 1");
    w->m[C].next.bytes[1] = 0;
    time_passed(w);
    did(w, "");
    gone(w, A, false);
    did(w, "reject 0 load_failed"); /* the other one has the file still */
    gone(w, B, false);
    did(w, "reject 1 load_failed; spawn C for 2");
}

TEST(weights_that_go_with_the_one_that_stops_are_not_counted_on)
{
    struct world *w = begin_card();
    struct sched_weights file = {.bytes = 70};
    w->m[A].next.weights = w->m[B].next.weights = &file;
    w->m[A].next.bytes[0] = w->m[B].next.bytes[0] = 10;
    w->m[A].next.bytes[1] = 100;
    w->m[C].next.bytes[0] = 20;
    w->m[C].next.bytes[1] = 0;
    have_ready(w, A);
    have_busy(w, C, 0);
    ask(w, 1, B);
    did(w, "stop A evicted");
    gone(w, A, false);
    did(w, "spawn B for 1");
}

TEST(capacity_that_shrinks_and_grows_is_felt_at_a_tick)
{
    struct world *w = begin_card();
    have_busy(w, A, 0);
    w->s.capacity[1] = 50;
    ask(w, 1, B);
    did(w, "");
    w->s.capacity[1] = 100;
    did(w, "");
    time_passed(w);
    did(w, "spawn B for 1");
}

TEST(nobody_is_stopped_because_capacity_shrinks)
{
    struct world *w = begin_card();
    have_ready(w, A);
    have_ready(w, B);
    w->s.capacity[1] = 10;
    time_passed(w);
    did(w, "");
}

TEST(what_is_unsure_is_not_placed_yet_and_holds_up_nobody)
{
    struct world *w = begin_card();
    w->m[A].unsure = true;
    ask(w, 0, A);
    pass(w, 1);
    ask(w, 1, B);
    did(w, "spawn B for 1");
    w->m[A].next.bytes[1] = 60;
    w->m[A].unsure = false;
    time_passed(w);
    did(w, "spawn A for 0");
}

TEST(while_the_capacity_is_read_nothing_is_placed_and_nobody_stopped)
{
    struct world *w = begin_card();
    have_ready(w, B);
    w->m[A].next.bytes[1] = 100;
    w->s.capacity_pending = true;
    ask(w, 0, A);
    ask(w, 1, B); /* what serves goes on */
    did(w, "grant 1");
    done(w, 1);
    pass(w, 60000);
    time_passed(w);
    did(w, "");
    w->s.capacity_pending = false;
    time_passed(w);
    did(w, "stop B evicted");
}

TEST(what_is_unsure_can_time_out)
{
    struct world *w = begin_small(&(struct sched_config){.wait_timeout_ms = 100});
    w->m[A].unsure = true;
    ask(w, 0, A);
    did(w, "");
    tick(w);
    did(w, "reject 0 wait_timeout");
}

/* --- What does not fit ------------------------------------------------------------------- */

TEST(what_can_never_fit_is_rejected_at_once)
{
    struct world *w = begin_card();
    w->m[A].next.bytes[1] = 101;
    ask(w, 0, A);
    did(w, "reject 0 too_large");
    tell(w, SCHED_EV_LOAD, A);
    did(w, "drop A too_large");
    assert_false(w->m[A].wanted);
}

TEST(what_can_never_fit_is_rejected_also_when_all_places_are_taken)
{
    struct world *w = begin_small(&(struct sched_config){.models_max = 1});
    have_busy(w, A, 0);
    w->m[B].next.bytes[1] = 101;
    ask(w, 1, B);
    did(w, "reject 1 too_large");
}

TEST(what_does_not_fit_beside_what_is_pinned_is_rejected_after_a_while)
{
    struct world *w = begin_small(&(struct sched_config){.hopeless_ms = 100});
    have_ready(w, A);
    w->m[A].pinned = true;
    w->m[B].next.bytes[1] = 70;
    ask(w, 0, B);
    tell(w, SCHED_EV_LOAD, B);
    did(w, "");
    pass(w, 99);
    time_passed(w);
    did(w, "");
    tick(w);
    assert_int_equal(w->now, 1100);
    did(w, "reject 0 no_room; drop B no_room");
}

/* No other program can free them, so there is nothing to wait for. */
TEST(places_that_are_all_pinned_are_no_room_either)
{
    struct world *w = begin_small(&(struct sched_config){.models_max = 1, .hopeless_ms = 100});
    have_ready(w, A);
    w->m[A].pinned = true;
    ask(w, 0, B);
    did(w, "reject 0 no_room");
    tell(w, SCHED_EV_LOAD, B);
    did(w, "drop B no_room");
    assert_int_equal(w->now, 1000);
}

TEST(what_waits_for_the_busy_is_not_without_hope)
{
    struct world *w = begin_small(&(struct sched_config){.hopeless_ms = 100});
    have_busy(w, A, 0);
    w->m[B].next.bytes[1] = 70;
    ask(w, 1, B);
    did(w, "");
    assert_true(sched_deadline(&w->s) == SCHED_NEVER);
    pass(w, 1000);
    time_passed(w);
    did(w, "");
}

TEST(hope_returns_with_capacity_and_the_while_begins_anew)
{
    struct world *w = begin_small(&(struct sched_config){.hopeless_ms = 100, .loads_max = 1});
    ask(w, 0, A);
    did(w, "spawn A for 0");
    w->m[B].next.bytes[1] = 50;
    w->s.capacity[1] = 45;
    ask(w, 1, B);
    did(w, "");
    pass(w, 50);
    w->s.capacity[1] = 100; /* it fits, and waits for the load of another */
    time_passed(w);
    did(w, "");
    pass(w, 10);
    w->s.capacity[1] = 45;
    time_passed(w);
    did(w, "");
    tick(w);
    assert_int_equal(w->now, 1160);
    did(w, "reject 1 no_room");
}

/* The file is there only by an engine that would have to go. */
TEST(weights_that_would_go_give_no_hope)
{
    struct world *w = begin_small(&(struct sched_config){.hopeless_ms = 100});
    struct sched_weights file = {.bytes = 60};
    w->m[A].next.weights = w->m[B].next.weights = &file;
    w->m[A].next.bytes[0] = 10;
    w->m[B].next.bytes[0] = 35;
    have_busy(w, A, 0);
    w->s.capacity[0] = 90;
    ask(w, 1, B);
    did(w, "");
    tick(w);
    assert_int_equal(w->now, 1100);
    did(w, "reject 1 no_room");
}

/* --- Order ------------------------------------------------------------------------------- */

TEST(priority_comes_before_age)
{
    struct world *w = begin_small(&(struct sched_config){.models_max = 1});
    have_busy(w, A, 0);
    w->m[C].priority = 1;
    w->m[D].priority = 1;
    w->m[E].priority = -1;
    ask(w, 1, E);
    ask(w, 2, B);
    pass(w, 1);
    ask(w, 3, C);
    pass(w, 1);
    ask(w, 4, D);
    did(w, "");
    assert_int_equal(sched_position(&w->s, &w->r[3]), 0);
    assert_int_equal(sched_position(&w->s, &w->r[4]), 1);
    assert_int_equal(sched_position(&w->s, &w->r[2]), 2);
    assert_int_equal(sched_position(&w->s, &w->r[1]), 3);
    assert_ptr_equal(sched_first_waiting(&w->s), &w->m[C]);
    static const char *const order[] = {"spawn C for 3", "spawn D for 4", "spawn B for 2",
                                        "spawn E for 1"};
    static const int models[] = {C, D, B, E}, requests[] = {3, 4, 2, 1};
    done(w, 0);
    did(w, "stop A evicted");
    gone(w, A, false);
    for (int i = 0; i < 4; i++) {
        did(w, order[i]);
        tell(w, SCHED_EV_READY, models[i]);
        actions(w);
        done(w, requests[i]);
        actions(w);
        gone(w, models[i], false);
    }
}

TEST(who_has_waited_long_comes_before_priority)
{
    struct world *w = begin_small(&(struct sched_config){.models_max = 1, .max_wait_ms = 100});
    have_busy(w, A, 0);
    w->m[C].priority = 1;
    ask(w, 1, B);
    pass(w, 1);
    ask(w, 2, C);
    pass(w, 99);
    time_passed(w);
    did(w, "");
    assert_true(is(w, A, SCHED_YIELDING));
    done(w, 0);
    did(w, "stop A evicted");
    gone(w, A, false);
    did(w, "spawn B for 1");
}

TEST(tells_the_position_behind_who_has_waited_long)
{
    struct world *w = begin_small(&(struct sched_config){.models_max = 1, .max_wait_ms = 100});
    have_busy(w, A, 0);
    w->m[C].priority = 1;
    w->m[D].priority = 2;
    ask(w, 1, B);
    ask(w, 2, D);
    pass(w, 100);
    ask(w, 3, C);
    did(w, "");
    assert_int_equal(sched_position(&w->s, &w->r[1]), 0);
    assert_int_equal(sched_position(&w->s, &w->r[3]), 2);
    assert_ptr_equal(sched_first_waiting(&w->s), &w->m[B]);
}

TEST(the_lowest_priority_goes_first_whatever_it_costs)
{
    struct world *w = begin_card();
    w->m[A].priority = 1;
    w->m[B].load_ms = 60000;
    have_ready(w, A);
    pass(w, 60000);
    have_ready(w, B);
    ask(w, 0, C);
    did(w, "stop B evicted");
}

TEST(a_higher_priority_goes_only_if_the_lower_ones_do_not_suffice)
{
    struct world *w = begin_card();
    w->m[A].priority = 1;
    have_ready(w, A);
    have_ready(w, B);
    w->m[C].next.bytes[1] = 70;
    ask(w, 0, C);
    did(w, "stop B evicted; stop A evicted");
}

TEST(loads_at_most_loads_max_at_a_time)
{
    struct world *w = begin_small(&(struct sched_config){.loads_max = 1});
    ask(w, 0, A);
    ask(w, 1, B);
    did(w, "spawn A for 0");
    tell(w, SCHED_EV_READY, A);
    did(w, "grant 0; spawn B for 1");
}

TEST(loads_one_that_reads_from_the_disk_at_a_time)
{
    struct world *w = begin_small(&(struct sched_config){0});
    w->m[A].cold = w->m[B].cold = true;
    w->m[C].next.bytes[1] = 20;
    ask(w, 0, A);
    ask(w, 1, B);
    ask(w, 2, C);
    did(w, "spawn A for 0; spawn C for 2");
    tell(w, SCHED_EV_READY, C);
    did(w, "grant 2");
    tell(w, SCHED_EV_READY, A);
    did(w, "grant 0; spawn B for 1");
}

TEST(room_is_kept_for_who_waits_for_its_load)
{
    struct world *w = begin_small(&(struct sched_config){.loads_max = 1});
    w->m[C].next.bytes[1] = 60;
    ask(w, 0, A);
    ask(w, 1, B);
    pass(w, 1);
    ask(w, 2, C);
    did(w, "spawn A for 0");
    tell(w, SCHED_EV_READY, A);
    did(w, "grant 0; spawn B for 1");
}

/* --- Yielding for memory ----------------------------------------------------------------- */

TEST(as_many_yield_as_memory_is_needed_from)
{
    struct world *w = begin_small(&(struct sched_config){.max_wait_ms = 100});
    have_busy(w, A, 0);
    pass(w, 1);
    have_busy(w, B, 1);
    w->m[C].next.bytes[1] = 50;
    ask(w, 2, C);
    did(w, "");
    tick(w);
    did(w, "");
    assert_true(is(w, A, SCHED_YIELDING)); /* granted less recently; 20 are free */
    assert_false(is(w, B, SCHED_YIELDING));
    done(w, 0);
    did(w, "stop A evicted");
    gone(w, A, false);
    did(w, "spawn C for 2");
}

TEST(idle_ones_go_at_once_and_the_busy_are_asked_then)
{
    struct world *w = begin_small(&(struct sched_config){.max_wait_ms = 100});
    have_busy(w, A, 0);
    have_ready(w, B);
    w->m[C].next.bytes[1] = 100;
    ask(w, 1, C);
    did(w, "");
    tick(w);
    did(w, "stop B evicted");
    assert_true(is(w, A, SCHED_YIELDING));
    done(w, 0);
    did(w, "stop A evicted");
    gone(w, B, false);
    gone(w, A, false);
    did(w, "spawn C for 1");
}

TEST(what_yields_for_memory_resumes_when_that_comes_back)
{
    struct world *w = begin_small(&(struct sched_config){.max_wait_ms = 100});
    have_busy(w, A, 0);
    w->s.capacity[1] = 60;
    ask(w, 1, B);
    did(w, "");
    tick(w);
    did(w, "");
    assert_true(is(w, A, SCHED_YIELDING));
    w->s.capacity[1] = 100;
    time_passed(w);
    did(w, "spawn B for 1");
    assert_false(is(w, A, SCHED_YIELDING));
}

TEST(nobody_overtakes_who_has_waited_long_and_cannot_be_helped_yet)
{
    struct world *w = begin_small(&(struct sched_config){.max_wait_ms = 100});
    ask(w, 0, A); /* loads, so that it cannot yield */
    did(w, "spawn A for 0");
    w->m[B].next.bytes[1] = 70;
    ask(w, 1, B);
    tick(w);
    did(w, "");
    w->m[C].next.bytes[1] = 60;
    ask(w, 2, C);
    did(w, "");
    tell(w, SCHED_EV_READY, A);
    did(w, "grant 0");
    assert_true(is(w, A, SCHED_YIELDING));
}

/* --- Lease limits ------------------------------------------------------------------------ */

TEST(who_comes_to_a_full_model_waits_for_a_lease_to_end)
{
    struct world *w = begin_card();
    w->m[A].max_leases = 2;
    have_ready(w, A);
    ask(w, 0, A);
    ask(w, 1, A);
    ask(w, 2, A);
    ask_loaded(w, 3, A); /* it needs no other load */
    did(w, "grant 0; grant 1");
    assert_int_equal(w->m[A].waiting, 2);
    assert_int_equal(sched_position(&w->s, &w->r[3]), 1);
    cancel(w, 1);
    did(w, "grant 2");
    done(w, 0);
    did(w, "grant 3");
}

TEST(passive_requests_do_not_count_for_the_limit)
{
    struct world *w = begin_card();
    w->m[A].max_leases = 1;
    have_ready(w, A);
    ask_passive(w, 0, A);
    ask(w, 1, A);
    ask_passive(w, 2, A);
    ask(w, 3, A);
    did(w, "grant 0; grant 1; grant 2");
    done(w, 0);
    done(w, 2);
    did(w, "");
    done(w, 1);
    did(w, "grant 3");
}

TEST(those_who_waited_for_the_load_are_limited_too)
{
    struct world *w = begin_card();
    w->m[A].max_leases = 1;
    ask(w, 0, A);
    ask(w, 1, A);
    did(w, "spawn A for 0");
    tell(w, SCHED_EV_READY, A);
    did(w, "grant 0");
    done(w, 0);
    did(w, "grant 1");
}

TEST(a_limit_that_is_raised_is_felt_at_a_tick)
{
    struct world *w = begin_card();
    w->m[A].max_leases = 1;
    have_busy(w, A, 0);
    ask(w, 1, A);
    did(w, "");
    w->m[A].max_leases = 0;
    time_passed(w);
    did(w, "grant 1");
}

TEST(leases_of_a_crashed_engine_do_not_count_for_the_limit)
{
    struct world *w = begin_card();
    w->m[A].max_leases = 1;
    have_busy(w, A, 0);
    ask(w, 1, A);
    gone(w, A, false);
    did(w, "spawn A for 1");
    tell(w, SCHED_EV_READY, A);
    did(w, "grant 1");
    ask(w, 2, A);
    done(w, 0);
    did(w, "");
    done(w, 1);
    did(w, "grant 2");
}

TEST(a_passive_grant_not_pulled_at_a_crash_waits_behind_those_who_came_before)
{
    struct world *w = begin_card();
    w->m[A].max_leases = 1;
    have_busy(w, A, 0);
    ask(w, 1, A);
    ask_passive(w, 2, A); /* granted, but nobody was told yet */
    assert_int_equal(w->r[2].state, SCHED_REQUEST_GRANTED);
    gone(w, A, false);
    did(w, "spawn A for 1");
    tell(w, SCHED_EV_READY, A);
    did(w, "grant 1; grant 2");
}

TEST(who_waits_for_a_lease_can_time_out)
{
    struct world *w = begin_small(&(struct sched_config){.wait_timeout_ms = 100});
    w->m[A].max_leases = 1;
    have_busy(w, A, 0);
    ask(w, 1, A);
    did(w, "");
    tick(w);
    assert_int_equal(w->now, 1100);
    did(w, "reject 1 wait_timeout");
}

TEST(who_waits_for_a_lease_and_may_not_load_is_rejected_when_the_model_yields)
{
    struct world *w = begin_small(&(struct sched_config){.models_max = 1, .max_wait_ms = 100});
    w->m[A].max_leases = 1;
    have_busy(w, A, 0);
    ask_loaded(w, 1, A);
    ask(w, 2, B);
    did(w, "");
    tick(w);
    did(w, "reject 1 not_loaded");
}

TEST(who_waits_for_a_lease_at_a_held_model_is_told_so_when_it_fails)
{
    struct world *w = begin_small(&(struct sched_config){.max_failures = 1});
    w->m[A].max_leases = 1;
    have_busy(w, A, 0);
    ask(w, 1, A);
    hold(w, A, SCHED_NEVER);
    did(w, "");
    gone(w, A, false);
    did(w, "reject 1 held");
}

/* --- Failures ---------------------------------------------------------------------------- */

TEST(what_ends_by_itself_is_started_again_at_once_then_after_times_that_double)
{
    struct world *w = begin_small(&(struct sched_config){.back_off_ms = 1000});
    static const uint64_t pauses[] = {1000, 2000, 4000, 8000, 16000, 32000, 32000, 32000};
    tell(w, SCHED_EV_LOAD, A);
    did(w, "spawn A");
    crash(w, A);
    ask(w, 0, A);
    did(w, "spawn A for 0");
    for (unsigned i = 0; i < sizeof pauses / sizeof *pauses; i++) {
        gone(w, A, false);
        did(w, "reject 0 load_failed");
        ask(w, 0, A);
        did(w, "");
        uint64_t before = w->now;
        tick(w);
        assert_int_equal(w->now - before, pauses[i]);
        did(w, "spawn A for 0");
    }
}

TEST(a_pause_holds_up_nobody_else)
{
    struct world *w = begin_small(&(struct sched_config){.back_off_ms = 1000, .models_max = 1});
    for (int i = 0; i < 2; i++) {
        ask(w, 0, A);
        did(w, "spawn A for 0");
        gone(w, A, false);
        did(w, "reject 0 load_failed");
    }
    ask(w, 0, A);
    ask(w, 1, B);
    did(w, "spawn B for 1");
}

TEST(a_request_that_was_served_ends_the_row)
{
    struct world *w = begin_small(&(struct sched_config){.back_off_ms = 1000});
    ask(w, 0, A);
    did(w, "spawn A for 0");
    gone(w, A, false);
    did(w, "reject 0 load_failed");
    ask(w, 0, A);
    did(w, "spawn A for 0");
    tell(w, SCHED_EV_READY, A);
    ask_passive(w, 1, A);
    did(w, "grant 0; grant 1");
    done(w, 1); /* no use */
    assert_int_equal(w->m[A].failures, 1);
    done(w, 0);
    assert_int_equal(w->m[A].failures, 0);
}

TEST(after_max_failures_the_model_is_failed_until_an_operator_loads_it)
{
    struct world *w = begin_small(&(struct sched_config){.max_failures = 2});
    ask(w, 0, A);
    did(w, "spawn A for 0");
    gone(w, A, false);
    did(w, "reject 0 load_failed");
    ask(w, 0, A);
    did(w, "spawn A for 0");
    gone(w, A, false);
    did(w, "reject 0 load_failed");
    assert_true(w->m[A].failed);
    ask(w, 0, A);
    did(w, "reject 0 failed");
    tell(w, SCHED_EV_LOAD, A);
    did(w, "spawn A");
    tell(w, SCHED_EV_READY, A);
    ask(w, 0, A);
    did(w, "grant 0");
}

TEST(what_is_failed_is_forgiven_when_its_arguments_change)
{
    struct world *w = begin_small(&(struct sched_config){.max_failures = 1});
    ask(w, 0, A);
    did(w, "spawn A for 0");
    gone(w, A, false);
    did(w, "reject 0 load_failed");
    tell(w, SCHED_EV_REPLACE, A);
    ask(w, 0, A);
    did(w, "spawn A for 0");
}

TEST(a_crash_too_many_rejects_who_waits_and_drops_the_operator_s_wish)
{
    struct world *w = begin_small(&(struct sched_config){.max_failures = 1, .max_wait_ms = 100});
    have_busy(w, A, 0);
    w->m[B].next.bytes[1] = 100;
    ask(w, 1, B);
    did(w, "");
    tick(w);
    did(w, "");
    assert_true(is(w, A, SCHED_YIELDING));
    ask(w, 2, A);
    tell(w, SCHED_EV_LOAD, A);
    gone(w, A, false);
    did(w, "reject 2 failed; drop A failed; spawn B for 1");
}

TEST(what_does_not_answer_has_failed)
{
    struct world *w = begin_small(&(struct sched_config){.max_failures = 1});
    have_ready(w, A);
    tell(w, SCHED_EV_BROKEN, A);
    did(w, "stop A broken by force");
    assert_false(w->m[A].failed);
    gone(w, A, false);
    assert_true(w->m[A].failed);
}

TEST(an_engine_that_was_told_to_end_has_not_failed)
{
    struct world *w = begin_small(&(struct sched_config){.max_failures = 1});
    have_ready(w, A);
    unload(w, A, SCHED_NEVER);
    did(w, "stop A unloaded");
    gone(w, A, false);
    have_busy(w, A, 0);
    unload(w, A, SCHED_NEVER);
    gone(w, A, false); /* it drained */
    assert_int_equal(w->m[A].failures, 0);
}

/* --- Out of memory ----------------------------------------------------------------------- */

TEST(a_load_that_failed_for_memory_is_tried_once_more)
{
    struct world *w = begin_card();
    have_ready(w, B);
    ask(w, 0, A);
    did(w, "spawn A for 0");
    w->m[A].next.bytes[1] = 70; /* as it has shown */
    gone(w, A, true);
    did(w, "stop B evicted");
    gone(w, B, false);
    did(w, "spawn A for 0");
    assert_int_equal(w->m[A].failures, 0);
    gone(w, A, true);
    did(w, "reject 0 oom");
    assert_int_equal(w->m[A].failures, 1);
    ask(w, 0, A); /* and the next time again */
    did(w, "spawn A for 0");
    gone(w, A, true);
    did(w, "spawn A for 0");
    tell(w, SCHED_EV_READY, A);
    did(w, "grant 0");
}

TEST(an_operator_s_load_that_failed_for_memory_is_tried_once_more)
{
    struct world *w = begin_card();
    tell(w, SCHED_EV_LOAD, A);
    did(w, "spawn A");
    gone(w, A, true);
    did(w, "spawn A");
    gone(w, A, true);
    did(w, "");
    assert_int_equal(state_of(w, A), SCHED_UNLOADED);
}

TEST(what_has_shown_that_it_can_never_fit_is_given_up)
{
    struct world *w = begin_card();
    tell(w, SCHED_EV_LOAD, A);
    did(w, "spawn A");
    w->m[A].next.bytes[1] = 101;
    gone(w, A, true);
    did(w, "drop A too_large");
}

TEST(what_failed_for_memory_is_not_tried_again_when_it_is_removed)
{
    struct world *w = begin_card();
    ask(w, 0, A);
    did(w, "spawn A for 0");
    tell(w, SCHED_EV_REMOVE, A);
    gone(w, A, true); /* before its stop was pulled */
    did(w, "reject 0 removed");
    assert_int_equal(state_of(w, A), SCHED_UNLOADED);
}

TEST(what_failed_for_memory_and_is_held_is_not_tried_again)
{
    struct world *w = begin_card();
    ask(w, 0, A);
    did(w, "spawn A for 0");
    hold(w, A, SCHED_NEVER);
    gone(w, A, true);
    did(w, "reject 0 oom");
}

TEST(only_those_who_may_load_wait_for_the_second_try)
{
    struct world *w = begin_card();
    ask(w, 0, A);
    did(w, "spawn A for 0");
    ask_loaded(w, 1, A);
    gone(w, A, true);
    did(w, "reject 1 not_loaded; spawn A for 0");
}

/* --- Starts that fail for want of our own resources ----------------------------------------- */

static void not_started(struct world *w, int model)
{
    sched_event(
        &w->s,
        &(struct sched_event){.type = SCHED_EV_GONE, .instance = w->newest[model], .ours = true},
        w->now);
}

TEST(a_start_that_fails_for_our_own_sake_is_tried_again_after_times_that_double)
{
    static const uint64_t delays[] = {250, 500, 1000, 2000, 4000, 5000, 5000, 5000};
    struct world *w = begin_small(&(struct sched_config){.back_off_ms = 100000, .max_failures = 1});
    ask(w, 0, A);
    did(w, "spawn A for 0");
    for (unsigned i = 0; i < sizeof delays / sizeof *delays; i++) {
        not_started(w, A);
        did(w, "");
        assert_int_equal(w->r[0].state, SCHED_REQUEST_WAITING);
        uint64_t before = w->now;
        tick(w);
        assert_int_equal(w->now - before, delays[i]);
        did(w, "spawn A for 0");
    }
    assert_int_equal(w->m[A].failures, 0);
    tell(w, SCHED_EV_READY, A);
    did(w, "grant 0");
    assert_int_equal(w->m[A].retries, 0);
}

TEST(who_waits_for_a_start_that_fails_can_time_out)
{
    struct world *w = begin_small(&(struct sched_config){.wait_timeout_ms = 300});
    ask(w, 0, A);
    tell(w, SCHED_EV_LOAD, B);
    did(w, "spawn A for 0; spawn B");
    not_started(w, A);
    not_started(w, B);
    did(w, "");
    assert_true(w->m[B].wanted);
    tick(w);
    did(w, "spawn A for 0; spawn B");
    not_started(w, A);
    not_started(w, B);
    tick(w);
    did(w, "reject 0 wait_timeout; drop B wait_timeout");
    assert_int_equal(w->now, 1300);
    assert_true(sched_deadline(&w->s) == SCHED_NEVER);
}

TEST(an_operator_s_load_request_has_no_time_limit_where_requests_have_none)
{
    struct world *w = begin_small(&(struct sched_config){0});
    tell(w, SCHED_EV_LOAD, A);
    did(w, "spawn A");
    not_started(w, A);
    tick(w);
    did(w, "spawn A");
    assert_int_equal(w->newest[A]->wanted_since, 1000);
}

TEST(a_start_that_fails_is_not_tried_again_when_it_is_held)
{
    struct world *w = begin_small(&(struct sched_config){0});
    tell(w, SCHED_EV_LOAD, A);
    did(w, "spawn A");
    ask(w, 0, A);
    hold(w, A, SCHED_NEVER);
    not_started(w, A);
    did(w, "reject 0 held");
    assert_false(w->m[A].wanted);
}

TEST(an_operator_who_loads_it_does_not_wait_for_the_next_try)
{
    struct world *w = begin_small(&(struct sched_config){0});
    ask(w, 0, A);
    did(w, "spawn A for 0");
    not_started(w, A);
    ask_loaded(w, 1, A); /* it would need another load */
    did(w, "reject 1 not_loaded");
    pass(w, 1);
    tell(w, SCHED_EV_LOAD, A);
    did(w, "spawn A for 0");
}

/* --- Operators' wishes ------------------------------------------------------------------- */

TEST(a_wish_that_is_made_again_before_it_was_dropped_is_kept)
{
    struct world *w = begin_small(&(struct sched_config){.hopeless_ms = 100});
    w->s.capacity[1] = 10;
    ask(w, 0, A);
    tell(w, SCHED_EV_LOAD, A);
    did(w, "");
    tick(w);
    assert_string_equal(next(w), "reject 0 no_room");
    w->s.capacity[1] = 100;
    tell(w, SCHED_EV_LOAD, A);
    did(w, "spawn A");
}

TEST(of_several_wishes_that_are_given_up_one_can_be_made_again)
{
    struct world *w = begin_small(&(struct sched_config){.max_failures = 1, .max_wait_ms = 100});
    have_busy(w, A, 0);
    have_busy(w, B, 1);
    w->m[C].next.bytes[1] = 100;
    ask(w, 2, C);
    did(w, "");
    tick(w);
    did(w, "");
    tell(w, SCHED_EV_LOAD, A); /* both yield: it is about their next loads */
    tell(w, SCHED_EV_LOAD, B);
    gone(w, A, false);
    gone(w, B, false);
    tell(w, SCHED_EV_LOAD, A);
    did(w, "drop B failed; spawn C for 2");
    assert_true(w->m[A].wanted);
}

/* --- Questions --------------------------------------------------------------------------- */

TEST(tells_when_a_model_will_be_ready)
{
    struct world *w = begin_small(&(struct sched_config){.models_max = 1});
    w->m[A].load_ms = 1000;
    w->m[B].load_ms = 2000;
    w->m[C].load_ms = 4000;
    assert_int_equal(sched_eta(&w->s, &w->m[A]), 1000);
    ask(w, 0, A);
    did(w, "spawn A for 0");
    pass(w, 300);
    time_passed(w);
    assert_int_equal(sched_eta(&w->s, &w->m[A]), 700);
    pass(w, 5000);
    time_passed(w);
    assert_int_equal(sched_eta(&w->s, &w->m[A]), 0); /* longer than ever before */
    tell(w, SCHED_EV_READY, A);
    did(w, "grant 0");
    assert_int_equal(sched_eta(&w->s, &w->m[A]), 0);
    ask(w, 1, B);
    pass(w, 1);
    ask(w, 2, C);
    did(w, "");
    assert_int_equal(sched_eta(&w->s, &w->m[B]), 2000);
    assert_int_equal(sched_eta(&w->s, &w->m[C]), 6000);
}

TEST(cannot_tell_when_a_model_will_be_ready_whose_loads_are_not_known)
{
    struct world *w = begin_small(&(struct sched_config){.models_max = 1});
    w->m[C].load_ms = 4000;
    have_busy(w, A, 0);
    ask(w, 1, B);
    pass(w, 1);
    ask(w, 2, C);
    did(w, "");
    assert_true(sched_eta(&w->s, &w->m[B]) == SCHED_NEVER);
    assert_true(sched_eta(&w->s, &w->m[C]) == SCHED_NEVER); /* B comes before it */
}

TEST(what_drains_will_be_ready_only_after_its_next_load)
{
    struct world *w = begin_card();
    w->m[A].load_ms = 1000;
    have_busy(w, A, 0);
    unload(w, A, SCHED_NEVER);
    did(w, "");
    assert_int_equal(sched_eta(&w->s, &w->m[A]), 1000);
}

/* As one string of letters; `no` when it would not fit. */
static const char *would_fit_without(const struct world *w, int model,
                                     const struct sched_instance *without)
{
    static char text[MODELS + 1];
    struct sched_instance *v[MODELS];
    unsigned n;
    if (!sched_would_fit(&w->s, &w->m[model].next, without, v, MODELS, &n))
        return "no";
    for (unsigned i = 0; i < n; i++)
        text[i] = (char)letter(w, v[i]->model);
    text[n] = 0;
    return text;
}

static const char *would_fit(const struct world *w, int model)
{
    return would_fit_without(w, model, NULL);
}

TEST(tells_whether_a_model_would_fit_and_who_would_go)
{
    struct world *w = begin_card();
    assert_true(sched_could_ever_fit(&w->s, &w->m[C].next));
    w->m[C].next.bytes[1] = 101;
    assert_false(sched_could_ever_fit(&w->s, &w->m[C].next));
    w->m[C].next.bytes[1] = 40;
    have_ready(w, A);
    pass(w, 1);
    have_busy(w, B, 0);
    assert_string_equal(would_fit_without(w, A, w->newest[A]), "");
    assert_string_equal(would_fit(w, C), "A");
    w->m[D].next.bytes[1] = 20;
    assert_string_equal(would_fit(w, D), "");
    w->m[E].next.bytes[1] = 70; /* not while B is busy */
    assert_string_equal(would_fit(w, E), "no");
    done(w, 0);
    did(w, "");
    assert_string_equal(would_fit(w, E), "AB");
}

TEST(tells_as_many_victims_as_are_asked_for)
{
    struct world *w = begin_card();
    struct sched_instance *v[1];
    unsigned n;
    have_ready(w, A);
    have_ready(w, B);
    w->m[C].next.bytes[1] = 100;
    assert_true(sched_would_fit(&w->s, &w->m[C].next, NULL, v, 1, &n));
    assert_int_equal(n, 1);
}

TEST(weights_count_for_a_model_that_is_only_asked_about)
{
    struct world *w = begin_card();
    struct sched_weights file = {.bytes = 90};
    w->m[A].next.weights = w->m[B].next.weights = &file;
    w->m[A].next.bytes[0] = w->m[B].next.bytes[0] = 10;
    assert_string_equal(would_fit(w, A), "");
    have_ready(w, A);
    assert_string_equal(would_fit(w, B), "A");
    tell(w, SCHED_EV_UNLOAD, A);
    did(w, "stop A unloaded by force");
    gone(w, A, false);
    assert_string_equal(would_fit(w, B), "");
}

TEST(who_is_left_out_of_a_question_is_as_good_as_gone)
{
    struct world *w = begin_card();
    struct sched_weights file = {.bytes = 60};
    w->m[A].next.weights = w->m[B].next.weights = &file;
    w->m[C].next.bytes[0] = 50;
    have_busy(w, A, 0);
    have_ready(w, B);
    assert_string_equal(would_fit(w, C), "no");
    assert_string_equal(would_fit_without(w, C, w->newest[A]), "B");
    assert_string_equal(would_fit_without(w, C, w->newest[B]), "no"); /* A maps the file, too */
    w->m[C].next.bytes[1] = 60;
    w->m[C].next.bytes[0] = 0;
    assert_string_equal(would_fit_without(w, C, w->newest[B]), "");
}

TEST(a_question_changes_nothing)
{
    struct world *w = begin_small(&(struct sched_config){.max_wait_ms = 100});
    have_busy(w, A, 0);
    have_ready(w, B);
    w->m[C].next.bytes[1] = 100;
    ask(w, 1, C);
    did(w, "");
    tick(w);
    did(w, "stop B evicted");
    assert_true(is(w, A, SCHED_YIELDING));
    uint64_t deadline = sched_deadline(&w->s);
    for (int i = 0; i < MODELS; i++)
        would_fit(w, i);
    did(w, "");
    assert_true(sched_deadline(&w->s) == deadline);
    assert_true(is(w, A, SCHED_YIELDING));
    time_passed(w);
    did(w, "");
    assert_true(is(w, A, SCHED_YIELDING));
}

TEST(every_reason_has_a_name)
{
    for (enum sched_reject_reason r = SCHED_REJECT_NOT_LOADED; r <= SCHED_REJECT_SHUTDOWN; r++)
        assert_non_null(sched_reject_name(r));
    for (enum sched_stop_reason r = SCHED_STOP_UNLOADED; r <= SCHED_STOP_SHUTDOWN; r++)
        assert_non_null(sched_stop_name(r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_as_many_as_there_is_memory_for),
        cmocka_unit_test(memory_of_what_stops_is_not_free_before_it_is_gone),
        cmocka_unit_test(a_load_begins_while_its_victim_leaves_if_there_is_memory_for_both),
        cmocka_unit_test(a_load_waits_for_its_victim_where_too_little_would_be_left),
        cmocka_unit_test(one_who_leaves_makes_place_for_one),
        cmocka_unit_test(no_load_overlaps_with_who_is_to_be_apart),
        cmocka_unit_test(who_has_nothing_on_a_full_card_waits_for_it),
        cmocka_unit_test(the_place_of_who_is_replaced_is_its_next_engines),
        cmocka_unit_test(the_place_of_who_hangs_is_its_next_engines),
        cmocka_unit_test(as_few_go_as_are_enough),
        cmocka_unit_test(who_loads_long_stays_before_who_loads_fast),
        cmocka_unit_test(a_stop_names_who_needs_the_room),
        cmocka_unit_test(who_needed_the_room_of_an_engine_that_crashed_is_forgotten),
        cmocka_unit_test(of_several_stops_that_are_due_one_can_be_too_late),
        cmocka_unit_test(who_fits_into_what_is_left_is_not_held_up),
        cmocka_unit_test(who_fits_takes_no_room_from_those_for_whom_it_is_made),
        cmocka_unit_test(each_device_is_looked_at),
        cmocka_unit_test(weights_of_one_file_count_once),
        cmocka_unit_test(weights_that_go_with_the_one_that_stops_are_not_counted_on),
        cmocka_unit_test(capacity_that_shrinks_and_grows_is_felt_at_a_tick),
        cmocka_unit_test(nobody_is_stopped_because_capacity_shrinks),
        cmocka_unit_test(what_is_unsure_is_not_placed_yet_and_holds_up_nobody),
        cmocka_unit_test(while_the_capacity_is_read_nothing_is_placed_and_nobody_stopped),
        cmocka_unit_test(what_is_unsure_can_time_out),
        cmocka_unit_test(what_can_never_fit_is_rejected_at_once),
        cmocka_unit_test(what_can_never_fit_is_rejected_also_when_all_places_are_taken),
        cmocka_unit_test(what_does_not_fit_beside_what_is_pinned_is_rejected_after_a_while),
        cmocka_unit_test(places_that_are_all_pinned_are_no_room_either),
        cmocka_unit_test(what_waits_for_the_busy_is_not_without_hope),
        cmocka_unit_test(hope_returns_with_capacity_and_the_while_begins_anew),
        cmocka_unit_test(weights_that_would_go_give_no_hope),
        cmocka_unit_test(priority_comes_before_age),
        cmocka_unit_test(who_has_waited_long_comes_before_priority),
        cmocka_unit_test(tells_the_position_behind_who_has_waited_long),
        cmocka_unit_test(the_lowest_priority_goes_first_whatever_it_costs),
        cmocka_unit_test(a_higher_priority_goes_only_if_the_lower_ones_do_not_suffice),
        cmocka_unit_test(loads_at_most_loads_max_at_a_time),
        cmocka_unit_test(loads_one_that_reads_from_the_disk_at_a_time),
        cmocka_unit_test(room_is_kept_for_who_waits_for_its_load),
        cmocka_unit_test(as_many_yield_as_memory_is_needed_from),
        cmocka_unit_test(idle_ones_go_at_once_and_the_busy_are_asked_then),
        cmocka_unit_test(what_yields_for_memory_resumes_when_that_comes_back),
        cmocka_unit_test(nobody_overtakes_who_has_waited_long_and_cannot_be_helped_yet),
        cmocka_unit_test(who_comes_to_a_full_model_waits_for_a_lease_to_end),
        cmocka_unit_test(passive_requests_do_not_count_for_the_limit),
        cmocka_unit_test(those_who_waited_for_the_load_are_limited_too),
        cmocka_unit_test(a_limit_that_is_raised_is_felt_at_a_tick),
        cmocka_unit_test(leases_of_a_crashed_engine_do_not_count_for_the_limit),
        cmocka_unit_test(a_passive_grant_not_pulled_at_a_crash_waits_behind_those_who_came_before),
        cmocka_unit_test(who_waits_for_a_lease_can_time_out),
        cmocka_unit_test(who_waits_for_a_lease_and_may_not_load_is_rejected_when_the_model_yields),
        cmocka_unit_test(who_waits_for_a_lease_at_a_held_model_is_told_so_when_it_fails),
        cmocka_unit_test(what_ends_by_itself_is_started_again_at_once_then_after_times_that_double),
        cmocka_unit_test(a_pause_holds_up_nobody_else),
        cmocka_unit_test(a_request_that_was_served_ends_the_row),
        cmocka_unit_test(after_max_failures_the_model_is_failed_until_an_operator_loads_it),
        cmocka_unit_test(what_is_failed_is_forgiven_when_its_arguments_change),
        cmocka_unit_test(a_crash_too_many_rejects_who_waits_and_drops_the_operator_s_wish),
        cmocka_unit_test(what_does_not_answer_has_failed),
        cmocka_unit_test(an_engine_that_was_told_to_end_has_not_failed),
        cmocka_unit_test(a_load_that_failed_for_memory_is_tried_once_more),
        cmocka_unit_test(an_operator_s_load_that_failed_for_memory_is_tried_once_more),
        cmocka_unit_test(what_has_shown_that_it_can_never_fit_is_given_up),
        cmocka_unit_test(what_failed_for_memory_is_not_tried_again_when_it_is_removed),
        cmocka_unit_test(what_failed_for_memory_and_is_held_is_not_tried_again),
        cmocka_unit_test(only_those_who_may_load_wait_for_the_second_try),
        cmocka_unit_test(
            a_start_that_fails_for_our_own_sake_is_tried_again_after_times_that_double),
        cmocka_unit_test(who_waits_for_a_start_that_fails_can_time_out),
        cmocka_unit_test(an_operator_s_load_request_has_no_time_limit_where_requests_have_none),
        cmocka_unit_test(a_start_that_fails_is_not_tried_again_when_it_is_held),
        cmocka_unit_test(an_operator_who_loads_it_does_not_wait_for_the_next_try),
        cmocka_unit_test(a_wish_that_is_made_again_before_it_was_dropped_is_kept),
        cmocka_unit_test(of_several_wishes_that_are_given_up_one_can_be_made_again),
        cmocka_unit_test(tells_when_a_model_will_be_ready),
        cmocka_unit_test(cannot_tell_when_a_model_will_be_ready_whose_loads_are_not_known),
        cmocka_unit_test(what_drains_will_be_ready_only_after_its_next_load),
        cmocka_unit_test(tells_whether_a_model_would_fit_and_who_would_go),
        cmocka_unit_test(tells_as_many_victims_as_are_asked_for),
        cmocka_unit_test(weights_count_for_a_model_that_is_only_asked_about),
        cmocka_unit_test(who_is_left_out_of_a_question_is_as_good_as_gone),
        cmocka_unit_test(a_question_changes_nothing),
        cmocka_unit_test(every_reason_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
