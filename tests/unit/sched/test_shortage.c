/* SPDX-License-Identifier: MIT */
/* Who goes when the host runs short of memory. */
#include "sched_test.h"

static void run_short(struct world *w)
{
    sched_event(&w->s, &(struct sched_event){.type = SCHED_EV_SHORT}, w->now);
}

TEST(one_after_the_other_until_it_is_over)
{
    struct world *w = begin(0);
    have_ready(w, A);
    pass(w, 1000);
    have_ready(w, B);
    pass(w, 1000);
    have_ready(w, C);
    run_short(w);
    run_short(w);
    did(w, "stop A memory");
    run_short(w); /* what it frees is still to come */
    did(w, "");
    tell(w, SCHED_EV_GONE, A);
    did(w, ""); /* nobody said that it is still short */
    run_short(w);
    did(w, "stop B memory");
}

TEST(who_is_in_use_or_pinned_stays)
{
    struct world *w = begin(0);
    have_busy(w, A, 0);
    w->m[B].pinned = true;
    have_ready(w, B);
    run_short(w);
    did(w, "");
    done(w, 0);
    did(w, ""); /* the shortage of then may be over */
    run_short(w);
    did(w, "stop A memory");
}

TEST(the_lowest_priority_goes_first)
{
    struct world *w = begin(0);
    have_ready(w, A);
    pass(w, 5000);
    w->m[B].priority = -1;
    have_ready(w, B);
    run_short(w);
    did(w, "stop B memory");
}

TEST(who_is_wanted_meanwhile_is_loaded_again)
{
    struct world *w = begin(0);
    have_ready(w, A);
    run_short(w);
    did(w, "stop A memory");
    ask(w, 0, A);
    did(w, "");
    tell(w, SCHED_EV_GONE, A);
    did(w, "spawn A for 0");
    run_short(w); /* it loads: not idle */
    did(w, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_after_the_other_until_it_is_over),
        cmocka_unit_test(who_is_in_use_or_pinned_stays),
        cmocka_unit_test(the_lowest_priority_goes_first),
        cmocka_unit_test(who_is_wanted_meanwhile_is_loaded_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
