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

#define MIB ((uint64_t)1 << 20)

static void test_host(void **state)
{
    struct memory_figures m;
    struct memory_use use;
    (void)state;
    log_setup(LOG_ERROR, LOG_TEXT);
    setenv("HOSTLER_NVML", "/nonexistent.so", 1);
    memory_init();
    assert_false(memory_has_gpu());
    memory_read(&m);
    assert_int_equal(m.n, 1);
    assert_string_equal(m.device[0].name, "host");
    assert_true(m.device[0].total > 64 * MIB);
    assert_in_range(m.device[0].available, 1, m.device[0].total);
    memory_of_process(getpid(), &use);
    assert_int_equal(use.n, 1);
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
    memory_init();
    assert_true(memory_has_gpu());
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
    memory_finish();
    assert_false(memory_has_gpu());
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
    memory_init();
    memory_of_process(1199, &use);
    assert_true(use.bytes[1] == MIB);
    memory_finish();
}

/* A GPU that tells no memory is left out; the others keep their numbers. */
static void test_silent_gpu(void **state)
{
    struct memory_figures m;
    (void)state;
    use_fake();
    setenv("FAKE_NVML_SILENT", "0", 1);
    memory_init();
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
    memory_init();
    memory_read(&m);
    assert_int_equal(m.n, 1);
    memory_finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host),       cmocka_unit_test(test_process),
        cmocka_unit_test(test_gpus),       cmocka_unit_test(test_many_processes),
        cmocka_unit_test(test_silent_gpu), cmocka_unit_test(test_broken_nvml),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
