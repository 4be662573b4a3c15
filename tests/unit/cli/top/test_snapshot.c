/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/memory.h"
#include "cli/top/snapshot.h"

static const char models[] =
    "{\"data\":[{\"id\":\"b\",\"status\":{\"value\":\"loaded\"}},"
    "{\"id\":\"a\",\"aliases\":[\"first\"],\"status\":{\"value\":\"unloaded\"}},"
    "{\"id\":\"C\",\"status\":{\"value\":\"unloaded\",\"failed\":true}},"
    "{\"id\":\"d\",\"status\":{\"value\":\"loading\"}}]}";

static const char status[] =
    "{\"engines\":["
    "{\"model\":\"b\",\"state\":\"draining\",\"memory\":{\"host\":100,\"gpu0\":50},\"requests\":2,"
    "\"idle_ms\":null,\"tokens_per_second\":10.5},"
    "{\"model\":\"d\",\"state\":\"loading\",\"memory\":{\"host\":700},\"requests\":0,"
    "\"idle_ms\":9,\"progress\":{\"stages\":[\"x\"],\"current\":\"x\",\"value\":0.25}},"
    "{\"model\":\"gone\",\"state\":\"stopping\",\"memory\":{\"host\":1},\"requests\":0,"
    "\"idle_ms\":5,\"tokens_per_second\":2}],"
    "\"queue\":[{\"model\":\"a\",\"waiting\":3,\"oldest_ms\":400},"
    "{\"model\":\"d\",\"waiting\":1,\"oldest_ms\":900}],"
    "\"holds\":[{\"model\":\"a\",\"until\":null}]}";

static void tell(struct top_snapshot *f, void (*take)(struct top_snapshot *, json_t *, uint64_t),
                 const char *text)
{
    json_t *body = json_loads(text, 0, NULL);
    assert_non_null(body);
    take(f, body, 1000);
    json_decref(body);
}

static void know(struct top_snapshot *f)
{
    top_snapshot_init(f);
    tell(f, top_snapshot_status, status);
    tell(f, top_snapshot_models, models);
}

/* `a=state b=state …`, in order. */
static void assert_rows(struct top_snapshot *f, const char *wanted)
{
    struct buf b;
    buf_init(&b, BUF_UNBOUNDED);
    for (size_t i = 0; i < f->n_rows; i++)
        buf_printf(&b, "%s%s=%s", i ? " " : "", f->rows[i].id, f->rows[i].state);
    assert_string_equal(buf_cstr(&b), wanted);
    buf_finish(&b);
}

static void rows_join_what_the_answers_say(void **state)
{
    struct top_snapshot f;
    (void)state;
    know(&f);
    assert_rows(&f, "b=draining d=loading gone=stopping a=unloaded,held C=failed");
    assert_int_equal(f.rows[0].memory, 150);
    assert_true(f.rows[0].tokens > 10 && f.rows[1].tokens < 0);
    assert_non_null(f.rows[1].load);
    assert_int_equal((int)(f.rows[1].load->fraction * 100), 25);
    assert_null(f.rows[2].model);
    assert_non_null(f.rows[3].queue);
    top_snapshot_finish(&f);
}

static void answers_come_in_any_order_or_not_at_all(void **state)
{
    struct top_snapshot f;
    (void)state;
    top_snapshot_init(&f);
    assert_rows(&f, "");
    tell(&f, top_snapshot_models, models);
    assert_rows(&f, "b=loaded d=loading C=failed a=unloaded");
    tell(&f, top_snapshot_status, status);
    assert_rows(&f, "b=draining d=loading gone=stopping a=unloaded,held C=failed");
    tell(&f, top_snapshot_status, "{\"engines\":7,\"queue\":{},\"holds\":[1,null]}");
    tell(&f, top_snapshot_models, "{\"data\":[null,{\"status\":3},{\"id\":\"x\"}]}");
    assert_rows(&f, "x=unknown");
    tell(&f, top_snapshot_models, "[]");
    assert_rows(&f, "");
    top_snapshot_forget(&f);
    top_snapshot_finish(&f);
}

static void rows_are_sorted(void **state)
{
    static const struct {
        enum top_sort sort;
        bool backwards;
        const char *first, *last;
    } cases[] = {{TOP_BY_STATE, false, "b", "C"},       {TOP_BY_STATE, true, "C", "b"},
                 {TOP_BY_NAME, false, "a", "gone"},     {TOP_BY_MEMORY, false, "d", "C"},
                 {TOP_BY_REQUESTS, false, "a", "gone"}, {TOP_BY_TOKENS, false, "b", "d"},
                 {TOP_BY_IDLE, false, "b", "C"}};
    struct top_snapshot f;
    (void)state;
    know(&f);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        f.sort = cases[i].sort;
        f.backwards = cases[i].backwards;
        top_snapshot_arrange(&f);
        assert_string_equal(f.rows[0].id, cases[i].first);
        assert_string_equal(f.rows[f.n_rows - 1].id, cases[i].last);
    }
    top_snapshot_finish(&f);
}

static void a_filter_looks_at_names_and_aliases(void **state)
{
    struct top_snapshot f;
    (void)state;
    know(&f);
    f.filter = mem_strdup("FIRS");
    top_snapshot_arrange(&f);
    assert_rows(&f, "a=unloaded,held");
    assert_int_equal(top_snapshot_find(&f, "a"), 0);
    assert_int_equal(top_snapshot_find(&f, "b"), 1); /* not among them */
    assert_int_equal(top_snapshot_find(&f, NULL), 1);
    strcpy(f.filter, "GO");
    top_snapshot_arrange(&f);
    assert_rows(&f, "gone=stopping");
    top_snapshot_finish(&f);
}

static void sums(void **state)
{
    struct top_snapshot f;
    (void)state;
    know(&f);
    struct top_sums s = top_snapshot_sums(&f);
    assert_int_equal(s.loaded, 3);
    assert_int_equal(s.running, 2);
    assert_int_equal(s.waiting, 4);
    assert_int_equal(s.oldest_ms, 900);
    assert_int_equal(s.held, 1);
    assert_true(s.tokens > 12.4 && s.tokens < 12.6);
    assert_int_equal(top_snapshot_engines_on(&f, "host"), 801);
    assert_int_equal(top_snapshot_engines_on(&f, "gpu7"), 0);
    top_snapshot_forget(&f);
    s = top_snapshot_sums(&f);
    assert_int_equal(s.loaded, 0);
    assert_true(s.tokens < 0);
    top_snapshot_finish(&f);
}

static void a_stock_router_counts_what_is_loaded(void **state)
{
    struct top_snapshot f;
    (void)state;
    top_snapshot_init(&f);
    tell(&f, top_snapshot_models, models);
    assert_int_equal(top_snapshot_sums(&f).loaded, 2);
    top_snapshot_finish(&f);
}

static bool event(struct top_snapshot *f, const char *text)
{
    return top_snapshot_event(f, text, 5, 2000);
}

static void events_tell_news_and_progress(void **state)
{
    struct top_snapshot f;
    (void)state;
    top_snapshot_init(&f);
    assert_true(event(&f, "{\"model\":\"m\",\"event\":\"model_status\",\"data\":"
                          "{\"status\":\"loading\"}}"));
    assert_false(event(&f, "{\"model\":\"m\",\"event\":\"status_change\",\"data\":"
                           "{\"status\":\"loading\",\"progress\":{\"value\":0.5}}}"));
    assert_int_equal((int)(f.loads->fraction * 10), 5);
    assert_true(event(&f, "{\"model\":\"m\",\"event\":\"status_change\",\"data\":"
                          "{\"status\":\"unloaded\",\"reason\":\"evicted\"}}"));
    assert_true(event(&f, "{\"model\":\"*\",\"event\":\"models_reload\"}"));
    assert_false(event(&f, "no JSON"));
    assert_false(event(&f, "{\"event\":\"something new\"}"));
    assert_true(event(&f, "{\"model\":\"m\",\"event\":\"release\",\"data\":"
                          "{\"cause\":\"its time is up\"}}"));
    assert_string_equal(f.events[0].text, "release: its time is up");
    assert_int_equal(f.n_events, 4);
    assert_string_equal(f.events[1].model, "*");
    assert_string_equal(f.events[2].text, "unloaded: evicted");
    assert_string_equal(f.events[3].text, "loading");
    tell(&f, top_snapshot_models, models); /* where m is not loading: that load is over */
    assert_string_equal(f.loads->model, "d");
    assert_int_equal(HASH_COUNT(f.loads), 1);
    top_snapshot_finish(&f);
}

static int permille_after(struct top_snapshot *f, const char *value)
{
    char text[160];
    snprintf(text, sizeof text,
             "{\"model\":\"m\",\"event\":\"status_change\",\"data\":{\"status\":\"loading\","
             "\"progress\":{\"value\":%s}}}",
             value);
    event(f, text);
    return (int)(f->loads->fraction * 1000 + 0.5);
}

static void an_overtaken_answer_does_not_turn_a_load_back(void **state)
{
    struct top_snapshot f;
    (void)state;
    top_snapshot_init(&f);
    assert_int_equal(permille_after(&f, "0.5"), 500);
    assert_int_equal(permille_after(&f, "0.48"), 500);
    assert_int_equal(permille_after(&f, "0.6"), 600);
    assert_int_equal(permille_after(&f, "0.02"), 20); /* it began anew */
    top_snapshot_finish(&f);
}

static void events_are_bounded(void **state)
{
    struct top_snapshot f;
    char text[128];
    (void)state;
    top_snapshot_init(&f);
    for (int i = 0; i < 3 * TOP_EVENTS; i++) {
        snprintf(text, sizeof text, "{\"model\":\"m%d\",\"event\":\"model_remove\"}", i);
        assert_true(event(&f, text));
    }
    assert_int_equal(f.n_events, TOP_EVENTS);
    assert_string_equal(f.events[0].model, "m191");
    top_snapshot_finish(&f);
}

static void the_status_knows_more_of_what_happened(void **state)
{
    struct top_snapshot f;
    (void)state;
    top_snapshot_init(&f);
    event(&f, "{\"model\":\"m\",\"event\":\"model_remove\"}");
    tell(&f, top_snapshot_status,
         "{\"recent\":[{\"at\":2,\"model\":\"m\",\"event\":\"failed\",\"why\":\"it\\nI log\"},"
         "{\"at\":1.5,\"model\":\"m\",\"event\":\"ready\",\"why\":null}]}");
    assert_true(event(&f, "{\"model\":\"n\",\"event\":\"model_remove\"}")); /* ask again */
    assert_int_equal(f.n_events, 2);
    assert_string_equal(f.events[0].text, "failed: it");
    assert_string_equal(f.events[1].text, "ready");
    top_snapshot_finish(&f);
}

static void in_classic_mode_the_status_lists(void **state)
{
    struct top_snapshot f;
    (void)state;
    top_snapshot_init(&f);
    tell(&f, top_snapshot_status,
         "{\"mode\":\"classic\",\"models\":[{\"id\":\"one\",\"status\":{\"value\":\"loaded\"}}]}");
    tell(&f, top_snapshot_models, models); /* the engine's own list */
    assert_rows(&f, "one=loaded");
    top_snapshot_finish(&f);
}

/* Ten times as many models take ten times as long, not a hundred: seconds then, here a blink. */
static void ten_thousand_models_that_are_held(void **state)
{
    enum { N = 20000 };
    struct top_snapshot f;
    json_t *list = json_array(), *holds = json_array(), *answer;
    char id[16];
    (void)state;
    for (int i = 0; i < N; i++) {
        snprintf(id, sizeof id, "m%05d", i);
        json_array_append_new(list, json_pack("{s:s, s:s}", "id", id, "status", "unloaded"));
        json_array_append_new(holds, json_pack("{s:s}", "model", id));
    }
    top_snapshot_init(&f);
    clock_t begun = clock();
    top_snapshot_status(&f, answer = json_pack("{s:o}", "holds", holds), 1000);
    json_decref(answer);
    top_snapshot_models(&f, answer = json_pack("{s:o}", "data", list), 1000);
    json_decref(answer);
    assert_true((double)(clock() - begun) / CLOCKS_PER_SEC < 2);
    assert_int_equal(f.n_rows, N);
    assert_string_equal(f.rows[N - 1].state, "unloaded,held");
    top_snapshot_finish(&f);
}

static void bars(void **state)
{
    static const struct {
        json_int_t total, available, engines, budget;
        unsigned columns;
        struct top_bar bar;
    } cases[] = {
        {100, 60, 20, 70, 10, {2, 2, 7}},    {100, 60, 0, 0, 10, {0, 4, -1}},
        {1000, 999, 1, 0, 10, {1, 0, -1}},   /* something shows as soon as there is something */
        {100, 0, 200, 100, 10, {10, 0, -1}}, /* mapped files count more than there is */
        {100, 100, 50, 99, 10, {5, 0, 9}},   {100, 0, 99, 0, 10, {10, 0, -1}},
        {0, 0, 5, 5, 10, {0, 0, -1}},        {100, 50, 5, 5, 0, {0, 0, -1}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct top_bar b = top_memory_bar(cases[i].total, cases[i].available, cases[i].engines,
                                          cases[i].budget, cases[i].columns);
        assert_int_equal(b.engines, cases[i].bar.engines);
        assert_int_equal(b.others, cases[i].bar.others);
        assert_int_equal(b.budget, cases[i].bar.budget);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_join_what_the_answers_say),
        cmocka_unit_test(answers_come_in_any_order_or_not_at_all),
        cmocka_unit_test(rows_are_sorted),
        cmocka_unit_test(a_filter_looks_at_names_and_aliases),
        cmocka_unit_test(sums),
        cmocka_unit_test(a_stock_router_counts_what_is_loaded),
        cmocka_unit_test(events_tell_news_and_progress),
        cmocka_unit_test(an_overtaken_answer_does_not_turn_a_load_back),
        cmocka_unit_test(events_are_bounded),
        cmocka_unit_test(the_status_knows_more_of_what_happened),
        cmocka_unit_test(in_classic_mode_the_status_lists),
        cmocka_unit_test(ten_thousand_models_that_are_held),
        cmocka_unit_test(bars),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
