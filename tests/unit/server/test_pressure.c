/* SPDX-License-Identifier: MIT */
/* With urgent data of a TCP connection for the kernel's trigger, since that is POLLPRI as well, and with a plain file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "../engine/tree.h"
#include "engine/memory.h"
#include "server/pressure.h"
#include "urgent.h"

static uv_loop_t loop;
static struct pressure pressure;
static char file[PATH_MAX];
static int felt;
static bool closed;

static void on_felt(struct pressure *p)
{
    assert_ptr_equal(p, &pressure);
    assert_false(p->listening);
    felt++;
}

static void on_closed(struct pressure *p)
{
    assert_ptr_equal(p, &pressure);
    closed = true;
}

static int set_up(void **state)
{
    felt = 0;
    closed = false;
    if (tree_setup(state))
        return -1;
    tree_write("/memory.events", "max 0\n");
    snprintf(file, sizeof file, "%s/memory.events", tree);
    return uv_loop_init(&loop);
}

static int tear_down(void **state)
{
    pressure_close(&pressure, on_closed);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(closed);
    return uv_loop_close(&loop) || tree_teardown(state);
}

static void await_felt(int n)
{
    while (felt < n && uv_run(&loop, UV_RUN_ONCE))
        ;
    assert_int_equal(felt, n);
}

/* Whatever has come already is dealt with. */
static void look(void)
{
    for (int i = 0; i < 3; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
}

static void the_trigger_is_felt_once_until_it_is_listened_to_again(void **state)
{
    struct urgent u;
    (void)state;
    urgent_open(&u);
    pressure_init(&pressure, &loop, u.fd, NULL, on_felt);
    urgent_send(&u);
    look();
    assert_int_equal(felt, 0); /* it does not listen yet */
    pressure_listen(&pressure);
    pressure_listen(&pressure);
    await_felt(1);
    look();
    assert_int_equal(felt, 1);
    urgent_take(&u);
    pressure_listen(&pressure);
    look();
    assert_int_equal(felt, 1);
    urgent_send(&u);
    await_felt(2);
    pressure_listen(&pressure);
    pressure_ignore(&pressure);
    look();
    assert_int_equal(felt, 2);
    urgent_close(&u);
}

static void so_are_the_groups_events(void **state)
{
    (void)state;
    pressure_init(&pressure, &loop, -1, file, on_felt);
    tree_write("/memory.events", "max 1\n");
    look();
    assert_int_equal(felt, 0);
    pressure_listen(&pressure);
    tree_write("/memory.events", "max 2\n");
    await_felt(1);
    tree_write("/memory.events", "max 3\n");
    look();
    assert_int_equal(felt, 1);
    pressure_listen(&pressure);
    tree_write("/memory.events", "max 4\n");
    await_felt(2);
}

/* Descriptors that cannot be polled, and files that do not exist, cost nothing but the report. */
static void where_the_kernel_reports_nothing(void **state)
{
    (void)state;
    pressure_init(&pressure, &loop, open(file, O_RDWR | O_CLOEXEC), "/nonexistent", on_felt);
    pressure_listen(&pressure);
    assert_false(uv_loop_alive(&loop)); /* nothing will wake it */
    assert_int_equal(felt, 0);
}

static void the_kernels_own_trigger(void **state)
{
    (void)state;
    memory_init_at("");
    int fd = memory_pressure_open();
    if (fd >= 0) {
        pressure_init(&pressure, &loop, fd, memory_events_file(), on_felt);
        assert_int_equal(pressure.fd, fd);
        pressure_listen(&pressure);
        look();
    } else {
        pressure_init(&pressure, &loop, -1, NULL, on_felt);
        assert_true(fd == -ENOENT || fd == -EPERM || fd == -EACCES || fd == -EOPNOTSUPP ||
                    fd == -EINVAL);
    }
    memory_finish();
}

static void where_the_files_lie(void **state)
{
    (void)state;
    memory_init_at(tree);
    assert_null(memory_events_file());
    assert_int_equal(memory_pressure_open(), -ENOENT);
    memory_finish();
    tree_write("/proc/self/cgroup", "0::/a\n");
    tree_write("/proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    tree_write("/sys/fs/cgroup/a/memory.pressure", "some\n");
    memory_init_at(tree);
    assert_null(memory_events_file());
    close(memory_pressure_open());
    tree_write("/sys/fs/cgroup/a/memory.events", "max 0\n");
    assert_non_null(strstr(memory_events_file(), "/sys/fs/cgroup/a/memory.events"));
    memory_finish();
    char text[64] = "", path[PATH_MAX];
    snprintf(path, sizeof path, "%s/sys/fs/cgroup/a/memory.pressure", tree);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    assert_true(fread(text, 1, sizeof text - 1, f) > 0);
    fclose(f);
    assert_string_equal(text, "some 150000 2000000");
    pressure_init(&pressure, &loop, -1, NULL, on_felt);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_trigger_is_felt_once_until_it_is_listened_to_again),
        CASE(so_are_the_groups_events),
        CASE(where_the_kernel_reports_nothing),
        CASE(the_kernels_own_trigger),
        CASE(where_the_files_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
