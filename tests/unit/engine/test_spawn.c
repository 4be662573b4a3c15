/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "engine/spawn.h"

static char *const no_env[] = {NULL};

/* --- what it inherits, where the kernel has no close_range() */

/* From here on each of the `n` system calls fails with `code`. */
static void refuse(const int *calls, unsigned n, int code)
{
    struct sock_filter filter[16] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
    unsigned at = 1;
    for (unsigned i = 0; i < n; i++) {
        filter[at++] =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i], 0, 1);
        filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
                                                    SECCOMP_RET_ERRNO | ((unsigned)code & 0xffff));
    }
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {.len = (unsigned short)at, .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        _exit(77);
}

/* The exit status of a process in which `calls` do not exist, and which starts one that asks for
 * descriptor `inherited`: 0 when that one has it, 1 when not; 77: no seccomp here. */
static int inherits_without(const int *calls, unsigned n, int inherited)
{
    char script[64];
    int status = 0;
    snprintf(script, sizeof script, "test -e /proc/self/fd/%d", inherited);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct spawned child;
        char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, script, NULL};
        refuse(calls, n, ENOSYS);
        if (spawn(&child, "/bin/sh", argv, no_env, NULL, -1) || waitpid(child.pid, &status, 0) < 0)
            _exit(2);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 3);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_closes_without_close_range(void **state)
{
    static const int no_range[] = {SYS_close_range}, no_list[] = {SYS_close_range, SYS_getdents64};
    (void)state;
    int file = open("/dev/null", O_RDONLY); /* not close-on-exec */
    int high = fcntl(file, F_DUPFD, 500);
    int status = inherits_without(no_range, 1, high);
    if (status != 77) {
        assert_int_equal(status, 1);
        assert_int_equal(inherits_without(no_range, 1, file), 1);
        assert_int_equal(inherits_without(no_list, 2, high), 1);
    }
    close(file);
    close(high);
    if (status == 77)
        skip();
}

/* --- whose fault it is */

static int spawn_path(const char *path)
{
    struct spawned child;
    char *argv[] = {(char *)path, NULL};
    int rc = spawn(&child, path, argv, no_env, NULL, -1);
    if (!rc) {
        waitpid(child.pid, NULL, 0);
        close(child.in);
        close(child.out);
        close(child.err);
    }
    return rc;
}

static void test_what_is_wrong_with_the_program(void **state)
{
    (void)state;
    assert_int_equal(spawn_path("/nonexistent/program"), -ENOENT);
    assert_int_equal(spawn_path("/etc/passwd"), -EACCES);
    assert_false(error_is_ours(-ENOENT));
    assert_false(error_is_ours(-EACCES));
    assert_int_equal(spawn_path("/bin/true"), 0);
    assert_false(error_is_ours(0));
}

/* With 0 to 19 descriptors left: it starts, or says that there are too few; no descriptor is lost. */
static void test_too_few_descriptors(void **state)
{
    struct rlimit before, now;
    int failures = 0;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int first = dup(0);
    for (int left = 0; left < 20; left++) {
        now = (struct rlimit){.rlim_cur = (rlim_t)(first + 1 + left), .rlim_max = before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
        int rc = spawn_path("/bin/true");
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_true(rc == 0 || rc == -EMFILE);
        assert_int_equal(error_is_ours(rc), rc != 0);
        failures += rc != 0;
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    }
    assert_true(failures > 0 && failures < 20);
    int again = dup(0);
    assert_int_equal(again, first + 1);
    close(again);
    close(first);
}

/* Refused for want of processes or memory, as a limit of a control group does it. */
static void test_fork_fails(void **state)
{
    static const int codes[] = {EAGAIN, ENOMEM};
    static const int forks[] = {SYS_clone, SYS_clone3};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        int status = 0;
        pid_t pid = fork();
        if (pid == 0) {
            refuse(forks, 2, codes[i]);
            int rc = spawn_path("/bin/true");
            _exit(rc == -codes[i] && error_is_ours(rc) ? 0 : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 77);
    }
}

/* --- which process the kernel kills when memory runs out */

/* The child's adjustment when this process has `own`; -1: this process may not have that. */
static int adjustment_with(int own)
{
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct spawned child;
        char text[16] = "";
        char *argv[] = {(char[]){"cat"}, (char[]){"/proc/self/oom_score_adj"}, NULL};
        int fd = open("/proc/self/oom_score_adj", O_WRONLY);
        if (fd < 0 || dprintf(fd, "%d", own) < 0)
            _exit(255);
        if (spawn(&child, "/bin/cat", argv, no_env, NULL, -1) ||
            read(child.out, text, sizeof text - 1) < 0)
            _exit(254);
        waitpid(child.pid, NULL, 0);
        _exit((int)(strtol(text, NULL, 10) / 100 + 100));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 254);
    return WEXITSTATUS(status) == 255 ? -1 : (WEXITSTATUS(status) - 100) * 100;
}

static void test_the_kernel_kills_it_first(void **state)
{
    (void)state;
    assert_int_equal(adjustment_with(300), 800);
    assert_int_equal(adjustment_with(700), 1000);
    assert_int_equal(adjustment_with(1000), 1000);
    int least = adjustment_with(-1000); /* which only root may have */
    assert_true(least == -500 || least == -1);
    int low = adjustment_with(-200);
    assert_true(low == 300 || low == -1);
}

/* --- in which control group it is */

/* A new group of version 2 below this process's; false: none can be made. */
static bool make_group(char *path, size_t size)
{
    static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    char line[256], own[256] = "";
    FILE *f = fopen("/proc/self/cgroup", "re");
    while (f && fgets(line, sizeof line, f))
        sscanf(line, "0::%255s", own);
    if (f)
        fclose(f);
    for (size_t i = 0; i < sizeof mounts / sizeof *mounts; i++) {
        snprintf(path, size, "%s/cgroup.controllers", mounts[i]);
        if (access(path, F_OK))
            continue;
        snprintf(path, size, "%s%s/hostler-test-%d", mounts[i], own, (int)getpid());
        return mkdir(path, 0755) == 0;
    }
    return false;
}

/* What /proc/self/cgroup says in a process that is started into the group whose folder `cgroup` is. */
static bool says_its_group(int cgroup, const char *name)
{
    struct spawned child;
    char text[4096] = "";
    char *argv[] = {(char[]){"cat"}, (char[]){"/proc/self/cgroup"}, NULL};
    assert_int_equal(spawn(&child, "/bin/cat", argv, no_env, NULL, cgroup), 0);
    assert_true(read(child.out, text, sizeof text - 1) > 0);
    waitpid(child.pid, NULL, 0);
    close(child.in);
    close(child.out);
    close(child.err);
    assert_int_equal(child.in_cgroup, strstr(text, name) != NULL);
    return child.in_cgroup;
}

static void test_it_starts_in_its_group(void **state)
{
    char path[512];
    const char *name = path;
    (void)state;
    int plain = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_false(
        says_its_group(plain, "/hostler-test-")); /* which is no group: it starts all the same */
    close(plain);
    if (!make_group(path, sizeof path)) {
        print_message("no group of version 2 can be made here: that takes its files, writable\n");
        skip();
    }
    name = strrchr(path, '/');
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool entered = says_its_group(folder, name);
    assert_false(says_its_group(-1, name));
    close(folder);
    assert_int_equal(rmdir(path), 0);
    if (!entered) /* before Linux 5.7, or a filter of system calls */
        skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_closes_without_close_range),
        cmocka_unit_test(test_what_is_wrong_with_the_program),
        cmocka_unit_test(test_too_few_descriptors),
        cmocka_unit_test(test_fork_fails),
        cmocka_unit_test(test_the_kernel_kills_it_first),
        cmocka_unit_test(test_it_starts_in_its_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
