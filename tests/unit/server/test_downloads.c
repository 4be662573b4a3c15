/* SPDX-License-Identifier: MIT */
/* Downloads by scripts in the place of llama-server; by the real one: test_downloads.py. */
#include <uv.h>

#include "server/downloads.h"

#include "config_test.h" /* last: it has a macro DIR */

#define REPORT "echo 'cmd_child_to_router:state:{\"state\":\"downloading\",\"payload\":"
#define PROGRESS REPORT "{\"url\":\"http://h/f\",\"downloaded\":1,\"total\":2}}'\n"
#define FINISHED REPORT "{\"result\":\"download_finished\"}}'\n"
#define FAILED REPORT "{\"result\":\"download_failed\"}}'\n"
#define WAIT "read line\n" /* for the exit line */

static uv_loop_t loop;
static struct host *host;
static struct refresh *refresh;
static struct downloads *downloads;
static char told[512]; /* each event as `name repo`, with what belongs to it */
static bool cancel_when_told;

static void on_told(enum downloads_event event, const struct downloads_item *item, void *ctx)
{
    static const char *const names[] = {"started", "progress", "finished", "failed"};
    size_t n = strlen(told);
    assert_ptr_equal(ctx, &told);
    assert_int_equal(item->problem != NULL, event == DOWNLOADS_EV_FAILED);
    snprintf(told + n, sizeof told - n, "%s %s%s%.120s\n", names[event], item->repo,
             item->problem ? ": " : "", item->problem ? item->problem : "");
    if (event == DOWNLOADS_EV_PROGRESS && cancel_when_told)
        assert_int_equal(downloads_cancel(downloads, item->repo, &err), 0);
}

static void note_host_closed(bool stuck, void *ctx)
{
    assert_false(stuck);
    *(bool *)ctx = true;
}

static void note_closed(void *ctx)
{
    *(bool *)ctx = true;
}

/* --- the fixture ------------------------------------------------------------------------- */

static void engine_is(const char *shell)
{
    char text[1024];
    snprintf(text, sizeof text, "#!/bin/sh\n%s", shell);
    put("llama-server", text, 0700);
}

static int create(void **state)
{
    (void)state;
    put("llama-server", script, 0700);
    setenv("XDG_RUNTIME_DIR", folder, 1);
    parse(ARGV("--models-dir", folder), ENV("LLAMA_CACHE=/nonexistent"));
    told[0] = '\0';
    cancel_when_told = false;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(host_create(&host, &loop, &c, &err), 0);
    refresh = refresh_create(host);
    downloads = downloads_create(host, refresh, on_told, &told);
    return 0;
}

static int destroy(void **state)
{
    bool refresh_closed = false, host_closed = false;
    (void)state;
    downloads_destroy(downloads);
    refresh_close(refresh, note_closed, &refresh_closed);
    while (!refresh_closed)
        uv_run(&loop, UV_RUN_ONCE);
    host_close(host, note_host_closed, &host_closed);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(host_closed);
    assert_int_equal(uv_loop_close(&loop), 0);
    config_finish(&c);
    return 0;
}

static void start(const char *repo)
{
    err = (struct error){0};
    if (downloads_start(downloads, repo, &err))
        fail_msg("%s", err.text);
}

static void until_told(const char *text)
{
    uint64_t end = uv_hrtime() + 10000000000;
    uv_update_time(&loop);
    while (!strstr(told, text)) {
        if (uv_hrtime() > end)
            fail_msg("waited in vain for '%s' in:\n%s", text, told);
        uv_run(&loop, UV_RUN_ONCE);
    }
}

static void assert_none(void)
{
    struct downloads_item item;
    assert_false(downloads_at(downloads, 0, &item));
}

/* --- what is refused ---------------------------------------------------------------------- */

static void what_is_no_repository(void **state)
{
    static const char *const wrong[] = {"",     "m",     "u/",    "/m",     "u/m:",    "u//m",
                                        "../m", "u/..",  "u/.m",  "u/m/x",  "u/m:a:b", "u/m:a/b",
                                        "u /m", "u/m\n", "u/m;x", "u/\xff", "-hf",     "u/m?x"};
    char large[300] = "u/";
    (void)state;
    memset(large + 2, 'm', sizeof large - 3);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(downloads_start(downloads, wrong[i], &err), -EINVAL);
        assert_non_null(strstr(err.text, "give USER/REPO or USER/REPO:TAG"));
    }
    assert_int_equal(downloads_start(downloads, large, &err), -EINVAL);
    assert_none();
    assert_string_equal(told, "");
}

static void an_engine_that_is_not_there(void **state)
{
    (void)state;
    unlink(engine);
    assert_int_equal(downloads_start(downloads, "u/m", &err), -ENOENT);
    assert_non_null(strstr(err.text, engine));
    assert_none();
    assert_string_equal(told, "");
}

static void the_same_twice(void **state)
{
    (void)state;
    engine_is(WAIT);
    start("u/m:T");
    assert_int_equal(downloads_start(downloads, "u/m:T", &err), -EALREADY);
    assert_non_null(strstr(err.text, "'u/m:T' already exists"));
    start("u/m");
}

static void more_than_run_at_once(void **state)
{
    static const char *const some[] = {"u/a", "u/b", "u/c", "u/d"};
    (void)state;
    engine_is(WAIT);
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        start(some[i]);
    assert_int_equal(downloads_start(downloads, "u/e", &err), -EBUSY);
    assert_non_null(strstr(err.text, "4 downloads are under way"));
    assert_int_equal(downloads_cancel(downloads, "u/b", &err), 0);
    until_told("failed u/b");
    start("u/e");
    assert_int_equal(downloads_start(downloads, "u/b", &err), -EBUSY);
}

/* --- what is told -------------------------------------------------------------------------- */

static void progress_and_a_failure(void **state)
{
    (void)state;
    engine_is(PROGRESS "echo the reason >&2\n" FAILED WAIT);
    start("u/m");
    until_told("failed");
    assert_string_equal(told, "started u/m\nprogress u/m\nfailed u/m: llama-server could not fetch "
                              "it; the last lines of llama-server's log:\nthe reason\n");
    assert_none();
}

static void an_engine_that_just_ends(void **state)
{
    (void)state;
    engine_is("exit 1\n");
    start("u/m");
    until_told("failed");
    assert_string_equal(told, "started u/m\nfailed u/m: llama-server could not fetch it\n");
}

static void one_that_is_fetched_counts_even_when_it_cannot_be_listed(void **state)
{
    (void)state;
    engine_is(PROGRESS FINISHED WAIT);
    start("u/m:UD-Q4_K_XL");
    until_told("finished");
    assert_string_equal(
        told, "started u/m:UD-Q4_K_XL\nprogress u/m:UD-Q4_K_XL\nfinished u/m:UD-Q4_K_XL\n");
    assert_none();
}

static void one_that_is_not_listed_afterwards(void **state)
{
    (void)state;
    engine_is(FINISHED WAIT);
    start("u/m");
    until_told("failed");
    assert_non_null(strstr(told, "started u/m\nfailed u/m: nothing was fetched"));
    assert_none();
}

static void what_can_be_read_of_one(void **state)
{
    struct downloads_item item;
    (void)state;
    engine_is(PROGRESS WAIT);
    start("u/m:T");
    start("u/n");
    assert_true(downloads_at(downloads, 0, &item));
    assert_string_equal(item.repo, "u/m:T");
    assert_int_equal(json_object_size(item.progress), 0);
    assert_true(item.started > 1e9);
    until_told("progress u/m:T");
    const json_t *file = json_object_get(item.progress, "http://h/f");
    assert_int_equal(json_integer_value(json_object_get(file, "done")), 1);
    assert_int_equal(json_integer_value(json_object_get(file, "total")), 2);
    assert_false(item.fetched);
    assert_true(downloads_at(downloads, 1, &item));
    assert_string_equal(item.repo, "u/n");
    assert_false(downloads_at(downloads, 2, &item));
}

/* --- ends ---------------------------------------------------------------------------------- */

static void a_cancel(void **state)
{
    (void)state;
    engine_is(WAIT);
    assert_int_equal(downloads_cancel(downloads, "u/m", &err), -ENOENT);
    start("u/m");
    assert_int_equal(downloads_cancel(downloads, "u/m", &err), 0);
    assert_string_equal(told, "started u/m\n"); /* of its end later */
    until_told("failed");
    assert_string_equal(told, "started u/m\nfailed u/m: it was cancelled\n");
    assert_int_equal(downloads_cancel(downloads, "u/m", &err), -ENOENT);
}

static void a_cancel_while_it_is_told(void **state)
{
    (void)state;
    cancel_when_told = true;
    engine_is(PROGRESS PROGRESS PROGRESS WAIT);
    start("u/m");
    until_told("failed");
    assert_string_equal(told, "started u/m\nprogress u/m\nfailed u/m: it was cancelled\n");
}

static void note_idle(void *ctx)
{
    (void)ctx;
}

static void the_host_ends(void **state)
{
    (void)state;
    engine_is(WAIT);
    start("u/m");
    start("u/n");
    host_shutdown(host, 0, note_idle, NULL);
    assert_int_equal(downloads_start(downloads, "u/o", &err), -ESHUTDOWN);
    until_told("failed u/m: it was cancelled");
    until_told("failed u/n: it was cancelled");
}

/* Nothing is told of those that run, or are fetched and not listed yet: `destroy` follows. */
static void an_end_in_the_middle(void **state)
{
    (void)state;
    engine_is(PROGRESS WAIT);
    start("u/m");
    until_told("progress u/m");
    engine_is(FINISHED WAIT);
    start("u/n");
}

#define DOWNLOADS_TEST(name) cmocka_unit_test_setup_teardown(name, create, destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DOWNLOADS_TEST(what_is_no_repository),
        DOWNLOADS_TEST(an_engine_that_is_not_there),
        DOWNLOADS_TEST(the_same_twice),
        DOWNLOADS_TEST(more_than_run_at_once),
        DOWNLOADS_TEST(progress_and_a_failure),
        DOWNLOADS_TEST(an_engine_that_just_ends),
        DOWNLOADS_TEST(one_that_is_fetched_counts_even_when_it_cannot_be_listed),
        DOWNLOADS_TEST(one_that_is_not_listed_afterwards),
        DOWNLOADS_TEST(what_can_be_read_of_one),
        DOWNLOADS_TEST(a_cancel),
        DOWNLOADS_TEST(a_cancel_while_it_is_told),
        DOWNLOADS_TEST(the_host_ends),
        DOWNLOADS_TEST(an_end_in_the_middle),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
