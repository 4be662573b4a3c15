/* SPDX-License-Identifier: MIT */
/* Which model has which session, and who waits for it. The routes: test_conversations.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "api/sessions.h"
#include "base/container_of.h"

static struct sessions *s;

struct request {
    struct session_request session;
    unsigned stops;
    struct request *begins; /* another session, when it is stopped */
};

static struct request a, b;
static unsigned told;

static void on_read_again(struct session_request *w)
{
    (void)w;
    told++;
}

static void on_stopped(struct session_request *w)
{
    struct request *r = container_of(w, struct request, session);
    assert_null(w->session);
    r->stops++;
    if (r->begins)
        assert_true(sessions_begin(s, "other", "m", &r->begins->session));
}

static int set_up(void **state)
{
    (void)state;
    s = sessions_create();
    told = 0;
    a = b = (struct request){.session.stopped = on_stopped, .session.read_again = on_read_again};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sessions_leave(&a.session);
    sessions_leave(&b.session);
    sessions_destroy(s);
    return 0;
}

static void begin(const char *id, const char *model, struct request *r)
{
    assert_true(sessions_begin(s, id, model, &r->session));
}

static void assert_model(const char *id, const char *model)
{
    const char *found = sessions_model(s, id);
    if (model)
        assert_string_equal(found, model);
    else
        assert_null(found);
}

/* Sessions whose requests do not wait any more. */
static void begin_many(unsigned n)
{
    static unsigned made;
    for (char id[16]; n--; sessions_leave(&b.session)) {
        snprintf(id, sizeof id, "many%u", made++);
        begin(id, "m", &b);
    }
}

/* --- one --------------------------------------------------------------------------------------- */

static void nobody_has_it(void **state)
{
    (void)state;
    assert_model("x", NULL);
    sessions_stop(s, "x");
}

static void it_is_remembered_when_its_request_waits_no_more(void **state)
{
    (void)state;
    begin("x", "m", &a);
    assert_model("x", "m");
    sessions_leave(&a.session);
    sessions_leave(&a.session);
    assert_model("x", "m");
}

static void a_stop_tells_who_waits(void **state)
{
    (void)state;
    begin("x", "m", &a);
    begin("y", "m", &b);
    sessions_stop(s, "x");
    assert_int_equal(a.stops, 1);
    assert_int_equal(b.stops, 0);
    assert_model("x", NULL);
    assert_true(sessions_is_stopped(s, "x"));
    assert_model("y", "m");
    assert_false(sessions_is_stopped(s, "y"));
    begin("x", "m", &a);
    assert_false(sessions_is_stopped(s, "x"));
    assert_false(sessions_is_stopped(s, "unknown"));
}

static void a_stop_tells_nobody_who_left(void **state)
{
    (void)state;
    begin("x", "m", &a);
    sessions_leave(&a.session);
    sessions_stop(s, "x");
    assert_int_equal(a.stops, 0);
    assert_model("x", NULL);
}

static void the_last_one_of_an_id_counts(void **state)
{
    (void)state;
    begin("x", "m", &a);
    begin("x", "n", &b);
    assert_int_equal(a.stops, 1);
    assert_model("x", "n");
    sessions_stop(s, "x");
    assert_int_equal(a.stops, 1);
    assert_int_equal(b.stops, 1);
}

static void one_that_is_stopped_may_begin_another(void **state)
{
    (void)state;
    a.begins = &b;
    begin("x", "m", &a);
    sessions_stop(s, "x");
    assert_model("other", "m");
}

static void a_long_id_is_not_remembered(void **state)
{
    (void)state;
    char id[SESSIONS_ID_MAX + 2];
    memset(id, 'x', sizeof id);
    id[SESSIONS_ID_MAX + 1] = '\0';
    assert_false(sessions_begin(s, id, "m", &a.session));
    assert_model(id, NULL);
    assert_null(a.session.session);
    id[SESSIONS_ID_MAX] = '\0';
    begin(id, "m", &a);
    assert_model(id, "m");
}

/* --- many -------------------------------------------------------------------------------------- */

static void of_too_many_the_oldest_are_forgotten(void **state)
{
    (void)state;
    begin("oldest", "m", &a);
    sessions_leave(&a.session);
    begin("second", "m", &a);
    sessions_leave(&a.session);
    begin_many(SESSIONS_MAX - 2);
    assert_model("oldest", "m");
    begin_many(1);
    assert_model("oldest", NULL);
    assert_model("second", "m");
}

static void one_that_waits_is_not_forgotten(void **state)
{
    (void)state;
    begin("waits", "m", &a);
    begin_many(2 * SESSIONS_MAX);
    assert_model("waits", "m");
    sessions_stop(s, "waits");
    assert_int_equal(a.stops, 1);
}

static void more_wait_than_are_remembered_otherwise(void **state)
{
    (void)state;
    static struct request many[SESSIONS_MAX + 10];
    char id[16];
    for (unsigned i = 0; i < SESSIONS_MAX + 10; i++) {
        many[i] =
            (struct request){.session.stopped = on_stopped, .session.read_again = on_read_again};
        snprintf(id, sizeof id, "w%u", i);
        begin(id, "m", &many[i]);
    }
    assert_model("w0", "m");
    for (unsigned i = 0; i < SESSIONS_MAX + 10; i++)
        sessions_leave(&many[i].session);
    begin_many(1);
    assert_model("w10", NULL); /* back within the bound */
    assert_model("w11", "m");
}

/* --- readers ----------------------------------------------------------------------------------- */

static void a_request_learns_whether_it_is_read_again(void **state)
{
    struct session_reader one = {0}, other = {0}, nobody = {0};
    (void)state;
    begin("x", "m", &a);
    sessions_begin_reading(s, "x", &one);
    assert_int_equal(told, 1);
    assert_true(a.session.is_read);
    sessions_begin_reading(s, "x", &other);
    sessions_begin_reading(s, "y", &nobody);
    sessions_end_reading(s, "x", &one);
    sessions_end_reading(s, "y", &nobody);
    assert_true(a.session.is_read);
    sessions_end_reading(s, "x", &other);
    assert_false(a.session.is_read);
}

static void a_reader_of_a_session_before_does_not_count(void **state)
{
    struct session_reader before = {0}, now = {0};
    (void)state;
    begin("x", "m", &a);
    sessions_begin_reading(s, "x", &before);
    begin("x", "m", &b);
    sessions_begin_reading(s, "x", &now);
    sessions_end_reading(s, "x", &before);
    assert_true(b.session.is_read);
    sessions_end_reading(s, "x", &now);
    assert_false(b.session.is_read);
}

static void one_at_its_engine_is_not_told_of_a_stop(void **state)
{
    struct session_reader reader = {0};
    (void)state;
    begin("x", "m", &a);
    sessions_grant(&a.session);
    sessions_begin_reading(s, "x", &reader);
    sessions_stop(s, "x");
    assert_int_equal(a.stops, 0);
    assert_null(a.session.session);
    sessions_end_reading(s, "x", &reader);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nobody_has_it),
        TEST(it_is_remembered_when_its_request_waits_no_more),
        TEST(a_stop_tells_who_waits),
        TEST(a_stop_tells_nobody_who_left),
        TEST(the_last_one_of_an_id_counts),
        TEST(one_that_is_stopped_may_begin_another),
        TEST(a_long_id_is_not_remembered),
        TEST(of_too_many_the_oldest_are_forgotten),
        TEST(one_that_waits_is_not_forgotten),
        TEST(more_wait_than_are_remembered_otherwise),
        TEST(a_request_learns_whether_it_is_read_again),
        TEST(a_reader_of_a_session_before_does_not_count),
        TEST(one_at_its_engine_is_not_told_of_a_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
