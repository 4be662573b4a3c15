/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/memory.h"
#include "engine/rundir.h"

static char base[] = "/tmp/hostler-test-rundir-XXXXXX";

static int setup(void **state)
{
    (void)state;
    log_setup(LOG_ERROR, LOG_TEXT);
    if (!mkdtemp(base))
        return -1;
    unsetenv("TMPDIR");
    return setenv("XDG_RUNTIME_DIR", base, 1);
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(base); /* fails when a test left something */
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static void touch(const char *dir, const char *name)
{
    char *path = mem_printf("%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
    free(path);
}

static void test_create_and_remove(void **state)
{
    struct rundir r;
    struct error err;
    struct stat st;
    (void)state;
    assert_int_equal(rundir_create(&r, &err), 0);
    assert_int_equal(strncmp(r.path, base, strlen(base)), 0);
    assert_int_equal(stat(r.path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    touch(r.path, "1.sock");
    char *path = mem_strdup(r.path);
    rundir_remove(&r);
    assert_false(exists(path));
    assert_null(r.path);
    rundir_remove(&r); /* harmless */
    free(path);
}

static void test_live_ones_are_kept(void **state)
{
    struct rundir a, b;
    struct error err;
    (void)state;
    assert_int_equal(rundir_create(&a, &err), 0);
    touch(a.path, "1.sock");
    assert_int_equal(rundir_create(&b, &err), 0);
    assert_string_not_equal(a.path, b.path);
    assert_true(exists(a.path));
    rundir_remove(&a);
    assert_true(exists(b.path));
    rundir_remove(&b);
}

/* A daemon that makes its folder, says where it is, and is killed. */
static void die_with_folder(char *path, size_t size)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct rundir r;
        struct error err;
        if (rundir_create(&r, &err))
            _exit(1);
        touch(r.path, "7.sock");
        if (write(fds[1], r.path, strlen(r.path) + 1) < 0)
            _exit(1);
        for (;;)
            pause();
    }
    assert_true(read(fds[0], path, size) > 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(fds[0]);
    close(fds[1]);
}

static void test_leftovers_are_removed(void **state)
{
    char path[256];
    struct rundir r;
    struct error err;
    (void)state;
    die_with_folder(path, sizeof path);
    assert_true(exists(path));
    assert_int_equal(rundir_create(&r, &err), 0);
    assert_false(exists(path));
    rundir_remove(&r);
}

static void test_leftovers_are_told(void **state)
{
    char path[256];
    struct rundir live;
    struct error err;
    struct strv found = {0};
    (void)state;
    assert_int_equal(rundir_create(&live, &err), 0);
    die_with_folder(path, sizeof path);
    rundir_leftovers(&found);
    assert_true(strv_has(&found, path));
    assert_false(strv_has(&found, live.path));
    assert_true(exists(path));
    strv_finish(&found);
    rundir_remove(&live);
    assert_int_equal(rundir_create(&live, &err), 0); /* removes it */
    rundir_remove(&live);
}

/* What only looks like a leftover: another's name, a file, a symbolic link, a folder with folders.
 */
static void test_strangers_are_kept(void **state)
{
    char *other = mem_printf("%s/hostler-99999-abcdef", base);
    char *link = mem_printf("%s/hostler-%u-link00", base, (unsigned)geteuid());
    char *deep = mem_printf("%s/hostler-%u-deep00", base, (unsigned)geteuid());
    char *inner = mem_printf("%s/inner", deep);
    char *file = mem_printf("hostler-%u-file00", (unsigned)geteuid());
    struct rundir r;
    struct error err;
    (void)state;
    assert_int_equal(mkdir(other, 0700), 0);
    touch(other, "precious");
    assert_int_equal(symlink(other, link), 0);
    assert_int_equal(mkdir(deep, 0700), 0);
    assert_int_equal(mkdir(inner, 0700), 0);
    touch(base, file);
    assert_int_equal(rundir_create(&r, &err), 0);
    assert_true(exists(link) && exists(inner));
    char *precious = mem_printf("%s/precious", other);
    char *file_path = mem_printf("%s/%s", base, file);
    assert_true(exists(precious) && exists(file_path));
    rundir_remove(&r);
    assert_int_equal(unlink(precious) | rmdir(other) | unlink(link) | unlink(file_path), 0);
    assert_int_equal(rmdir(inner) | rmdir(deep), 0);
    free(other);
    free(link);
    free(deep);
    free(inner);
    free(file);
    free(precious);
    free(file_path);
}

static void test_falls_back(void **state)
{
    struct rundir r;
    struct error err;
    char *lengthy = mem_printf("%s/%080d", base, 0);
    (void)state;
    assert_int_equal(mkdir(lengthy, 0700), 0);
    setenv("XDG_RUNTIME_DIR", lengthy, 1);
    setenv("TMPDIR", base, 1);
    assert_int_equal(rundir_create(&r, &err), 0);
    assert_null(strstr(r.path, "00000000"));
    rundir_remove(&r);
    setenv("XDG_RUNTIME_DIR", "/nonexistent", 1);
    assert_int_equal(rundir_create(&r, &err), 0);
    assert_int_equal(strncmp(r.path, base, strlen(base)), 0);
    rundir_remove(&r);
    setenv("XDG_RUNTIME_DIR", base, 1);
    unsetenv("TMPDIR");
    assert_int_equal(rmdir(lengthy), 0);
    free(lengthy);
}

/* Many daemons that start at the same time clear up after each other without harm. */
static void test_races(void **state)
{
    pid_t pid[8];
    (void)state;
    for (size_t i = 0; i < 8; i++) {
        pid[i] = fork();
        if (pid[i])
            continue;
        for (int k = 0; k < 100; k++) {
            struct rundir r;
            struct error err;
            if (rundir_create(&r, &err) || !exists(r.path))
                _exit(1);
            rundir_remove(&r);
        }
        _exit(0);
    }
    for (size_t i = 0; i < 8; i++) {
        int status;
        assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
        assert_int_equal(status, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create_and_remove),
        cmocka_unit_test(test_live_ones_are_kept),
        cmocka_unit_test(test_leftovers_are_removed),
        cmocka_unit_test(test_leftovers_are_told),
        cmocka_unit_test(test_strangers_are_kept),
        cmocka_unit_test(test_falls_back),
        cmocka_unit_test(test_races),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
