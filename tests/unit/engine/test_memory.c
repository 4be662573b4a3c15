/* SPDX-License-Identifier: MIT */
/* FAKE_NVML names the library built from tests/fake_nvml.c; without it the cases for GPUs are left
 * out. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "engine/memory.h"
#include "tree.h"

#define MIB ((uint64_t)1 << 20)

static void test_host(void **state)
{
    struct memory_figures m;
    struct memory_use use;
    (void)state;
    log_setup(LOG_ERROR, LOG_TEXT);
    setenv("HOSTLER_NVML", "/nonexistent.so", 1);
    memory_init(); /* of the machine that it runs on, so there may be a card */
    memory_read(&m);
    assert_in_range(m.n, 1, MEMORY_DEVICES_MAX);
    assert_string_equal(m.device[0].name, "host");
    assert_true(m.device[0].total > 64 * MIB);
    assert_in_range(m.device[0].available, 1, m.device[0].total);
    memory_of_process(getpid(), &use);
    assert_int_equal(use.n, m.n);
    assert_true(use.bytes[0] > 0);
    memory_finish();
}

/* A child that holds memory as `hold` does, until it is killed. */
static pid_t holder(void (*hold)(void))
{
    int fds[2];
    char byte;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        hold();
        if (write(fds[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(fds[1]);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    close(fds[0]);
    return pid;
}

static uint64_t host_use_of(void (*hold)(void))
{
    struct memory_use use;
    pid_t pid = holder(hold);
    memory_of_process(pid, &use);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return use.bytes[0];
}

static void hold_nothing(void)
{
}

static void *map(size_t size, int flags, int fd)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (p == MAP_FAILED)
        _exit(1);
    return p;
}

static void hold_anonymous(void)
{
    memset(map(64 * MIB, MAP_PRIVATE | MAP_ANONYMOUS, -1), 1, 64 * MIB);
}

/* As mapped weights are: read, not changed. */
static void hold_file(void)
{
    char path[] = "/tmp/hostler-test-memory-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0 || unlink(path) || ftruncate(fd, 64 * MIB))
        _exit(1);
    volatile char *p = map(64 * MIB, MAP_SHARED, fd);
    for (size_t i = 0; i < 64 * MIB; i += 4096)
        (void)p[i];
}

static void test_process(void **state)
{
    struct memory_use use;
    (void)state;
    uint64_t nothing = host_use_of(hold_nothing);
    uint64_t anonymous = host_use_of(hold_anonymous);
    uint64_t file = host_use_of(hold_file);
    assert_in_range(anonymous, nothing + 60 * MIB, nothing + 68 * MIB);
    assert_in_range(file, 0, nothing + 4 * MIB);
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    memory_of_process(pid, &use);
    assert_int_equal(use.bytes[0], 0);
}

static void use_fake(void)
{
    const char *fake = getenv("FAKE_NVML");
    if (!fake)
        skip();
    setenv("HOSTLER_NVML", fake, 1);
    unsetenv("FAKE_NVML_CARDS");
    unsetenv("FAKE_NVML_FREE");
    unsetenv("FAKE_NVML_PROCESSES");
    unsetenv("FAKE_NVML_SILENT");
    unsetenv("FAKE_NVML_BROKEN");
}

static void test_gpus(void **state)
{
    struct memory_figures m;
    struct memory_use use;
    (void)state;
    use_fake();
    setenv("FAKE_NVML_FREE", "1000,2000", 1);
    setenv("FAKE_NVML_PROCESSES", "0:77:100,1:77:300,1:78:5,0:77:11", 1);
    memory_init_at(tree);
    memory_read(&m);
    assert_int_equal(m.n, 3);
    assert_string_equal(m.device[1].name, "gpu0");
    assert_string_equal(m.device[2].name, "gpu1");
    assert_true(m.device[1].total == 24576 * MIB && m.device[2].total == 49152 * MIB);
    assert_true(m.device[1].available == 1000 * MIB && m.device[2].available == 2000 * MIB);
    memory_of_process(77, &use);
    assert_int_equal(use.n, 3);
    assert_true(use.bytes[1] == 111 * MIB && use.bytes[2] == 300 * MIB);
    memory_of_process(79, &use);
    assert_true(use.bytes[1] == 0 && use.bytes[2] == 0);
    pid_t pids[3] = {0};
    assert_int_equal(memory_gpu_processes(pids, 3), 2);
    assert_true(pids[0] == 77 && pids[1] == 78);
    assert_int_equal(memory_gpu_processes(pids, 1), 1);
    memory_finish();
    assert_int_equal(memory_gpu_processes(pids, 3), 0);
}

/* A card is known by its UUID and its address; its name is NVML's number. */
static void test_cards(void **state)
{
    static const char *const lists[] = {"1000@1:A", "1000@1:A,1000@2:A",
                                        "1000@1:A,1000@2:A,1000@3:A,1000@4:B",
                                        "1@1:A,2@2:A,3@3:A,4@4:A,5@5:A,6@6:A,7@7:A,8@8:A"};
    struct memory_figures m;
    (void)state;
    use_fake();
    for (size_t n = 1, i = 0; i < 4; i++, n *= 2) {
        setenv("FAKE_NVML_CARDS", lists[i], 1);
        memory_init_at(tree);
        memory_read(&m);
        assert_int_equal(m.n, 1 + n);
        assert_int_equal(m.cards.n, n);
        for (size_t k = 0; k < n; k++)
            assert_int_equal(m.cards.card[k].device, 1 + k);
        memory_finish();
    }
    setenv("FAKE_NVML_CARDS", "1000@65:NVIDIA A,2000@1:NVIDIA B",
           1); /* not in the order of addresses */
    memory_init_at(tree);
    memory_read(&m);
    assert_string_equal(m.device[2].name, "gpu1");
    assert_string_equal(m.cards.card[0].pci, "0000:41:00.0");
    assert_string_equal(m.cards.card[1].pci, "0000:01:00.0");
    assert_string_equal(m.cards.card[1].uuid, "GPU-00000001-0000-0000-0000-000000000000");
    assert_string_equal(m.cards.card[1].product, "NVIDIA B");
    assert_true(m.cards.card[1].total == 2000 * MIB && m.cards.card[1].vendor == CARD_NVIDIA);
    memory_finish();
}

/* Instances are devices of their own, with their part of the card's memory. */
static void test_instances(void **state)
{
    struct memory_figures m;
    struct memory_use use;
    (void)state;
    use_fake();
    setenv("FAKE_NVML_CARDS", "40000@1:A*2,24000@2:B", 1);
    setenv("FAKE_NVML_PROCESSES", "0.1:77:500,1:77:30", 1);
    memory_init_at(tree);
    memory_read(&m);
    assert_int_equal(m.n, 4);
    assert_string_equal(m.device[1].name, "gpu0.0");
    assert_string_equal(m.device[2].name, "gpu0.1");
    assert_string_equal(m.device[3].name, "gpu1");
    assert_true(m.device[2].total == 20000 * MIB);
    assert_int_equal(m.cards.n, 4);
    assert_true(m.cards.card[0].partitioned && m.cards.card[0].device == 1);
    assert_true(m.cards.card[2].instance && m.cards.card[2].device == 2);
    assert_string_equal(m.cards.card[2].uuid, "MIG-00000001-0000-0000-0000-000000000001");
    assert_false(m.cards.card[3].instance);
    memory_of_process(77, &use);
    assert_true(use.bytes[1] == 0 && use.bytes[2] == 500 * MIB && use.bytes[3] == 30 * MIB);
    memory_finish();
}

static void test_many_processes(void **state)
{
    char list[4096] = "";
    struct memory_use use;
    (void)state;
    use_fake();
    for (int i = 0; i < 200; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "0:%d:1,", 1000 + i);
    setenv("FAKE_NVML_PROCESSES", list, 1);
    memory_init_at(tree);
    memory_of_process(1199, &use);
    assert_true(use.bytes[1] == MIB);
    memory_finish();
}

/* Between readings cards may sleep, go, come back, and have other numbers then. */
static void test_cards_that_come_and_go(void **state)
{
    struct memory_figures m;
    (void)state;
    use_fake();
    setenv("FAKE_NVML_CARDS", "24576@1:NVIDIA A,49152@2:NVIDIA B", 1);
    memory_init_at(tree);
    memory_rest();
    memory_rest();
    memory_read(&m);
    assert_int_equal(m.n, 3);
    assert_true(m.device[1].total == 24576 * MIB && m.device[2].total == 49152 * MIB);
    memory_rest();
    setenv("FAKE_NVML_CARDS", "49152@2:NVIDIA B", 1);
    memory_read(&m);
    assert_int_equal(m.n, 3);
    assert_true(m.device[1].available == 0 && m.device[1].gone && !m.device[2].gone);
    assert_true(m.device[2].total == 49152 * MIB && !m.silent && m.cards.n == 1);
    memory_rest();
    setenv("FAKE_NVML_CARDS", "49152@2:NVIDIA B,24576@1:NVIDIA A", 1);
    memory_read(&m);
    assert_true(m.device[1].available && m.device[2].total == 49152 * MIB && !m.device[1].gone);
    setenv("FAKE_NVML_CARDS", "49152@2:NVIDIA B", 1); /* it fell off the bus while it was in use */
    memory_read(&m);
    memory_read(&m);
    assert_true(m.device[1].total && !m.device[1].available && m.silent && m.cards.n == 2);
    memory_rest();
    setenv("FAKE_NVML_CARDS", "49152@2:NVIDIA B,24576@1:NVIDIA A", 1);
    memory_read(&m);
    assert_true(m.device[1].available && !m.silent);
    memory_rest();
    setenv("FAKE_NVML_BROKEN", "1", 1); /* the driver is being updated */
    memory_read(&m);
    assert_true(m.device[1].total && !m.device[1].available && !m.device[2].available && m.silent);
    unsetenv("FAKE_NVML_BROKEN");
    memory_read(&m);
    assert_true(m.device[1].available && m.device[2].available && !m.silent);
    memory_rest();
    setenv("FAKE_NVML_BROKEN", "9", 1); /* it was unloaded, since no card is left */
    memory_read(&m);
    assert_true(m.device[1].gone && m.device[2].gone && !m.silent && m.cards.n == 0);
    memory_finish();
    unsetenv("FAKE_NVML_CARDS");
}

/* What others hold of it, and which process, is read as of any other. */
static void test_a_card_that_comes(void **state)
{
    struct memory_figures m;
    struct memory_use use;
    (void)state;
    use_fake();
    setenv("FAKE_NVML_CARDS", "49152@2:NVIDIA B", 1);
    setenv("FAKE_NVML_PROCESSES", "0:77:100,1:77:300", 1);
    memory_init_at(tree);
    memory_read(&m);
    uint64_t version = m.version;
    assert_int_equal(m.n, 2);
    setenv("FAKE_NVML_CARDS", "24576@1:NVIDIA A,49152@2:NVIDIA B", 1); /* its number is 0 now */
    memory_read(&m);
    assert_int_equal(m.n, 2);
    memory_rest();
    memory_of_process(77, &use);
    memory_read(&m);
    assert_true(m.n == 3 && use.n == 3 && m.version != version && m.complete);
    assert_string_equal(m.device[1].name, "gpu0");
    assert_string_equal(m.device[2].name, "gpu1");
    assert_true(m.device[1].total == 49152 * MIB && m.device[2].total == 24576 * MIB);
    assert_true(use.bytes[1] == 300 * MIB && use.bytes[2] == 100 * MIB);
    assert_int_equal(m.cards.n, 2);
    memory_finish();
    unsetenv("FAKE_NVML_CARDS");
}

/* The driver is loaded, or the container gets its devices, after the start. */
static void test_a_driver_that_comes(void **state)
{
    struct memory_figures m;
    (void)state;
    use_fake();
    setenv("FAKE_NVML_BROKEN", "9", 1);
    memory_init_at(tree);
    memory_read(&m);
    assert_true(m.n == 1 && !m.silent);
    unsetenv("FAKE_NVML_BROKEN");
    memory_read(&m);
    assert_int_equal(m.n, 1); /* nobody asks it at each reading */
    memory_rest();
    memory_read(&m);
    assert_int_equal(m.n, 3);
    memory_finish();
    setenv("HOSTLER_NVML", "/nonexistent.so", 1);
    memory_init_at(tree);
    memory_rest();
    use_fake();
    memory_read(&m);
    assert_int_equal(m.n, 3);
    memory_finish();
}

static void test_instances_that_change(void **state)
{
    struct memory_figures m;
    (void)state;
    use_fake();
    setenv("FAKE_NVML_CARDS", "40000@1:A,24000@2:B", 1);
    memory_init_at(tree);
    memory_rest();
    setenv("FAKE_NVML_CARDS", "40000@1:A*2,24000@2:B", 1);
    memory_read(&m);
    assert_int_equal(m.n, 5);
    assert_true(m.device[1].gone && m.device[1].available == 0 && !m.silent);
    assert_string_equal(m.device[3].name, "gpu0.0");
    assert_true(m.device[4].available == 20000 * MIB);
    setenv("FAKE_NVML_CARDS", "40000@1:A*1,24000@2:B", 1); /* while NVML is in use */
    memory_read(&m);
    memory_read(&m);
    assert_true(m.n == 5 && m.device[4].gone && m.device[3].total == 40000 * MIB);
    setenv("FAKE_NVML_CARDS", "40000@1:A*4,24000@2:B", 1);
    memory_read(&m);
    assert_int_equal(m.n, 7);
    assert_true(!m.device[4].gone && m.device[4].available == 10000 * MIB);
    memory_finish();
    unsetenv("FAKE_NVML_CARDS");
}

/* A GPU that tells no memory is left out; the others keep their numbers. */
static void test_silent_gpu(void **state)
{
    struct memory_figures m;
    (void)state;
    use_fake();
    setenv("FAKE_NVML_SILENT", "0", 1);
    memory_init_at(tree);
    memory_read(&m);
    assert_int_equal(m.n, 2);
    assert_string_equal(m.device[1].name, "gpu1");
    memory_finish();
}

static void test_broken_nvml(void **state)
{
    struct memory_figures m;
    (void)state;
    use_fake();
    setenv("FAKE_NVML_BROKEN", "1", 1);
    memory_init_at(tree);
    memory_read(&m);
    assert_int_equal(m.n, 1);
    memory_finish();
}

/* --- a tree in place of /proc and /sys */

static void write_card(unsigned node, const char *pci, uint64_t total, uint64_t used)
{
    char file[256];
    snprintf(file, sizeof file, "/sys/class/drm/renderD%u/device/uevent", node);
    tree_write(file, "DRIVER=amdgpu\nPCI_SLOT_NAME=%s\n", pci);
    snprintf(file, sizeof file, "/sys/class/drm/renderD%u/device/mem_info_vram_total", node);
    tree_write(file, "%llu\n", (unsigned long long)total);
    snprintf(file, sizeof file, "/sys/class/drm/renderD%u/device/mem_info_vram_used", node);
    tree_write(file, "%llu\n", (unsigned long long)used);
}

static void write_host(void)
{
    tree_write("/proc/meminfo", "MemTotal:    8388608 kB\nMemFree:   1 kB\n"
                                "MemAvailable:    6291456 kB\n");
    tree_write("/proc/77/status", "Name:\tllama-server\nVmLck:\t    1024 kB\n"
                                  "RssAnon:\t    2048 kB\nRssFile:\t   9000 kB\n"
                                  "RssShmem:\t    3072 kB\n");
}

/* Other vendors' cards are counted on from NVML's, the silent one included. */
static void test_cards_after_nvml(void **state)
{
    struct memory_figures m;
    struct memory_use use;
    (void)state;
    use_fake();
    setenv("FAKE_NVML_SILENT", "1", 1);
    setenv("FAKE_NVML_PROCESSES", "0:77:100", 1);
    write_host();
    write_card(129, "0000:03:00.0", 16384 * MIB, 4096 * MIB);
    write_card(128, "0000:43:00.0", 24576 * MIB, 24577 * MIB);
    tree_write("/sys/class/drm/renderD128/device/unique_id", "a1b2c3d4e5f60718\n");
    tree_write("/sys/class/drm/renderD130/device/uevent",
               "DRIVER=i915\nPCI_ID=8086:56A0\nPCI_SLOT_NAME=0000:00:02.0\n");
    tree_write("/proc/77/fdinfo/9", "drm-pdev:\t0000:03:00.0\ndrm-client-id:\t4\n"
                                    "drm-resident-vram:\t77 MiB\n");
    memory_init_at(tree);
    memory_read(&m);
    assert_int_equal(m.n, 4);
    assert_string_equal(m.device[1].name, "gpu0");
    assert_string_equal(m.device[2].name, "gpu2");
    assert_string_equal(m.device[3].name, "gpu3");
    assert_true(m.device[2].total == 16384 * MIB && m.device[2].available == 12288 * MIB);
    assert_true(m.device[3].total == 24576 * MIB && m.device[3].available == 0);
    /* The silent one and Intel's are cards, too, of which no device is known. */
    static const uint8_t devices[] = {1, 0, 0, 2, 3};
    assert_int_equal(m.cards.n, 5);
    for (size_t i = 0; i < m.cards.n; i++)
        assert_int_equal(m.cards.card[i].device, devices[i]);
    assert_true(m.cards.card[2].vendor == CARD_INTEL && m.cards.card[4].vendor == CARD_AMD);
    assert_string_equal(m.cards.card[2].product, "8086:56A0");
    assert_string_equal(m.cards.card[4].uuid, "GPU-a1b2c3d4e5f60718");
    memory_of_process(77, &use);
    assert_int_equal(use.n, 4);
    assert_true(use.bytes[0] == 6 * MIB && use.bytes[1] == 100 * MIB);
    assert_true(use.bytes[2] == 77 * MIB && use.bytes[3] == 0);
    memory_finish();
}

/* Two engines share 8 MiB, and both have locked them. */
static void test_locked_pages_count_once(void **state)
{
    struct memory_use use;
    (void)state;
    setenv("HOSTLER_NVML", "/nonexistent.so", 1);
    memory_init_at(tree);
    tree_write("/proc/77/status", "RssAnon:\t 1024 kB\nRssFile:\t 9216 kB\nVmLck:\t 8192 kB\n");
    memory_of_process(77, &use); /* kernels before 4.14 */
    assert_true(use.bytes[0] == 9 * MIB);
    tree_write("/proc/77/smaps_rollup", "Pss_File:\t 4608 kB\nLocked:\t 4096 kB\n");
    memory_of_process(77, &use);
    assert_true(use.bytes[0] == 5 * MIB);
    tree_write("/proc/77/status", "RssAnon:\t 1024 kB\nRssFile:\t 9216 kB\nVmLck:\t 0 kB\n");
    memory_of_process(77, &use);
    assert_true(use.bytes[0] == 1 * MIB);
    memory_finish();
}

static void remove_card(unsigned node)
{
    char file[256];
    static const char *const names[] = {"uevent", "mem_info_vram_total", "mem_info_vram_used"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(file, sizeof file, "%s/sys/class/drm/renderD%u/device/%s", tree, node, names[i]);
        assert_int_equal(unlink(file), 0);
    }
}

static void test_other_cards_that_come_and_go(void **state)
{
    struct memory_figures m;
    struct memory_use use;
    (void)state;
    setenv("HOSTLER_NVML", "/nonexistent.so", 1);
    write_host();
    write_card(129, "0000:43:00.0", 24576 * MIB, 0);
    memory_init_at(tree);
    memory_rest();
    write_card(128, "0000:03:00.0", 16384 * MIB, 4096 * MIB);
    tree_write("/proc/77/fdinfo/9", "drm-pdev:\t0000:03:00.0\ndrm-client-id:\t4\n"
                                    "drm-resident-vram:\t77 MiB\n");
    memory_read(&m);
    memory_of_process(77, &use);
    assert_int_equal(m.n, 3);
    assert_true(m.device[1].total == 24576 * MIB && m.device[2].total == 16384 * MIB);
    assert_string_equal(m.device[2].name, "gpu1");
    assert_true(use.bytes[1] == 0 && use.bytes[2] == 77 * MIB);
    remove_card(129);
    memory_read(&m); /* it does not answer, */
    memory_read(&m); /* and is not there */
    assert_true(m.device[1].gone && m.cards.n == 1 && !m.silent);
    write_card(131, "0000:43:00.0", 24576 * MIB, MIB);
    memory_read(&m);
    assert_true(!m.device[1].gone && m.device[1].available == 24575 * MIB);
    memory_finish();
}

static void test_cards_alone(void **state)
{
    struct memory_figures m;
    (void)state;
    setenv("HOSTLER_NVML", "/nonexistent.so", 1);
    for (unsigned i = 0; i < 20; i++) {
        char pci[16];
        snprintf(pci, sizeof pci, "0000:%02x:00.0", i);
        write_card(128 + i, pci, 1000, 1);
    }
    memory_init_at(tree);
    memory_read(&m);
    assert_int_equal(m.n, MEMORY_DEVICES_MAX);
    assert_string_equal(m.device[1].name, "gpu0");
    assert_string_equal(m.device[16].name, "gpu15");
    memory_finish();
}

static void write_group(uint64_t limit, uint64_t used)
{
    tree_write("/proc/self/cgroup", "0::/hostler\n");
    tree_write("/proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    tree_write("/sys/fs/cgroup/hostler/memory.max", "%llu\n", (unsigned long long)limit);
    tree_write("/sys/fs/cgroup/hostler/memory.current", "%llu\n", (unsigned long long)used);
}

static void assert_host(uint64_t total, uint64_t available)
{
    struct memory_figures m;
    memory_init_at(tree);
    memory_read(&m);
    assert_true(m.device[0].total == total);
    assert_true(m.device[0].available == available);
    memory_finish();
}

static void test_group(void **state)
{
    (void)state;
    setenv("HOSTLER_NVML", "/nonexistent.so", 1);
    write_host();
    assert_host(8192 * MIB, 6144 * MIB);
    write_group(4096 * MIB, 1000 * MIB);
    assert_host(4096 * MIB, 3096 * MIB);
    write_group(7168 * MIB, 512 * MIB); /* there is room, but the machine has less */
    assert_host(7168 * MIB, 6144 * MIB);
    write_group(65536 * MIB, 512 * MIB);
    assert_host(8192 * MIB, 6144 * MIB);
}

/* --- budgets */

#define GIB (1024 * MIB)

static void test_margin(void **state)
{
    struct memory_device host = {.name = "host", .total = 64 * GIB},
                         gpu = {.name = "gpu0", .total = 24 * GIB};
    (void)state;
    assert_true(memory_margin(&host) == 64 * GIB / 20);
    assert_true(memory_margin(&gpu) == 24 * GIB / 50);
    host.total = gpu.total = 4 * GIB;
    assert_true(memory_margin(&host) == 512 * MIB);
    assert_true(memory_margin(&gpu) == 256 * MIB);
    host.total = gpu.total = 600 * MIB; /* a part of what is there, not more than that */
    assert_true(memory_margin(&host) == 75 * MIB);
    assert_true(memory_margin(&gpu) == 75 * MIB);
    host.total = 0;
    assert_true(memory_margin(&host) == 0);
}

static void test_capacity(void **state)
{
    const struct memory_device d = {.name = "gpu0", .total = 24 * GIB, .available = 10 * GIB};
    (void)state;
    assert_true(memory_capacity(&d, 0, 0, 0) == 10 * GIB);
    assert_true(memory_capacity(&d, 8 * GIB, 0, GIB) == 17 * GIB);
    assert_true(memory_capacity(&d, 8 * GIB, 12 * GIB, GIB) == 12 * GIB);
    assert_true(memory_capacity(&d, 0, 12 * GIB, GIB) == 10 * GIB);
    assert_true(memory_capacity(&d, 0, 0, 11 * GIB) == 0);
    assert_true(memory_capacity(&d, 20 * GIB, 0, GIB) == 23 * GIB); /* counted twice somewhere */
    assert_true(memory_capacity(&d, UINT64_MAX, 0, GIB) == 23 * GIB);
    assert_true(memory_capacity(&d, 1, 0, UINT64_MAX) == 0);
}

static void test_ceiling(void **state)
{
    const struct memory_device d = {.name = "gpu0", .total = 24 * GIB, .available = 10 * GIB},
                               silent = {.name = "gpu1"};
    (void)state;
    assert_true(memory_ceiling(&d, 0, GIB) == 23 * GIB);
    assert_true(memory_ceiling(&d, 20 * GIB, GIB) == 20 * GIB);
    assert_true(memory_ceiling(&d, 100 * GIB, GIB) == 24 * GIB);
    assert_true(memory_ceiling(&d, 0, 25 * GIB) == 0);
    assert_true(memory_ceiling(&silent, 0, 256 * MIB) == 0);
}

static void test_limits(void **state)
{
    struct memory_limits l;
    struct error err = {0};
    (void)state;
    assert_int_equal(memory_limits_parse("host=8G, gpu0=20G,gpu1=0", &l, &err), 0);
    assert_int_equal(l.n, 3);
    assert_string_equal(l.limit[1].name, "gpu0");
    assert_true(memory_limit_of(&l, "host") == 8 * GIB);
    assert_true(memory_limit_of(&l, "gpu0") == 20 * GIB);
    assert_true(memory_limit_of(&l, "gpu1") == 0 && memory_limit_of(&l, "gpu") == 0);
    assert_int_equal(memory_limits_parse("1.5G", &l, &err), 0);
    assert_int_equal(l.n, 1);
    assert_true(memory_limit_of(&l, "host") == 3 * GIB / 2);
    assert_int_equal(memory_limits_parse("gpu0=1G,2G", &l, &err), 0);
    assert_true(memory_limit_of(&l, "host") == 2 * GIB && memory_limit_of(&l, "gpu0") == GIB);
    assert_string_equal(err.text, "");
}

static void test_refused_limits(void **state)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "''"},
        {" , ", "' , '"},
        {"host", "'host'"},
        {"host=", "''"},
        {"host=8GB", "'8GB'"},
        {"host=8G,gpu0=much", "'much'"},
        {"=8G", "'=8G'"},
        {"a-name-of-16-byte=8G", "names no device"},
        {"gpu0=1G,gpu0=2G", "gpu0 has a limit already"},
        {"1G,host=2G", "host has a limit already"},
        {"a=1M,b=1M,c=1M,d=1M,e=1M,f=1M,g=1M,h=1M,i=1M,j=1M,k=1M,l=1M,m=1M,n=1M,o=1M,p=1M,q=1M,r="
         "1M",
         "'r=1M'"},
    };
    struct memory_limits l = {.n = 7};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error err = {0};
        assert_true(memory_limits_parse(bad[i].text, &l, &err) < 0);
        if (!strstr(err.text, bad[i].says))
            fail_msg("%s: %s", bad[i].text, err.text);
    }
    assert_int_equal(l.n, 7);
}

#define TREE(f) cmocka_unit_test_setup_teardown(f, tree_setup, tree_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host),
        cmocka_unit_test(test_process),
        TREE(test_gpus),
        TREE(test_cards),
        TREE(test_instances),
        TREE(test_many_processes),
        TREE(test_cards_that_come_and_go),
        TREE(test_a_card_that_comes),
        TREE(test_a_driver_that_comes),
        TREE(test_instances_that_change),
        TREE(test_other_cards_that_come_and_go),
        TREE(test_silent_gpu),
        TREE(test_broken_nvml),
        TREE(test_cards_after_nvml),
        TREE(test_locked_pages_count_once),
        TREE(test_cards_alone),
        TREE(test_group),
        cmocka_unit_test(test_margin),
        cmocka_unit_test(test_capacity),
        cmocka_unit_test(test_ceiling),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_refused_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
