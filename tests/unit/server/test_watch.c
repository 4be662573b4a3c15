/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../catalog/tree.h"
#include "base/log.h"
#include "server/watch.h"

static struct tree t;
static uv_loop_t loop;
static struct watch *w;
static struct watched list;
static int told, closed;

static void on_changed(void *ctx)
{
    assert_ptr_equal(ctx, &t);
    told++;
}

static void on_closed(void *ctx)
{
    assert_ptr_equal(ctx, &closed);
    closed++;
}

static int setup(void **state)
{
    (void)state;
    log_setup(LOG_ERROR, LOG_TEXT);
    tree_create(&t);
    told = closed = 0;
    if (uv_loop_init(&loop))
        return -1;
    w = watch_create(&loop, on_changed, &t);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    watch_close(w, on_closed, &closed);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(closed, 1);
    tree_remove(&t);
    watched_finish(&list);
    list = (struct watched){0};
    return uv_loop_close(&loop);
}

/* The kernel queues an event before the call that causes it returns: there is nothing to wait for.
 * The second round hears of a folder that is watched no longer. */
static int tellings(void)
{
    told = 0;
    uv_run(&loop, UV_RUN_NOWAIT);
    uv_run(&loop, UV_RUN_NOWAIT);
    return told;
}

/* Watches the root (`name`: "") or a folder in it, too; whether that was new. */
static bool watch(const char *name)
{
    strv_add(&list.folders, *name ? tree_path(&t, name) : t.root);
    return watch_set(w, &list);
}

static void what_is_told(void **state)
{
    (void)state;
    assert_true(watch(""));
    assert_int_equal(tellings(), 0);
    tree_put(&t, "a.gguf", "x", 1);
    assert_int_equal(tellings(), 1); /* once for all that one read brings */
    tree_put(&t, "a.gguf", "y", 1);  /* in place */
    assert_int_equal(tellings(), 1);
    char *from = strdup(tree_path(&t, "a.gguf"));
    assert_int_equal(rename(from, tree_path(&t, "b.gguf")), 0);
    free(from);
    assert_int_equal(tellings(), 1);
    tree_delete(&t, "b.gguf");
    assert_int_equal(tellings(), 1);
    tree_link(&t, "c.gguf", "/nonexistent");
    assert_int_equal(tellings(), 1);
    tree_folder(&t, "sub");
    assert_int_equal(tellings(), 1);
    tree_put(&t, "sub/d.gguf", "x", 1); /* not its business until it is added */
    assert_int_equal(tellings(), 0);
    assert_true(watch("sub"));
    tree_put(&t, "sub/e.gguf", "x", 1);
    assert_int_equal(tellings(), 1);
}

static void a_file_is_told_of_when_it_is_complete(void **state)
{
    (void)state;
    watch("");
    int fd = open(tree_path(&t, "a.gguf"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(tellings(), 1); /* that there is one */
    for (int i = 0; i < 100; i++)
        assert_int_equal(write(fd, "xxxx", 4), 4);
    assert_int_equal(tellings(), 0);
    close(fd);
    assert_int_equal(tellings(), 1);
    fd = open(tree_path(&t, "a.gguf"), O_RDONLY | O_CLOEXEC); /* as engines do all day */
    close(fd);
    assert_int_equal(tellings(), 0);
}

static void adding_again_is_nothing_new(void **state)
{
    (void)state;
    tree_folder(&t, "sub");
    tree_link(&t, "same", "sub");
    assert_true(watch("sub"));
    assert_false(watch("sub"));
    assert_false(watch("same")); /* the same folder by another name */
    assert_false(watch("none")); /* not there: neither an error nor watched */
    assert_false(watch_set(w, &list));
    tree_put(&t, "sub/a.gguf", "x", 1);
    assert_int_equal(tellings(), 1);
}

static void a_folder_that_is_deleted_and_made_again(void **state)
{
    (void)state;
    tree_folder(&t, "sub");
    watch("sub");
    tree_delete(&t, "sub");
    tellings();
    tree_folder(&t, "sub");
    assert_true(watch("sub"));
    tree_put(&t, "sub/a.gguf", "x", 1);
    assert_int_equal(tellings(), 1);
}

/* A folder that is moved away leaves its name to another. */
static void a_folder_that_is_moved(void **state)
{
    (void)state;
    tree_folder(&t, "sub");
    watch("sub");
    char *from = strdup(tree_path(&t, "sub"));
    assert_int_equal(rename(from, tree_path(&t, "other")), 0);
    free(from);
    assert_int_equal(tellings(), 1);
    tree_folder(&t, "sub");
    assert_true(watch("sub"));
    tree_put(&t, "sub/a.gguf", "x", 1);
    assert_int_equal(tellings(), 1);
    tree_put(&t, "other/a.gguf", "x", 1); /* not watched by that name */
    assert_int_equal(tellings(), 0);
    assert_true(watch("other"));
    tree_put(&t, "other/b.gguf", "x", 1);
    assert_int_equal(tellings(), 1);
}

static void a_link_that_leads_elsewhere(void **state)
{
    (void)state;
    tree_folder(&t, "old");
    tree_folder(&t, "new");
    tree_link(&t, "link", "old");
    assert_true(watch("link"));
    tree_delete(&t, "link");
    tree_link(&t, "link", "new");
    assert_true(watch("link"));
    assert_false(watch("link"));
    tree_put(&t, "new/a.gguf", "x", 1);
    assert_int_equal(tellings(), 1);
    tree_put(&t, "old/a.gguf", "x", 1);
    assert_int_equal(tellings(), 0);
}

/* Of a folder that is watched for one name, others do not count; of one that is watched for being moved, none. */
static void names_and_moves(void **state)
{
    (void)state;
    tree_folder(&t, "sub");
    strv_add(&list.names, tree_path(&t, "sub/link"));
    assert_true(watch_set(w, &list));
    assert_false(watch_set(w, &list));
    tree_link(&t, "sub/other", "/nonexistent");
    assert_int_equal(tellings(), 0);
    tree_link(&t, "sub/link", "/nonexistent");
    assert_int_equal(tellings(), 1);
    strv_add(&list.names, tree_path(&t, "sub/other"));
    assert_true(watch_set(w, &list)); /* nothing told of it before */
    tree_delete(&t, "sub/other");
    assert_int_equal(tellings(), 1);
    watched_finish(&list);
    list = (struct watched){0};
    strv_add(&list.moves, tree_path(&t, "sub"));
    watch_set(w, &list);
    tree_delete(&t, "sub/link");
    assert_int_equal(tellings(), 0);
    char *from = strdup(tree_path(&t, "sub"));
    assert_int_equal(rename(from, tree_path(&t, "gone")), 0);
    free(from);
    assert_int_equal(tellings(), 1);
}

static int watches(void)
{
    int n = 0;
    char path[64], line[512];
    for (int fd = 0; fd < 64; fd++) {
        snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
        FILE *f = fopen(path, "re");
        while (f && fgets(line, sizeof line, f))
            n += strncmp(line, "inotify wd:", 11) == 0;
        if (f)
            fclose(f);
    }
    return n;
}

static void does_not_grow(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "s%d", i);
        tree_folder(&t, name);
        watch("");
        watch(name);
        tree_delete(&t, name);
        tellings();
    }
    assert_int_equal(watches(), 1);
}

/* More than fits into one read, and more than the kernel queues. */
static void very_many_events(void **state)
{
    (void)state;
    watch("");
    for (int i = 0; i < 40000; i++) {
        tree_link(&t, "x", "y");
        tree_delete(&t, "x");
    }
    told = 0;
    for (int before = -1; before != told;) {
        before = told;
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    assert_true(told > 0);
    tree_put(&t, "a", "x", 1);
    assert_int_equal(tellings(), 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_told),
        CASE(a_file_is_told_of_when_it_is_complete),
        CASE(adding_again_is_nothing_new),
        CASE(a_folder_that_is_deleted_and_made_again),
        CASE(a_folder_that_is_moved),
        CASE(a_link_that_leads_elsewhere),
        CASE(names_and_moves),
        CASE(does_not_grow),
        CASE(very_many_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
