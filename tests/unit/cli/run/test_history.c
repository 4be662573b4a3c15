/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/run/history.h"

static char folder[] = "/tmp/test_run_history.XXXXXX";
static char *path;
static struct error err;

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(folder) || setenv("XDG_STATE_HOME", folder, 1))
        return 1;
    path = run_history_path();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove(path);
    *strrchr(path, '/') = '\0';
    rmdir(path);
    free(path);
    return rmdir(folder);
}

static void newlines_are_kept(void **state)
{
    static const char *const entries[] = {"", "a", "a\nb\n", "back\\slash\\n", "\\", "tab\tü"};
    (void)state;
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        char *line = run_history_line(entries[i]);
        assert_null(strchr(line, '\n'));
        assert_string_equal(run_history_entry(line), entries[i]);
        free(line);
    }
    char broken[] = "end\\";
    assert_string_equal(run_history_entry(broken), "end\\");
}

static void the_place_is_the_users(void **state)
{
    (void)state;
    unsetenv("XDG_STATE_HOME");
    setenv("HOME", "/home/me", 1);
    char *place = run_history_path();
    assert_string_equal(place, "/home/me/.local/state/hostler/history");
    free(place);
    unsetenv("HOME");
    assert_null(run_history_path());
    setenv("XDG_STATE_HOME", folder, 1);
}

static void entries_outlast_the_program(void **state)
{
    struct strv found = {0};
    struct stat st;
    (void)state;
    assert_int_equal(run_history_load(path, &found, &err), 0); /* there is no file yet */
    assert_int_equal(found.n, 0);
    assert_int_equal(run_history_add(path, "first"), 0);
    assert_int_equal(run_history_add(path, "two\nlines"), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(run_history_load(path, &found, &err), 0);
    assert_int_equal(found.n, 2);
    assert_string_equal(found.v[0], "first");
    assert_string_equal(found.v[1], "two\nlines");
    strv_finish(&found);
}

static void it_is_bounded(void **state)
{
    struct strv found = {0};
    struct stat before, after;
    char name[32];
    (void)state;
    char *huge = calloc(1, RUN_HISTORY_ENTRY_MAX + 2);
    memset(huge, 'x', RUN_HISTORY_ENTRY_MAX + 1);
    assert_int_equal(run_history_add(path, huge), 0);
    free(huge);
    for (int i = 0; i < 5 * RUN_HISTORY_ENTRIES; i++) {
        snprintf(name, sizeof name, "entry %d", i);
        assert_int_equal(run_history_add(path, name), 0);
    }
    stat(path, &before);
    assert_true(before.st_size < 100 * 1000); /* the huge one is not in it */
    assert_int_equal(run_history_load(path, &found, &err), 0);
    assert_int_equal(found.n, RUN_HISTORY_ENTRIES);
    assert_string_equal(found.v[found.n - 1], name);
    strv_finish(&found);
    stat(path, &after);
    assert_true(after.st_size < before.st_size / 4);
    assert_int_equal(run_history_load(path, &found, &err), 0);
    assert_int_equal(found.n, RUN_HISTORY_ENTRIES);
    assert_string_equal(found.v[found.n - 1], name);
    strv_finish(&found);
}

static void what_cannot_be_read_is_told(void **state)
{
    struct strv found = {0};
    (void)state;
    assert_true(run_history_load(folder, &found, &err) < 0);
    assert_non_null(strstr(err.text, folder));
    assert_true(run_history_add("/proc/no/history", "x") < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newlines_are_kept),           cmocka_unit_test(the_place_is_the_users),
        cmocka_unit_test(entries_outlast_the_program), cmocka_unit_test(it_is_bounded),
        cmocka_unit_test(what_cannot_be_read_is_told),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
