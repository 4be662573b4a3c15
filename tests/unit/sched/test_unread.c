/* SPDX-License-Identifier: MIT */
/* Requests that nobody reads: for how long they keep an instance in service. */
#include "sched_test.h"

enum { GRACE = 50 };

/* Two models, one place; A answers request 0, which nobody reads. */
static struct world *begin_unread(void)
{
    struct world *w = begin_with(
        &(struct sched_config){.models_max = 1, .unread_ms = GRACE, .max_wait_ms = SCHED_NEVER});
    have_busy(w, A, 0);
    tell_of(w, SCHED_EV_UNREAD, 0);
    return w;
}

TEST(it_keeps_its_instance_for_a_grace_only)
{
    struct world *w = begin_unread();
    ask(w, 1, B);
    did(w, "");
    assert_int_equal(sched_deadline(&w->s), w->now + GRACE);
    tick(w);
    did(w, "stop A evicted");
    done(w, 0); /* it is cut off */
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn B for 1");
}

TEST(nobody_else_wants_its_room)
{
    struct world *w = begin_unread();
    w->m[A].ttl_ms = 10;
    tick(w);
    did(w, "");
    assert_int_equal(sched_deadline(&w->s), SCHED_NEVER); /* it works: it is not idle */
    done(w, 0);
    did(w, "");
    assert_int_equal(w->newest[A]->lapsed, 0);
    tick(w);
    did(w, "stop A idle");
}

TEST(an_unload_waits_no_longer)
{
    struct world *w = begin_unread();
    unload(w, A, SCHED_NEVER);
    did(w, "");
    tick(w);
    did(w, "stop A unloaded");
}

TEST(an_unload_does_not_wait_for_one_that_has_lapsed)
{
    struct world *w = begin_unread();
    tick(w);
    unload(w, A, SCHED_NEVER);
    did(w, "stop A unloaded");
}

TEST(a_shutdown_and_a_replacement_wait_no_longer)
{
    struct world *w = begin_unread();
    tell(w, SCHED_EV_REPLACE, A);
    did(w, "");
    tick(w);
    did(w, "stop A replaced");
    w = begin_unread();
    shut_down(w, SCHED_NEVER);
    did(w, "");
    tick(w);
    did(w, "stop A shutdown");
}

TEST(one_that_yields_is_stopped)
{
    struct world *w = begin_with(
        &(struct sched_config){.models_max = 1, .unread_ms = 2 * GRACE, .max_wait_ms = GRACE});
    have_busy(w, A, 0);
    tell_of(w, SCHED_EV_UNREAD, 0);
    ask(w, 1, B);
    tick(w);
    did(w, "");
    assert_true(is(w, A, SCHED_YIELDING));
    tick(w);
    did(w, "stop A evicted");
}

TEST(others_that_are_read_keep_it)
{
    struct world *w = begin_unread();
    ask(w, 1, A);
    did(w, "grant 1");
    ask(w, 2, B);
    tick(w);
    did(w, "");
    done(w, 1);
    did(w, "stop A evicted");
}

TEST(who_reads_again_keeps_it_and_a_new_grace_begins)
{
    struct world *w = begin_unread();
    tell_of(w, SCHED_EV_READ, 0);
    ask(w, 1, B);
    did(w, "");
    assert_int_equal(sched_deadline(&w->s), SCHED_NEVER);
    pass(w, GRACE);
    tell_of(w, SCHED_EV_UNREAD, 0);
    assert_int_equal(sched_deadline(&w->s), w->now + GRACE);
    tick(w);
    did(w, "stop A evicted");
}

TEST(who_reads_one_that_has_lapsed_keeps_it)
{
    struct world *w = begin_unread();
    tick(w);
    tell_of(w, SCHED_EV_READ, 0);
    ask(w, 1, B);
    did(w, "");
    assert_true(is(w, A, SCHED_READY));
}

TEST(time_counts_while_it_waits)
{
    struct world *w = begin_with(
        &(struct sched_config){.models_max = 1, .unread_ms = GRACE, .max_wait_ms = SCHED_NEVER});
    ask(w, 0, A);
    did(w, "spawn A for 0");
    tell_of(w, SCHED_EV_UNREAD, 0);
    tick(w);
    tell(w, SCHED_EV_READY, A);
    did(w, "grant 0");
    assert_int_equal(w->newest[A]->lapsed, 1);
    ask(w, 1, B);
    did(w, "stop A evicted");
}

/* Its grant is due, and is given to another instance. */
TEST(one_that_lapses_before_its_grant_is_pulled_is_not_sent_to_what_stops)
{
    struct world *w = begin_with(
        &(struct sched_config){.models_max = 1, .unread_ms = GRACE, .max_wait_ms = SCHED_NEVER});
    have_ready(w, A);
    ask(w, 0, A);
    tell_of(w, SCHED_EV_UNREAD, 0);
    tell(w, SCHED_EV_REPLACE, A);
    tick(w);
    did(w, "stop A replaced");
    assert_int_equal(w->r[0].state, SCHED_REQUEST_WAITING);
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn A for 0");
}

TEST(it_ends_in_any_state)
{
    struct world *w = begin(1);
    ask(w, 0, A);
    tell_of(w, SCHED_EV_UNREAD, 0);
    tell_of(w, SCHED_EV_UNREAD, 0);
    cancel(w, 0);
    ask(w, 1, A);
    tell_of(w, SCHED_EV_UNREAD, 1);
    did(w, "spawn A for 1");
    tell(w, SCHED_EV_GONE, A);
    did(w, "reject 1 load_failed");
    ask(w, 2, B);
    tell_of(w, SCHED_EV_UNREAD, 2);
    unload(w, B, 0);
    cancel(w, 2); /* its rejection is due */
    did(w, "");
    assert_true(TAILQ_EMPTY(&w->s.unread));
    tell_of(w, SCHED_EV_UNREAD, 0); /* too late */
    tell_of(w, SCHED_EV_READ, 0);
    assert_true(TAILQ_EMPTY(&w->s.unread));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_keeps_its_instance_for_a_grace_only),
        cmocka_unit_test(nobody_else_wants_its_room),
        cmocka_unit_test(an_unload_waits_no_longer),
        cmocka_unit_test(an_unload_does_not_wait_for_one_that_has_lapsed),
        cmocka_unit_test(a_shutdown_and_a_replacement_wait_no_longer),
        cmocka_unit_test(one_that_yields_is_stopped),
        cmocka_unit_test(others_that_are_read_keep_it),
        cmocka_unit_test(who_reads_again_keeps_it_and_a_new_grace_begins),
        cmocka_unit_test(who_reads_one_that_has_lapsed_keeps_it),
        cmocka_unit_test(time_counts_while_it_waits),
        cmocka_unit_test(one_that_lapses_before_its_grant_is_pulled_is_not_sent_to_what_stops),
        cmocka_unit_test(it_ends_in_any_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
