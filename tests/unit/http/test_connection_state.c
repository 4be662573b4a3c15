/* SPDX-License-Identifier: MIT */
/* Each pair of a connection's states and events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "http/connection_state.h"

#define EACH_PAIR(s, e)                                                                            \
    for (enum connection_state s = 0; s < CONNECTION_STATES; s++)                                  \
        for (enum connection_event e = 0; e < CONNECTION_EVENTS; e++)

static bool is_open(enum connection_state s)
{
    return s < CONNECTION_CLOSING;
}

static void each_pair_is_defined(void **state)
{
    (void)state;
    EACH_PAIR(s, e)
    {
        struct connection_step step = connection_step(s, e);
        if (step.action == CONNECTION_UNDEFINED || step.action > CONNECTION_DO_ASSERT ||
            step.next >= CONNECTION_STATES)
            fail_msg("%s × %s is not defined", connection_state_name(s), connection_event_name(e));
        /* What changes nothing leaves the state, and what cannot happen does not change it. */
        if (step.action == CONNECTION_DO_ASSERT)
            assert_int_equal(step.next, s);
    }
}

/* Nothing leads back from a closed socket, and it is closed by exactly the actions that do so. */
static void closing_is_for_good(void **state)
{
    (void)state;
    EACH_PAIR(s, e)
    {
        struct connection_step step = connection_step(s, e);
        bool closes = step.action == CONNECTION_DO_CLOSE || step.action == CONNECTION_DO_HANG_UP;
        assert_int_equal(closes, is_open(s) && step.next == CONNECTION_CLOSING);
        if (!is_open(s))
            assert_true(step.next >= s);
        if (step.next == CONNECTION_CLOSED)
            assert_true(s == CONNECTION_CLOSED || e == CONNECTION_ON_HANDLE_CLOSED);
    }
}

/* Whatever it is doing, a client may go, the server may end, and bytes may have been sent. */
static void what_may_always_come(void **state)
{
    (void)state;
    for (enum connection_state s = 0; is_open(s); s++) {
        assert_int_equal(connection_step(s, CONNECTION_ON_LOST).next, CONNECTION_CLOSING);
        assert_int_equal(connection_step(s, CONNECTION_ON_LOST).action, CONNECTION_DO_CLOSE);
        assert_int_not_equal(connection_step(s, CONNECTION_ON_LAST).action, CONNECTION_DO_ASSERT);
        assert_int_not_equal(connection_step(s, CONNECTION_ON_SENT).action, CONNECTION_DO_ASSERT);
        assert_int_not_equal(connection_step(s, CONNECTION_ON_RETIRE).action, CONNECTION_DO_ASSERT);
        assert_int_not_equal(connection_step(s, CONNECTION_ON_TIMEOUT).action,
                             CONNECTION_DO_ASSERT);
    }
}

/* Only one at rest makes way for others. */
static void who_makes_way(void **state)
{
    (void)state;
    for (enum connection_state s = 0; is_open(s); s++)
        assert_int_equal(connection_step(s, CONNECTION_ON_RETIRE).next,
                         s == CONNECTION_IDLE ? CONNECTION_CLOSING : s);
}

/* A time limit brings every open state nearer to its end, and to the end in three steps at most. */
static void time_ends_everything(void **state)
{
    (void)state;
    for (enum connection_state s = 0; is_open(s); s++) {
        struct connection_step step = connection_step(s, CONNECTION_ON_TIMEOUT);
        unsigned steps = 1;
        for (; step.next != CONNECTION_CLOSING; steps++) {
            assert_true(step.action == CONNECTION_DO_TIME_OUT ||
                        step.action == CONNECTION_DO_FINISH);
            step = connection_step(step.next, step.action == CONNECTION_DO_TIME_OUT
                                                  ? CONNECTION_ON_ANSWERED_LAST
                                                  : CONNECTION_ON_TIMEOUT);
        }
        assert_in_range(steps, 1, 3);
    }
}

/* A request's way, and that of one that is answered before its body was read. */
static void the_usual_ways(void **state)
{
    (void)state;
    static const struct {
        enum connection_event event;
        enum connection_state next;
    } ways[] = {
        {CONNECTION_ON_REQUEST, CONNECTION_HEAD},
        {CONNECTION_ON_HEAD_END, CONNECTION_BODY},
        {CONNECTION_ON_BODY_END, CONNECTION_ANSWER},
        {CONNECTION_ON_ANSWERED, CONNECTION_IDLE},
        {CONNECTION_ON_REQUEST, CONNECTION_HEAD},
        {CONNECTION_ON_HEAD_END, CONNECTION_BODY},
        {CONNECTION_ON_ANSWERED, CONNECTION_DISCARD},
        {CONNECTION_ON_BODY_END, CONNECTION_IDLE},
        {CONNECTION_ON_REQUEST, CONNECTION_HEAD},
        {CONNECTION_ON_BAD_REQUEST, CONNECTION_ANSWER},
        {CONNECTION_ON_ANSWERED_LAST, CONNECTION_FINISH},
        {CONNECTION_ON_SENT, CONNECTION_LINGER},
        {CONNECTION_ON_LOST, CONNECTION_CLOSING},
        {CONNECTION_ON_HANDLE_CLOSED, CONNECTION_CLOSED},
    };
    enum connection_state s = CONNECTION_IDLE;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        s = connection_step(s, ways[i].event).next;
        assert_int_equal(s, ways[i].next);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_pair_is_defined), cmocka_unit_test(closing_is_for_good),
        cmocka_unit_test(what_may_always_come), cmocka_unit_test(who_makes_way),
        cmocka_unit_test(time_ends_everything), cmocka_unit_test(the_usual_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
