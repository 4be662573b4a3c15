/* SPDX-License-Identifier: MIT */
/* On trees as systemd and container engines lay them out, with files as the kernel writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/cgroup.h"
#include "tree.h"

#define MIB (1ULL << 20)
#define V2_MOUNT                                                                                   \
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"                                      \
    "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_MOUNT(top)                                                                              \
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"                          \
    "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"                          \
    "35 31 0:32 " top " /sys/fs/cgroup/memory rw,relatime master:5 - cgroup cgroup rw,memory\n"    \
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"

static struct cgroup_memory read_tree(void)
{
    static struct cgroup c;
    struct cgroup_memory m;
    cgroup_find(&c, tree);
    cgroup_read(&c, &m);
    return m;
}

static void processes(const char *cgroup, const char *mounts)
{
    tree_write("/proc/self/cgroup", "%s", cgroup);
    tree_write("/proc/self/mountinfo", "%s", mounts);
}

static void v2_group(const char *path, const char *max, uint64_t current, uint64_t inactive)
{
    char file[256];
    snprintf(file, sizeof file, "/sys/fs/cgroup%s/memory.max", path);
    tree_write(file, "%s\n", max);
    snprintf(file, sizeof file, "/sys/fs/cgroup%s/memory.current", path);
    tree_write(file, "%llu\n", (unsigned long long)current);
    snprintf(file, sizeof file, "/sys/fs/cgroup%s/memory.stat", path);
    tree_write(file, "anon 99999999999\nfile 99999999999\nactive_file 0\ninactive_file %llu\n",
               (unsigned long long)inactive);
}

static void v1_group(const char *path, uint64_t limit, uint64_t usage, uint64_t inactive)
{
    char file[256];
    snprintf(file, sizeof file, "/sys/fs/cgroup/memory%s/memory.limit_in_bytes", path);
    tree_write(file, "%llu\n", (unsigned long long)limit);
    snprintf(file, sizeof file, "/sys/fs/cgroup/memory%s/memory.usage_in_bytes", path);
    tree_write(file, "%llu\n", (unsigned long long)usage);
    snprintf(file, sizeof file, "/sys/fs/cgroup/memory%s/memory.stat", path);
    tree_write(file, "inactive_file 1\ntotal_inactive_file %llu\n", (unsigned long long)inactive);
}

static void assert_memory(uint64_t limit, uint64_t room)
{
    struct cgroup_memory m = read_tree();
    assert_true(m.limit == limit);
    assert_true(m.room == room);
}

static void nothing_there(void **state)
{
    (void)state;
    assert_memory(UINT64_MAX, UINT64_MAX);
    processes("", "");
    assert_memory(UINT64_MAX, UINT64_MAX);
    processes("nonsense\n0:\n:\n", "nonsense\n - cgroup2\n1 2 - cgroup2 cgroup2 rw\n");
    assert_memory(UINT64_MAX, UINT64_MAX);
    processes("0::/gone (deleted)\n", V2_MOUNT);
    assert_memory(UINT64_MAX, UINT64_MAX);
}

static void own_limit(void **state)
{
    (void)state;
    processes("0::/system.slice/hostler.service\n", V2_MOUNT);
    v2_group("/system.slice/hostler.service", "1073741824", 600 * MIB, 200 * MIB);
    assert_memory(1024 * MIB, 624 * MIB);
}

static void no_limit(void **state)
{
    (void)state;
    processes("0::/system.slice/hostler.service\n", V2_MOUNT);
    v2_group("/system.slice/hostler.service", "max", 600 * MIB, 0);
    v2_group("/system.slice", "max", 600 * MIB, 0);
    assert_memory(UINT64_MAX, UINT64_MAX);
}

/* A file that is read again and again is active, and makes way for engines all the same. Locked pages, and
 * those of a tmpfs, are in neither list. */
static void page_cache_counts_as_available(void **state)
{
    (void)state;
    processes("0::/a\n", V2_MOUNT);
    v2_group("/a", "629145600", 500 * MIB, 0);
    tree_write("/sys/fs/cgroup/a/memory.stat",
               "anon %llu\nfile %llu\nshmem %llu\nfile_mapped %llu\ninactive_file %llu\n"
               "active_file %llu\nunevictable %llu\nslab_reclaimable %llu\n",
               160 * MIB, 330 * MIB, 30 * MIB, 94 * MIB, 100 * MIB, 190 * MIB, 10 * MIB, 4 * MIB);
    assert_memory(600 * MIB, (600 - 500 + 100 + 190 + 4) * MIB);
    processes("4:memory:/me\n", V1_MOUNT("/"));
    v1_group("/me", 600 * MIB, 500 * MIB, 0);
    tree_write("/sys/fs/cgroup/memory/me/memory.stat",
               "active_file 1\ntotal_inactive_file %llu\ntotal_active_file %llu\n", 100 * MIB,
               190 * MIB);
    assert_memory(600 * MIB, 390 * MIB);
}

/* The service's limit is the lower one, but its slice has less room left. */
static void the_tightest_of_all_above(void **state)
{
    (void)state;
    processes("0::/system.slice/hostler.service\n", V2_MOUNT);
    v2_group("/system.slice/hostler.service", "1073741824", 100 * MIB, 0);
    v2_group("/system.slice", "2147483648", 1900 * MIB, 0);
    assert_memory(1024 * MIB, 148 * MIB);
    v2_group("/system.slice", "536870912", 100 * MIB, 0);
    assert_memory(512 * MIB, 412 * MIB);
}

static void over_the_limit(void **state)
{
    (void)state;
    processes("0::/a\n", V2_MOUNT);
    v2_group("/a", "1048576", 5 * MIB, 0);
    assert_memory(MIB, 0);
    v2_group("/a", "1048576", MIB / 2, 2 * MIB); /* read at different times */
    assert_memory(MIB, MIB);
}

/* With a namespace of its own the group is the mount's top, which then has files. */
static void container(void **state)
{
    (void)state;
    processes("0::/\n", V2_MOUNT);
    v2_group("", "4294967296", 1024 * MIB, 24 * MIB);
    assert_memory(4096 * MIB, 3096 * MIB);
}

/* A sibling's limit, and files above the mount, are nobody's. */
static void others_do_not_count(void **state)
{
    (void)state;
    processes("0::/a\n", V2_MOUNT);
    v2_group("/ab", "1048576", 0, 0);
    v2_group("/..", "1048576", 0, 0);
    assert_memory(UINT64_MAX, UINT64_MAX);
}

/* A service's MemoryHigh=: above it the group is slowed down until it stands still. */
static void where_a_group_is_slowed_down(void **state)
{
    (void)state;
    processes("0::/svc\n", V2_MOUNT);
    v2_group("/svc", "1073741824", 100 * MIB, 0);
    tree_write("/sys/fs/cgroup/svc/memory.high", "%llu\n", 512 * MIB);
    assert_memory(512 * MIB, 412 * MIB);
    tree_write("/sys/fs/cgroup/svc/memory.high", "max\n");
    assert_memory(1024 * MIB, 924 * MIB);
    v2_group("/svc", "max", 100 * MIB, 0);
    tree_write("/sys/fs/cgroup/svc/memory.high", "%llu\n", 300 * MIB);
    assert_memory(300 * MIB, 200 * MIB);
}

#define V1_NO_LIMIT 9223372036854771712ULL

static void version_1(void **state)
{
    (void)state;
    processes("4:memory:/user/me\n1:cpu,cpuacct:/other\n0::/\n", V1_MOUNT("/"));
    v1_group("", V1_NO_LIMIT, 8000 * MIB, 0);
    v1_group("/user", 2048 * MIB, 1100 * MIB, 100 * MIB);
    v1_group("/user/me", V1_NO_LIMIT, 1000 * MIB, 0);
    v1_group("/other", MIB, 0, 0);
    assert_memory(2048 * MIB, 1048 * MIB);
}

static void version_1_mounted_with_others(void **state)
{
    (void)state;
    processes("9:name=memory:/no\n4:hugetlb,memory:/me\n",
              "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,hugetlb,memory\n");
    v1_group("/me", 64 * MIB, 4 * MIB, 0);
    assert_memory(64 * MIB, 60 * MIB);
}

/* A container without a namespace of its own: the path is the host's, the mount shows its part. */
static void part_of_the_hierarchy(void **state)
{
    (void)state;
    processes("4:memory:/docker/abc/inner\n", V1_MOUNT("/docker/abc"));
    v1_group("", 512 * MIB, 12 * MIB, 0);
    v1_group("/inner", 256 * MIB, 6 * MIB, 0);
    assert_memory(256 * MIB, 250 * MIB);
    processes("4:memory:/docker/abcdef\n", V1_MOUNT("/docker/abc"));
    assert_memory(512 * MIB, 500 * MIB);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, tree_setup, tree_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(nothing_there),
        CASE(own_limit),
        CASE(no_limit),
        CASE(page_cache_counts_as_available),
        CASE(the_tightest_of_all_above),
        CASE(over_the_limit),
        CASE(container),
        CASE(others_do_not_count),
        CASE(where_a_group_is_slowed_down),
        CASE(version_1),
        CASE(version_1_mounted_with_others),
        CASE(part_of_the_hierarchy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
