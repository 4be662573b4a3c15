/* SPDX-License-Identifier: MIT */
/* What observers of requests are told, and in which order. */
#include "../http/server_test.h"

#include "api/request_log.h"
#include "base/memory.h"

static struct request_log *requests;
static struct host_request place;
static char told[64];
static struct request_record seen; /* as it was at the end */

static void tell(const char *what)
{
    const size_t n = strlen(told);
    assert_true(n + strlen(what) < sizeof told);
    memcpy(told + n, what, strlen(what) + 1);
}

static void on_begun(struct request_observer *o, struct request_record *e,
                     const struct http_exchange *x)
{
    (void)o;
    assert_string_equal(e->route, "/a");
    assert_string_equal(e->method, "GET");
    assert_string_equal(http_head_get(http_exchange_head(x), "host"), "a");
    tell("begun ");
}

static void on_first_byte(struct request_observer *o, const struct request_record *e)
{
    (void)o;
    assert_true(e->first_byte >= e->arrived);
    tell("first ");
}

static void on_ended(struct request_observer *o, const struct request_record *e)
{
    (void)o;
    seen = *e;
    tell("ended ");
}

static struct request_observer observer = {
    .begun = on_begun, .first_byte = on_first_byte, .ended = on_ended};
static struct request_observer silent;

static int set_up_log(void **state)
{
    set_up(state);
    *told = '\0';
    seen = (struct request_record){0};
    place = (struct host_request){0};
    requests = request_log_create(&f.t.loop);
    request_log_observe(requests, &silent);
    request_log_observe(requests, &observer);
    return 0;
}

static int tear_down_log(void **state)
{
    request_log_destroy(requests);
    return tear_down(state);
}

static struct request_record *begin(struct http_exchange *x, bool passive)
{
    const struct caller caller = {.x = x};
    const struct request_kind kind = {
        .route = "/a", .dialect = "openai", .infers = true, .passive = passive};
    return request_log_begin(requests, &caller, &place, &kind);
}

static void in_full(struct http_exchange *x)
{
    struct request_record *e = begin(x, false);
    request_log_first_byte(requests, e);
    e->status = 200;
    reply(x);
    request_log_end(requests, e);
}

static void refused(struct http_exchange *x)
{
    struct request_record *e = begin(x, false);
    e->status = 503;
    e->end = REQUEST_REFUSED;
    e->refusal = "held";
    reply(x);
    request_log_end(requests, e);
}

static void passive(struct http_exchange *x)
{
    struct request_record *e = begin(x, true);
    e->status = 200;
    reply(x);
    request_log_end(requests, e);
}

static void unobserved(struct http_exchange *x)
{
    request_log_unobserve(requests, &observer);
    in_full(x);
}

#define GET_A "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"

static void all_of_a_request(void **state)
{
    (void)state;
    f.on_request = in_full;
    ask(GET_A);
    assert_string_equal(told, "begun first ended ");
    assert_int_equal(seen.status, 200);
    assert_true(seen.ended >= seen.first_byte);
    assert_string_equal(seen.dialect, "openai");
    assert_true(seen.infers);
    assert_non_null(request_log_next(requests, NULL));
}

static void a_refused_one(void **state)
{
    (void)state;
    f.on_request = refused;
    ask(GET_A);
    assert_string_equal(told, "begun ended ");
    assert_int_equal(seen.end, REQUEST_REFUSED);
    assert_string_equal(seen.refusal, "held");
}

static void one_that_the_list_does_not_keep(void **state)
{
    (void)state;
    f.on_request = passive;
    ask(GET_A);
    assert_string_equal(told, "begun ended ");
    assert_null(request_log_next(requests, NULL));
}

static void nobody_who_has_left(void **state)
{
    (void)state;
    f.on_request = unobserved;
    ask(GET_A);
    assert_string_equal(told, "");
    assert_non_null(request_log_next(requests, NULL));
}

#define TEST_LOG(name) cmocka_unit_test_setup_teardown(name, set_up_log, tear_down_log)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_LOG(all_of_a_request),
        TEST_LOG(a_refused_one),
        TEST_LOG(one_that_the_list_does_not_keep),
        TEST_LOG(nobody_who_has_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
