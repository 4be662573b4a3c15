/* SPDX-License-Identifier: MIT */
/* With a real host, whose engines are never started. */
#include "config_test.h"

#include <poll.h>

#include "../catalog/tree.h"
#include "base/container_of.h"
#include "base/log.h"
#include "base/memory.h"
#include "server/refresh.h"

#define PRESET_SIZE 4096

static struct tree t;
static uv_loop_t loop;
static struct host *host;
static struct refresh *refresh;
static int closed;

struct waiter {
    struct refresh_waiter w;
    int told;
    char problem[1100]; /* empty: none */
    size_t models;      /* that there were then */
    bool asks_again;
};

static void on_done(struct refresh_waiter *w, const char *problem)
{
    struct waiter *waiter = container_of(w, struct waiter, w);
    waiter->told++;
    waiter->models = catalog_count(host_catalog(host));
    snprintf(waiter->problem, sizeof waiter->problem, "%s", problem ? problem : "");
    if (waiter->asks_again) {
        waiter->asks_again = false;
        refresh_request(refresh, w);
    }
}

static void ask(struct waiter *w)
{
    w->w.done = on_done;
    refresh_request(refresh, &w->w);
}

static void on_limit(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("waited for 20 s");
}

static uv_timer_t limit;

static void run_until(const int *flag, int value)
{
    uv_timer_start(&limit, on_limit, 20000, 0);
    while (*flag < value)
        uv_run(&loop, UV_RUN_ONCE);
    uv_timer_stop(&limit);
}

static void wait_for_models(size_t n)
{
    uv_timer_start(&limit, on_limit, 20000, 0);
    while (catalog_count(host_catalog(host)) != n)
        uv_run(&loop, UV_RUN_ONCE);
    uv_timer_stop(&limit);
}

static void put_file(const char *name)
{
    tree_put(&t, name, "GGUF", 4);
}

/* As if it had been there for a while. */
static void put_old_file(const char *name)
{
    struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    put_file("elsewhere");
    assert_int_equal(utimensat(AT_FDCWD, tree_path(&t, "elsewhere"), times, 0), 0);
    char *from = mem_strdup(tree_path(&t, "elsewhere"));
    assert_int_equal(rename(from, tree_path(&t, name)), 0);
    free(from);
}

static void put_preset(const char *text)
{
    tree_put(&t, "p.ini", text, strlen(text));
}

static int first(void)
{
    static char models[100], preset[100];
    snprintf(models, sizeof models, "%s/models", t.root);
    snprintf(preset, sizeof preset, "%s/p.ini", t.root);
    parse(ARGV("--models-dir", models, "--models-preset", preset), ENV("LLAMA_CACHE=/nonexistent"));
    assert_int_equal(host_create(&host, &loop, &c, &err), 0);
    refresh = refresh_create(host);
    return refresh_first(refresh, &err);
}

static int begin(void **state)
{
    (void)state;
    log_setup(LOG_ERROR, LOG_TEXT);
    closed = 0;
    tree_create(&t);
    tree_folder(&t, "models");
    put_file("models/a.gguf");
    put_preset("[a]\nctx-size = 1\n");
    return uv_loop_init(&loop) || uv_timer_init(&loop, &limit);
}

static void on_host_closed(bool stuck, void *ctx)
{
    assert_false(stuck);
    (void)ctx;
    closed++;
}

static void on_refresh_closed(void *ctx)
{
    (void)ctx;
    host_close(host, on_host_closed, NULL);
}

static void close_all(void)
{
    refresh_close(refresh, on_refresh_closed, NULL);
    refresh = NULL;
}

static int end(void **state)
{
    if (refresh)
        close_all();
    uv_close((uv_handle_t *)&limit, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(closed, 1);
    tree_remove(&t);
    finish(state);
    return uv_loop_close(&loop);
}

static const char *ctx_of(const char *model)
{
    struct model *h = host_find(host, model);
    assert_non_null(h);
    const struct engine_arg *a =
        engine_args_get(&h->launch->args, engine_options_find(c.engine.options, "-c", NULL));
    return a ? a->value : "";
}

static void who_asks_is_told_when_it_is_read(void **state)
{
    (void)state;
    struct waiter w = {0};
    assert_int_equal(first(), 0);
    assert_string_equal(ctx_of("a"), "1");
    put_file("models/b.gguf");
    put_preset("[a]\nctx-size = 2\n");
    ask(&w);
    assert_int_equal(w.told, 0); /* never before refresh_request() is back */
    run_until(&w.told, 1);
    assert_string_equal(w.problem, "");
    assert_int_equal(w.models, 2); /* also what has just been written: somebody asked */
    assert_string_equal(ctx_of("a"), "2");
    assert_null(refresh_problem(refresh));
}

/* One that came while the sources were read cannot know how much of them was read already. */
static void who_asks_during_a_reading_waits_for_another(void **state)
{
    (void)state;
    struct waiter one = {0}, two = {0}, three = {0};
    assert_int_equal(first(), 0);
    ask(&one);
    ask(&two);
    ask(&three);
    run_until(&one.told, 1);
    assert_int_equal(two.told, 0);
    put_file("models/b.gguf");
    run_until(&three.told, 1);
    assert_int_equal(two.told, 1); /* these share one */
    run_until(&two.told, 1);
}

static void who_asks_while_others_are_told_waits_for_another(void **state)
{
    (void)state;
    struct waiter one = {.asks_again = true};
    assert_int_equal(first(), 0);
    ask(&one);
    run_until(&one.told, 1);
    assert_int_equal(one.told, 1); /* not by the same reading */
    run_until(&one.told, 2);
}

static void who_leaves_is_not_told(void **state)
{
    (void)state;
    struct waiter one = {0}, two = {0}, three = {0};
    assert_int_equal(first(), 0);
    ask(&one);
    ask(&two);
    ask(&three);
    refresh_leave(refresh, &one.w);
    refresh_leave(refresh, &two.w);
    run_until(&three.told, 1);
    refresh_leave(refresh, &three.w); /* told already */
    assert_int_equal(one.told + two.told, 0);
}

static void a_mistake_changes_nothing(void **state)
{
    (void)state;
    struct waiter w = {0};
    assert_int_equal(first(), 0);
    put_file("models/b.gguf");
    put_preset("[a]\nctx-size = 2\nctx-sise = 3\n");
    ask(&w);
    run_until(&w.told, 1);
    assert_non_null(strstr(w.problem, "line 3: ctx-sise: no such key"));
    assert_string_equal(refresh_problem(refresh), w.problem);
    assert_int_equal(w.models, 1);
    assert_string_equal(ctx_of("a"), "1");
    put_old_file("models/c.gguf");
    wait_for_models(3);
    assert_string_equal(refresh_problem(refresh), w.problem); /* it still stands */
    put_preset("[a]\nctx-size = 2\n");
    ask(&w);
    run_until(&w.told, 2);
    assert_null(refresh_problem(refresh));
    assert_string_equal(ctx_of("a"), "2");
    assert_int_equal(w.models, 3);
}

/* --- by itself */

static void wait_for_missing(const char *id, bool missing)
{
    uv_timer_start(&limit, on_limit, 20000, 0);
    while (host_find(host, id)->entry->missing != missing)
        uv_run(&loop, UV_RUN_ONCE);
    uv_timer_stop(&limit);
}

static void files_come_and_go(void **state)
{
    (void)state;
    assert_int_equal(first(), 0);
    put_old_file("models/b.gguf");
    wait_for_models(2);
    tree_delete(&t, "models/b.gguf");
    wait_for_models(1);
    tree_delete(&t, "models/a.gguf"); /* which has a section */
    wait_for_missing("a", true);
    put_old_file("models/a.gguf");
    wait_for_missing("a", false);
    assert_string_equal(ctx_of("a"), "1");
}

static void a_file_is_left_alone_until_it_rests(void **state)
{
    (void)state;
    assert_int_equal(first(), 0);
    uint64_t before = uv_now(&loop);
    put_file("models/b.gguf");
    wait_for_models(2);
    assert_true(uv_now(&loop) - before >= (FOLDER_SETTLE_S - 1) * 1000);
}

/* Work in the pool is over when its result is there for the loop to take. */
static void wait_for_pool(void)
{
    struct pollfd over = {.fd = uv_backend_fd(&loop), .events = POLLIN};
    assert_int_equal(poll(&over, 1, 20000), 1);
}

/* It is moved in after the reading that finds the folder, and before that folder is watched. */
static void a_folder_is_looked_into_again_when_it_is_watched(void **state)
{
    (void)state;
    struct waiter w = {0};
    assert_int_equal(first(), 0);
    ask(&w);
    run_until(&w.told, 1);
    wait_for_pool(); /* what was read is released */
    uv_run(&loop, UV_RUN_NOWAIT);
    tree_folder(&t, "models/sub");
    uv_run(&loop, UV_RUN_NOWAIT); /* hears of it */
    while (loop.active_reqs
               .count) /* headers and the machine's figures: their ends would wake the poll */
        uv_run(&loop, UV_RUN_ONCE);
    ask(&w);
    wait_for_pool(); /* the reading */
    put_old_file("models/sub/x.gguf");
    run_until(&w.told, 2);
    assert_int_equal(w.models, 1);
    wait_for_models(2);
}

/* The presets are those that somebody last asked for, whatever is in the file by now. */
static void a_file_of_presets_being_edited_is_not_looked_into(void **state)
{
    (void)state;
    struct waiter w = {0};
    assert_int_equal(first(), 0);
    put_preset("[a]\nctx-size = 2\n");
    put_old_file("models/b.gguf");
    wait_for_models(2);
    assert_string_equal(ctx_of("a"), "1");
    put_preset("[a");
    put_old_file("models/c.gguf");
    wait_for_models(3);
    assert_null(refresh_problem(refresh));
    put_preset(""); /* none at all: that is an answer, too */
    ask(&w);
    run_until(&w.told, 1);
    assert_string_equal(ctx_of("a"), "");
    put_preset("[a]\nctx-size = 3\n");
    put_old_file("models/d.gguf");
    wait_for_models(4);
    assert_string_equal(ctx_of("a"), "");
}

/* --- the beginning and the end */

static void a_mistake_at_the_beginning(void **state)
{
    (void)state;
    put_preset("[a]\nctx-sise = 2\n");
    assert_true(first() < 0);
    assert_non_null(strstr(err.text, "line 2: ctx-sise"));
}

static void more_to_load_than_may_be(void **state)
{
    (void)state;
    put_preset("[*]\nload-on-startup = on\n");
    for (char name[] = "models/b.gguf"; name[7] < 'f'; name[7]++)
        put_file(name);
    assert_true(first() < 0);
    assert_non_null(strstr(err.text, "5 models have load-on-startup, but --models-max allows 4"));
}

static void who_waits_at_the_end_is_told(void **state)
{
    (void)state;
    struct waiter one = {0}, two = {0};
    assert_int_equal(first(), 0);
    ask(&one);
    ask(&two);
    close_all();
    assert_int_equal(one.told, 1);
    assert_int_equal(two.told, 1);
    assert_string_equal(two.problem, "the server is shutting down");
}

static void at_the_end_nothing_is_taken_over(void **state)
{
    (void)state;
    assert_int_equal(first(), 0);
    put_file("models/b.gguf");
    refresh_request(refresh, NULL);
    close_all(); /* the reading may be under way */
}

static int descriptors(void)
{
    int n = 0;
    char path[64];
    for (int fd = 0; fd < 256; fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        n += access(path, F_OK) == 0;
    }
    return n;
}

static void a_hundred_readings_leave_no_descriptor(void **state)
{
    (void)state;
    struct waiter w = {0};
    assert_int_equal(first(), 0);
    ask(&w);
    run_until(&w.told, 1);
    int before = descriptors();
    for (int i = 0; i < 100; i++) {
        put_preset(i % 2 ? "[a]\nctx-size = 2\n" : i % 3 ? "[a]\nalias = b\n" : "[none]\n");
        ask(&w);
        run_until(&w.told, i + 2);
    }
    for (int n = 101; descriptors() > before && n < 150; n++) { /* a header is being read perhaps */
        ask(&w);
        run_until(&w.told, n + 1);
    }
    assert_true(descriptors() <= before);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(who_asks_is_told_when_it_is_read),
        CASE(who_asks_during_a_reading_waits_for_another),
        CASE(who_asks_while_others_are_told_waits_for_another),
        CASE(who_leaves_is_not_told),
        CASE(a_mistake_changes_nothing),
        CASE(files_come_and_go),
        CASE(a_file_is_left_alone_until_it_rests),
        CASE(a_folder_is_looked_into_again_when_it_is_watched),
        CASE(a_file_of_presets_being_edited_is_not_looked_into),
        CASE(a_mistake_at_the_beginning),
        CASE(more_to_load_than_may_be),
        CASE(who_waits_at_the_end_is_told),
        CASE(at_the_end_nothing_is_taken_over),
        CASE(a_hundred_readings_leave_no_descriptor),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
