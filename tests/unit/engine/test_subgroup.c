/* SPDX-License-Identifier: MIT */
/* On trees with files as the kernel writes them, and where this machine lets us on real groups of version 1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/memory.h"
#include "engine/subgroup.h"
#include "tree.h"

#define MIB (1ULL << 20)
#define V2 "/sys/fs/cgroup/svc"
#define V1 "/sys/fs/cgroup/memory/svc"

static const char *in_tree(const char *path)
{
    static char full[PATH_MAX];
    snprintf(full, sizeof full, "%s%s", tree, path);
    return full;
}

/* Of group `n` of this process. */
static const char *in_group(const char *base, unsigned n, const char *file)
{
    static char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/hostler-%d-%u%s", base, (int)getpid(), n, file);
    return path;
}

static bool is_there(const char *path)
{
    return access(in_tree(path), F_OK) == 0;
}

static void assert_text(const char *path, const char *text)
{
    char is[64] = "";
    FILE *f = fopen(in_tree(path), "re");
    assert_non_null(f);
    assert_true(fread(is, 1, sizeof is - 1, f) > 0);
    fclose(f);
    assert_string_equal(is, text);
}

static void make_folder(const char *path)
{
    assert_int_equal(mkdir(in_tree(path), 0755), 0);
}

/* A service's group of version 2, as systemd makes it with Delegate=. False: this file system has no such marks. */
static bool make_v2(const char *controllers, bool delegated)
{
    tree_write("/proc/self/cgroup", "0::/svc\n");
    tree_write("/proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    tree_write(V2 "/cgroup.controllers", "%s\n", controllers);
    tree_write(V2 "/cgroup.subtree_control", "x");
    tree_write(V2 "/cgroup.procs", "x");
    tree_write(V2 "/hostler-daemon/cgroup.procs", "x");
    return !delegated || setxattr(in_tree(V2), "trusted.delegate", "1", 1, 0) == 0 ||
           setxattr(in_tree(V2), "user.delegate", "1", 1, 0) == 0;
}

static void make_v1(const char *hierarchy)
{
    tree_write("/proc/self/cgroup", "4:memory:/svc\n0::/\n");
    tree_write("/proc/self/mountinfo",
               "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
               "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    tree_write(V1 "/memory.use_hierarchy", "%s\n", hierarchy);
}

static int set_up(void **state)
{
    log_setup(LOG_ERROR, LOG_TEXT);
    return tree_setup(state);
}

static int tear_down(void **state)
{
    subgroup_close();
    return tree_teardown(state);
}

static void assert_none(void)
{
    uint64_t bytes;
    pid_t pid;
    subgroup_open(tree);
    assert_int_equal(subgroup_create(), 0);
    subgroup_remove(0);
    assert_false(subgroup_enter(0, getpid()));
    assert_int_equal(subgroup_folder(0), -1);
    assert_false(subgroup_memory(0, &bytes));
    assert_int_equal(subgroup_members(0, &pid, 1), 0);
    assert_int_equal(subgroup_oom_kills(0), -1);
}

/* --- version 2 ---------------------------------------------------------------------------------- */

static void where_there_are_none(void **state)
{
    (void)state;
    assert_none();
    make_v2("cpu pids", true);
    assert_none();
    make_v1("0");
    assert_none();
}

/* A user's own session: all files may be written, but its service manager arranges them. */
static void what_is_not_delegated_is_left_alone(void **state)
{
    (void)state;
    make_v2("cpu memory pids", false);
    assert_none();
    assert_text(V2 "/cgroup.subtree_control", "x");
    assert_text(V2 "/hostler-daemon/cgroup.procs", "x");
}

static void the_daemon_moves_into_a_leaf(void **state)
{
    (void)state;
    if (!make_v2("cpu memory pids", true))
        skip();
    subgroup_open(tree);
    assert_text(V2 "/hostler-daemon/cgroup.procs", "0");
    assert_text(V2 "/cgroup.subtree_control", "+memory");
    assert_text(V2 "/cgroup.procs", "x");
    assert_int_equal(subgroup_create(), 1);
    assert_int_equal(subgroup_create(), 2);
    assert_true(is_there(in_group(V2, 1, "")) && is_there(in_group(V2, 2, "")));
    int folder = subgroup_folder(2);
    assert_true(folder >= 0);
    close(folder);
    subgroup_remove(1);
    assert_false(is_there(in_group(V2, 1, "")));
    assert_int_equal(subgroup_create(), 3);
    subgroup_close();
    assert_false(is_there(in_group(V2, 2, "")) || is_there(in_group(V2, 3, "")));
    assert_int_equal(subgroup_create(), 0);
}

/* As when other processes are in the group: no controller can be given to those below. */
static void the_daemon_moves_back_where_that_does_not_help(void **state)
{
    (void)state;
    if (!make_v2("memory", true))
        skip();
    assert_int_equal(unlink(in_tree(V2 "/cgroup.subtree_control")), 0);
    assert_none();
    assert_text(V2 "/cgroup.procs", "0");
}

static void what_a_group_holds(void **state)
{
    uint64_t bytes = 0;
    pid_t pids[3];
    (void)state;
    if (!make_v2("memory", true))
        skip();
    subgroup_open(tree);
    assert_int_equal(subgroup_create(), 1);
    assert_false(subgroup_memory(1, &bytes));
    assert_int_equal(subgroup_oom_kills(1), -1);
    tree_write(in_group(V2, 1, "/cgroup.procs"), "77\n0\n78\n79\n80\n");
    assert_int_equal(subgroup_members(1, pids, 3), 3);
    assert_true(pids[0] == 77 && pids[1] == 78 && pids[2] == 79);
    tree_write(in_group(V2, 1, "/memory.events"), "low 0\nhigh 0\nmax 4\noom 2\noom_kill 1\n");
    assert_int_equal(subgroup_oom_kills(1), 1);
    tree_write(
        in_group(V2, 1, "/memory.stat"),
        "anon %llu\nfile %llu\nkernel %llu\nkernel_stack %llu\nsock %llu\nshmem %llu\n"
        "file_mapped %llu\nunevictable %llu\nslab_reclaimable %llu\nslab_unreclaimable %llu\n",
        100 * MIB, 900 * MIB, 12 * MIB, 3 * MIB, 1 * MIB, 20 * MIB, 800 * MIB, 50 * MIB, 4 * MIB,
        5 * MIB);
    assert_true(subgroup_memory(1, &bytes));
    assert_true(bytes == (100 + 20 + 1 + 12 - 4) * MIB);
    tree_write(in_group(V2, 1, "/memory.stat"), /* before Linux 5.18 */
               "anon %llu\nkernel_stack %llu\npagetables %llu\npercpu %llu\nshmem 0\n"
               "slab_reclaimable %llu\nslab_unreclaimable %llu\n",
               100 * MIB, 3 * MIB, 2 * MIB, 1 * MIB, 4 * MIB, 5 * MIB);
    assert_true(subgroup_memory(1, &bytes));
    assert_true(bytes == (100 + 3 + 2 + 1 + 5) * MIB);
}

/* --- version 1 ---------------------------------------------------------------------------------- */

static void version_1(void **state)
{
    uint64_t bytes = 0;
    (void)state;
    make_v1("1");
    subgroup_open(tree);
    assert_int_equal(subgroup_create(), 1);
    assert_int_equal(subgroup_folder(1), -1);
    tree_write(in_group(V1, 1, "/cgroup.procs"), "x");
    assert_true(subgroup_enter(1, 77));
    assert_text(in_group(V1, 1, "/cgroup.procs"), "77");
    tree_write(in_group(V1, 1, "/memory.stat"),
               "cache 1\nrss 1\nshmem 1\ntotal_cache %llu\ntotal_rss %llu\ntotal_shmem %llu\n",
               500 * MIB, 60 * MIB, 7 * MIB);
    assert_true(subgroup_memory(1, &bytes));
    assert_true(bytes == 67 * MIB);
    tree_write(in_group(V1, 1, "/memory.kmem.usage_in_bytes"), "%llu\n", 2 * MIB);
    assert_true(subgroup_memory(1, &bytes));
    assert_true(bytes == 69 * MIB);
    tree_write(in_group(V1, 1, "/memory.oom_control"),
               "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
    assert_int_equal(subgroup_oom_kills(1), 2);
}

/* Those of daemons that are gone; what has processes, which a file stands for here, cannot be removed. */
static void what_dead_daemons_left(void **state)
{
    char dead[PATH_MAX], alive[PATH_MAX];
    (void)state;
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    make_v1("1");
    snprintf(dead, sizeof dead, V1 "/hostler-%d-4", (int)pid);
    snprintf(alive, sizeof alive, V1 "/hostler-%d-1", (int)getppid());
    make_folder(dead);
    make_folder(alive);
    make_folder(V1 "/hostler-daemon");
    make_folder(V1 "/hostler-");
    make_folder(V1 "/other");
    subgroup_open(tree);
    assert_false(is_there(dead));
    assert_true(is_there(alive) && is_there(V1 "/hostler-daemon") && is_there(V1 "/hostler-") &&
                is_there(V1 "/other"));
}

/* --- the kernel's ------------------------------------------------------------------------------- */

static void hold(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        _exit(1);
    memset(p, 1, bytes);
}

/* Holds 48 MiB, and leaves a process that has nothing to do with it any more, which holds 32. Both write a byte: until the one
 * in between is gone, all three are a family, and share pages that count for each. */
static void run_engine(int go, int ready)
{
    char byte;
    alarm(60); /* nobody may be left to end it */
    if (read(go, &byte, 1) != 1)
        _exit(1);
    hold(48 * MIB);
    pid_t between = fork();
    if (between == 0) {
        if (fork() == 0) {
            alarm(60);
            setsid();
            hold(32 * MIB);
            byte = (char)(write(ready, "x", 1) != 1);
            for (;;)
                pause();
        }
        _exit(0);
    }
    if (waitpid(between, NULL, 0) != between || write(ready, "x", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

static uint64_t held_by(pid_t pid, unsigned group)
{
    struct memory_use use;
    memory_of_engines(&(struct memory_engine){.leader = pid, .subgroup = group}, 1, &use);
    return use.bytes[0];
}

static void a_process_that_left_its_family_counts(void **state)
{
    int go[2], ready[2];
    char byte;
    pid_t pids[8];
    (void)state;
    setenv("HOSTLER_NVML", "/nonexistent.so", 1);
    memory_init();
    subgroup_open("");
    unsigned group = subgroup_create();
    if (!group) {
        print_message("no control group can be made here: that takes writable files of version 1, "
                      "or a delegated group of version 2\n");
        memory_finish();
        skip();
    }
    assert_true(pipe(go) == 0 && pipe(ready) == 0);
    pid_t pid = fork();
    if (pid == 0)
        run_engine(go[0], ready[1]);
    assert_true(subgroup_enter(group, pid));
    assert_true(write(go[1], "x", 1) == 1);
    for (int i = 0; i < 2; i++)
        assert_true(read(ready[0], &byte, 1) == 1);
    assert_in_range(held_by(pid, 0), 48 * MIB, 56 * MIB); /* its family alone */
    assert_in_range(held_by(pid, group), 80 * MIB, 92 * MIB);
    size_t n = subgroup_members(group, pids, 8);
    assert_in_range(n, 2, 3);
    assert_int_equal(subgroup_oom_kills(group), 0);
    while (n)
        kill(pids[--n], SIGKILL);
    waitpid(pid, NULL, 0);
    while (subgroup_members(group, pids, 8))
        ;
    subgroup_remove(group);
    assert_int_equal(subgroup_oom_kills(group), -1); /* it is gone */
    for (int i = 0; i < 2; i++) {
        close(go[i]);
        close(ready[i]);
    }
    memory_finish();
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(where_there_are_none),         CASE(what_is_not_delegated_is_left_alone),
        CASE(the_daemon_moves_into_a_leaf), CASE(the_daemon_moves_back_where_that_does_not_help),
        CASE(what_a_group_holds),           CASE(version_1),
        CASE(what_dead_daemons_left),       CASE(a_process_that_left_its_family_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
