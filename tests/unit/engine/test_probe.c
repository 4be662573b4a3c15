/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/children.h"
#include "engine/probe.h"

static int run(struct probe *p, const char *script, uint64_t timeout_ms, struct error *err)
{
    char *argv[] = {"sh", "-c", (char *)script, NULL};
    return probe_run(p, argv, environ, timeout_ms, err);
}

/* In place of libc's. While `survives` is set, processes that were killed are not to be reaped, as if they
 * waited in a driver. */
static bool survives;

pid_t waitpid(pid_t pid, int *status, int flags)
{
    if (survives && pid > 0)
        return flags & WNOHANG ? 0 : (pid_t)pause();
    return (pid_t)syscall(SYS_wait4, pid, status, flags, NULL);
}

/* In place of libc's. While `late` is set, the next call is told of no output, though its process writes and ends
 * before it returns. */
static bool late;

int poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    struct timespec t = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
    siginfo_t info;
    if (!late)
        return (int)syscall(SYS_ppoll, fds, n, timeout_ms < 0 ? NULL : &t, NULL, 0);
    late = false;
    waitid(P_ALL, 0, &info, WEXITED | WNOWAIT);
    return 0;
}

/* Nothing of ours is left: neither running nor to be reaped. */
static void assert_no_children(void)
{
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void output_and_code(void **state)
{
    (void)state;
    struct probe p;
    struct error err = {0};
    assert_int_equal(run(&p, "echo out; echo err >&2; exit 5", 10000, &err), 0);
    assert_string_equal(buf_cstr(&p.out), "out\n");
    assert_string_equal(buf_cstr(&p.err), "err\n");
    assert_int_equal(p.code, 5);
    assert_int_equal(p.signal, 0);
    probe_finish(&p);
    assert_no_children();
}

static void by_signal(void **state)
{
    (void)state;
    struct probe p;
    struct error err = {0};
    assert_int_equal(run(&p, "kill -TERM $$", 10000, &err), 0);
    assert_int_equal(p.code, -1);
    assert_int_equal(p.signal, SIGTERM);
    probe_finish(&p);
}

static void much_output(void **state)
{
    (void)state;
    struct probe p;
    struct error err = {0};
    assert_int_equal(run(&p, "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2", 10000, &err),
                     0);
    assert_int_equal(p.out.len, 300000);
    assert_int_equal(p.err.len, 300000);
    probe_finish(&p);
    assert_int_equal(run(&p, "cat /dev/zero", 10000, &err), -ENOBUFS);
    probe_finish(&p);
    assert_no_children();
}

/* Each hangs in its own way: silent, with its pipes closed. */
static void timeouts(void **state)
{
    (void)state;
    static const char *const scripts[] = {"exec sleep 100", "exec >&- 2>&-; exec sleep 100"};
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        struct probe p;
        struct error err = {0};
        assert_int_equal(run(&p, scripts[i], 100, &err), -ETIMEDOUT);
        assert_non_null(strstr(err.text, "100 ms"));
        probe_finish(&p);
        assert_no_children();
    }
}

/* A script's helper that keeps the pipes does not keep the answer back, and does not stay. */
static void what_it_leaves_behind(void **state)
{
    (void)state;
    struct probe p;
    struct error err = {0};
    assert_int_equal(run(&p, "echo answer; sleep 100 & exit 3", 60000, &err), 0);
    assert_int_equal(p.code, 3);
    assert_int_equal(p.out.len, strlen("answer\n"));
    probe_finish(&p);
    assert_no_children();
}

/* Between the last look for output and the look for its end it writes and ends. */
static void last_output(void **state)
{
    (void)state;
    struct probe p;
    struct error err = {0};
    late = true;
    assert_int_equal(run(&p, "sleep 100 & head -c 40000 /dev/zero; echo err >&2", 60000, &err), 0);
    assert_int_equal(p.out.len, 40000);
    assert_string_equal(buf_cstr(&p.err), "err\n");
    probe_finish(&p);
    assert_no_children();
}

static void cannot_start(void **state)
{
    (void)state;
    char *argv[] = {"/nonexistent/binary", NULL};
    struct probe p;
    struct error err = {0};
    assert_int_equal(probe_run(&p, argv, environ, 1000, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/nonexistent/binary"));
    probe_finish(&p);
    assert_no_children();
}

static void on_turn(uv_timer_t *timer)
{
    (void)timer;
}

/* As the daemon's loop does. */
static void reap_all(void)
{
    uv_loop_t loop;
    uv_timer_t keep; /* the reaper does not keep the loop running */
    uv_loop_init(&loop);
    uv_timer_init(&loop, &keep);
    uv_timer_start(&keep, on_turn, 0, 5);
    children_reap(&loop);
    kill(getpid(), SIGCHLD);
    while (children_exist())
        uv_run(&loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&keep, NULL);
    children_reap_end(&loop);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void one_that_survives_sigkill(void **state)
{
    (void)state;
    struct probe p;
    struct error err = {0};
    survives = true;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(run(&p, "sleep 1000", 1, &err), -ETIMEDOUT); /* and comes back */
        probe_finish(&p);
    }
    assert_int_equal(run(&p, "true", 10000, &err), -EAGAIN);
    assert_non_null(strstr(err.text, "sh is not run: 4 commands before it survive SIGKILL"));
    probe_finish(&p);
    survives = false;
    /* Nobody but the reaper waits for them. */
    assert_int_equal(run(&p, "true", 10000, &err), -EAGAIN);
    probe_finish(&p);
    reap_all();
    assert_int_equal(run(&p, "true", 10000, &err), 0);
    probe_finish(&p);
    assert_no_children();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_and_code),       cmocka_unit_test(by_signal),
        cmocka_unit_test(much_output),           cmocka_unit_test(timeouts),
        cmocka_unit_test(what_it_leaves_behind), cmocka_unit_test(last_output),
        cmocka_unit_test(cannot_start),          cmocka_unit_test(one_that_survives_sigkill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
