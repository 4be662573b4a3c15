/* SPDX-License-Identifier: MIT */
#include "../http/loop_test.h"

#include "../catalog/tree.h"
#include "base/log.h"
#include "server/state.h"

static struct tree t;
static uv_loop_t loop;
static struct state *s;
static struct error err;
static char folder[128];

static int set_up(void **state)
{
    (void)state;
    log_setup(LOG_ERROR, LOG_TEXT);
    tree_create(&t);
    snprintf(folder, sizeof folder, "%s/a/b", t.root);
    s = NULL;
    err = (struct error){0};
    return uv_loop_init(&loop);
}

/* The loop runs dry: what is being written is written, and the memory is back. */
static void close_state(void)
{
    state_close(s);
    s = NULL;
    uv_run(&loop, UV_RUN_DEFAULT);
}

static int tear_down(void **state)
{
    (void)state;
    if (s)
        close_state();
    tree_remove(&t);
    return uv_loop_close(&loop);
}

static void open_state(void)
{
    if (state_open(&s, &loop, folder, &err))
        fail_msg("%s", err.text);
}

static void open_again(void)
{
    close_state();
    open_state();
}

static void set(const char *key, int value)
{
    state_set(s, "section", key, json_integer(value), 100);
}

/* -1: there is none. */
static int get(const char *key)
{
    const json_t *value = state_get(s, "section", key);
    return value ? (int)json_integer_value(value) : -1;
}

static void it_outlasts_a_restart(void **state)
{
    struct stat st;
    (void)state;
    open_state();
    assert_int_equal(get("x"), -1);
    set("x", 1);
    set("y", 2);
    state_set(s, "other", "x", json_string("text"), 100);
    open_again();
    assert_int_equal(get("x"), 1);
    assert_int_equal(get("y"), 2);
    assert_string_equal(json_string_value(state_get(s, "other", "x")), "text");
    state_set(s, "section", "x", NULL, 100);
    open_again();
    assert_int_equal(get("x"), -1);
    assert_int_equal(get("y"), 2);
    assert_int_equal(stat(tree_path(&t, "a/b/state.json"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(folder, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

/* What is set while a write runs is written behind it, also when the daemon ends meanwhile. */
static void the_last_word_is_written(void **state)
{
    (void)state;
    open_state();
    for (int i = 0; i < 20; i++)
        set("x", i);
    uv_run(&loop, UV_RUN_NOWAIT);
    set("x", 20);
    open_again();
    assert_int_equal(get("x"), 20);
}

static void nothing_is_written_for_nothing(void **state)
{
    (void)state;
    open_state();
    set("x", 1);
    open_again();
    tree_delete(&t, "a/b/state.json");
    set("x", 1);
    state_set(s, "section", "unknown", NULL, 100);
    close_state();
    assert_int_equal(access(tree_path(&t, "a/b/state.json"), F_OK), -1);
}

static void the_newest_stay(void **state)
{
    (void)state;
    open_state();
    for (int i = 0; i < 4; i++)
        state_set(s, "section", (char[]){(char)('a' + i), '\0'}, json_integer(i), 3);
    assert_int_equal(get("a"), -1);
    state_set(s, "section", "b", json_integer(7), 3); /* it is the newest now */
    open_again();
    state_set(s, "section", "e", json_integer(4), 3);
    assert_int_equal(get("c"), -1);
    assert_int_equal(get("d"), 3);
    assert_int_equal(get("b"), 7);
    assert_int_equal(get("e"), 4);
}

static void what_cannot_be_read_is_kept_aside(void **state)
{
    static const char *const bad[] = {"", "{\"section\":", "[]", "{\"section\": 1}", "\xff"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[64] = "";
        open_state();
        close_state();
        tree_put(&t, "a/b/state.json", bad[i], strlen(bad[i]));
        open_state();
        assert_int_equal(get("x"), -1);
        set("x", 1);
        open_again();
        assert_int_equal(get("x"), 1);
        FILE *f = fopen(tree_path(&t, "a/b/state.json.bad"), "re");
        assert_non_null(f);
        assert_true(fgets(text, sizeof text, f) || !*bad[i]);
        fclose(f);
        assert_string_equal(text, bad[i]);
        close_state();
    }
}

static void one_daemon_at_a_time(void **state)
{
    struct state *other = NULL;
    (void)state;
    open_state();
    assert_int_equal(state_open(&other, &loop, folder, &err), -EBUSY);
    assert_null(other);
    assert_non_null(strstr(err.text, folder));
    close_state();
    open_state(); /* its end frees it */
}

static void a_folder_that_cannot_be_written(void **state)
{
    (void)state;
    tree_put(&t, "a", "", 0);
    assert_int_equal(state_open(&s, &loop, folder, &err), -ENOTDIR);
    assert_non_null(strstr(err.text, folder));
    assert_non_null(strstr(err.text, "--state-dir"));
    assert_int_equal(state_open(&s, &loop, tree_path(&t, "a"), &err), -ENOTDIR);
    assert_int_equal(state_open(&s, &loop, "", &err), -ENOENT);
    assert_null(s);
}

/* A disk that is full is no reason to end: it is tried again with the next change. */
static void a_write_that_fails(void **state)
{
    (void)state;
    open_state();
    tree_folder(&t, "a/b/state.json.next");
    set("x", 1);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(access(tree_path(&t, "a/b/state.json"), F_OK), -1);
    tree_delete(&t, "a/b/state.json.next");
    set("y", 2);
    open_again();
    assert_int_equal(get("x"), 1);
    assert_int_equal(get("y"), 2);
}

static void in_memory_only(void **state)
{
    (void)state;
    assert_int_equal(state_open(&s, &loop, NULL, &err), 0);
    set("x", 1);
    assert_int_equal(get("x"), 1);
    assert_false(uv_loop_alive(&loop));
}

#define STATE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STATE_TEST(it_outlasts_a_restart),
        STATE_TEST(the_last_word_is_written),
        STATE_TEST(nothing_is_written_for_nothing),
        STATE_TEST(the_newest_stay),
        STATE_TEST(what_cannot_be_read_is_kept_aside),
        STATE_TEST(one_daemon_at_a_time),
        STATE_TEST(a_folder_that_cannot_be_written),
        STATE_TEST(a_write_that_fails),
        STATE_TEST(in_memory_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
