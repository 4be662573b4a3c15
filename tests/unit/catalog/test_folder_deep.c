/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "catalog/folder_deep.h"
#include "tree.h"

static struct tree t;
static struct strv notes;

static int setup(void **state)
{
    (void)state;
    tree_create(&t);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    strv_finish(&notes);
    tree_remove(&t);
    return 0;
}

static void put(const char *name)
{
    tree_put(&t, name, "x", 1);
}

/* Knows the file with this name. */
static bool is_named(const char *path, void *name)
{
    return name && strstr(path, name);
}

static void find(const char *dir, const char *known)
{
    strv_finish(&notes);
    folder_deep_notes(&notes, dir, is_named, (void *)known);
}

/* The note on that file, which names what to give in place of the root. */
static void assert_note(size_t i, const char *file, const char *folder)
{
    char text[400];
    assert_true(i < notes.n);
    snprintf(text, sizeof text, "%s/%s is not listed", t.root, file);
    assert_ptr_equal(strstr(notes.v[i], text), notes.v[i]);
    snprintf(text, sizeof text, "give --models-dir %s/%s,", t.root, folder);
    assert_non_null(strstr(notes.v[i], text));
}

static void one_for_each_folder(void **state)
{
    (void)state;
    tree_folder(&t, "u");
    tree_folder(&t, "u/r");
    tree_folder(&t, "u/s");
    tree_folder(&t, "v");
    tree_folder(&t, "v/r");
    tree_folder(&t, "v/r/deep");
    put("u/s/b.gguf");
    put("u/s/a.gguf");
    put("u/r/z.gguf");
    put("v/r/deep/x.gguf");
    find(t.root, NULL);
    assert_int_equal(notes.n, 2);
    assert_note(0, "u/r/z.gguf", "u");
    assert_note(1, "v/r/deep/x.gguf", "v/r");
    find(t.root, "z.gguf");
    assert_int_equal(notes.n, 2);
    assert_note(0, "u/s/a.gguf", "u");
    find(t.root, ".gguf");
    assert_int_equal(notes.n, 0);
}

static void what_is_no_such_model(void **state)
{
    (void)state;
    put("top.gguf");
    tree_folder(&t, "m");
    put("m/m.gguf");
    tree_folder(&t, "m/parts");
    put("m/parts/mmproj-F16.gguf");
    put("m/parts/readme.txt");
    tree_folder(&t, "m/.cache");
    put("m/.cache/x.gguf");
    find(t.root, NULL);
    assert_int_equal(notes.n, 0);
}

/* A link to a folder that contains it: at the top it is followed once, below not. */
static void links(void **state)
{
    (void)state;
    char to[100];
    tree_folder(&t, "a");
    tree_folder(&t, "a/b");
    assert_int_equal(symlink("..", tree_path(&t, "a/up")), 0);
    find(t.root, NULL);
    assert_int_equal(notes.n, 0);
    tree_folder(&t, "elsewhere");
    tree_folder(&t, "elsewhere/r");
    put("elsewhere/r/x.gguf");
    snprintf(to, sizeof to, "%s/elsewhere", t.root);
    assert_int_equal(symlink(to, tree_path(&t, "a/link")), 0);
    assert_int_equal(symlink(to, tree_path(&t, "link")), 0);
    find(t.root, NULL);
    assert_int_equal(notes.n, 2);
    assert_note(0, "elsewhere/r/x.gguf", "elsewhere");
    assert_note(1, "link/r/x.gguf", "link");
}

static void slashes_at_the_end(void **state)
{
    (void)state;
    char dir[100];
    tree_folder(&t, "u");
    tree_folder(&t, "u/r");
    put("u/r/x.gguf");
    snprintf(dir, sizeof dir, "%s//", t.root);
    find(dir, NULL);
    assert_int_equal(notes.n, 1);
    assert_note(0, "u/r/x.gguf", "u");
    find("/nowhere", NULL);
    assert_int_equal(notes.n, 0);
}

static void very_many_folders(void **state)
{
    (void)state;
    char name[32];
    for (int i = 0; i < 600; i++) {
        snprintf(name, sizeof name, "f%03d", i);
        tree_folder(&t, name);
    }
    find(t.root, NULL);
    assert_int_equal(notes.n, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_for_each_folder), TEST(what_is_no_such_model), TEST(links),
        TEST(slashes_at_the_end),  TEST(very_many_folders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
