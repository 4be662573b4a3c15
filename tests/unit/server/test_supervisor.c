/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "server/supervisor.h"

static int receiver = -1;
static char path[64];

static int set_up(void **state)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = 20};
    (void)state;
    snprintf(path, sizeof path, "/tmp/hostler-supervisor-%d", (int)getpid());
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    unlink(path);
    receiver = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(receiver, (struct sockaddr *)&a, sizeof a), 0);
    setsockopt(receiver, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setenv("NOTIFY_SOCKET", path, 1);
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "WATCHDOG_PID",
                                        "WATCHDOG_USEC"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    close(receiver);
    unlink(path);
    return 0;
}

static const char *received(void)
{
    static char text[4096];
    ssize_t n = recv(receiver, text, sizeof text - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
    return text;
}

/* A status may quote a file; it must not pass for an assignment of its own. */
static void a_status_is_one_line(void **state)
{
    struct supervisor s;
    (void)state;
    supervisor_init(&s);
    assert_null(getenv("NOTIFY_SOCKET"));
    supervisor_tell(&s, "READY=1", "line 1: %s", "a\nSTOPPING=1");
    assert_string_equal(received(), "READY=1\nSTATUS=line 1: a STOPPING=1");
    supervisor_tell(&s, NULL, "alone");
    assert_string_equal(received(), "STATUS=alone");
    supervisor_finish(&s);
    supervisor_tell(&s, NULL, "to nobody");
}

static void names_that_are_no_address(void **state)
{
    static const char *const names[] = {"", "/", "@", "relative", "vsock:2:1234"};
    struct supervisor s;
    char longest[120];
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        setenv("NOTIFY_SOCKET", names[i], 1);
        supervisor_init(&s);
        assert_int_equal(s.socket, -1);
    }
    memset(longest, 'x', sizeof longest);
    longest[0] = '/';
    longest[sizeof longest - 1] = '\0';
    setenv("NOTIFY_SOCKET", longest, 1);
    supervisor_init(&s);
    assert_int_equal(s.socket, -1);
}

static void init_with(struct supervisor *s, const char *name, const char *value, pid_t pid)
{
    char text[16];
    snprintf(text, sizeof text, "%d", (int)pid);
    setenv("LISTEN_PID", text, 1);
    setenv("WATCHDOG_PID", text, 1);
    setenv(name, value, 1);
    supervisor_init(s);
    supervisor_finish(s);
    assert_null(getenv(name));
}

static void numbers(void **state)
{
    static const char *const bad[] = {"", "-1", " 1", "1x", "x", "99999999999999999999", "0"};
    struct supervisor s;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        init_with(&s, "LISTEN_FDS", bad[i], getpid());
        assert_int_equal(s.n_sockets, 0);
        init_with(&s, "WATCHDOG_USEC", bad[i], getpid());
        assert_int_equal(s.watchdog_us, 0);
    }
    init_with(&s, "WATCHDOG_USEC", "3000000", getpid());
    assert_int_equal(s.watchdog_us, 3000000);
    init_with(&s, "WATCHDOG_USEC", "3000000", getpid() + 1);
    assert_int_equal(s.watchdog_us, 0);
    init_with(&s, "LISTEN_FDS", "2", getpid() + 1);
    assert_int_equal(s.n_sockets, 0);
}

static void sockets_are_closed_in_children(void **state)
{
    struct supervisor s;
    int kept = dup(SUPERVISOR_FIRST_SOCKET); /* may be somebody's */
    (void)state;
    assert_true(dup2(receiver, SUPERVISOR_FIRST_SOCKET) == SUPERVISOR_FIRST_SOCKET);
    init_with(&s, "LISTEN_FDS", "1", getpid());
    assert_int_equal(s.n_sockets, 1);
    assert_true(fcntl(SUPERVISOR_FIRST_SOCKET, F_GETFD) & FD_CLOEXEC);
    if (kept >= 0) {
        dup2(kept, SUPERVISOR_FIRST_SOCKET);
        close(kept);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_status_is_one_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_that_are_no_address, set_up, tear_down),
        cmocka_unit_test_setup_teardown(numbers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sockets_are_closed_in_children, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
