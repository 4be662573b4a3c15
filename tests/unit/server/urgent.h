/* SPDX-License-Identifier: MIT */
/* A descriptor that poll() reports as POLLPRI when the test says so: one end of a TCP connection. */
#ifndef HOSTLER_TESTS_URGENT_H
#define HOSTLER_TESTS_URGENT_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

struct urgent {
    int fd; /* polled; its owner closes it */
    int peer, copy;
};

static inline void urgent_open(struct urgent *u)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof a;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&a, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &size), 0);
    u->peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(u->peer, (struct sockaddr *)&a, size), 0);
    u->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    u->copy = fcntl(u->fd, F_DUPFD_CLOEXEC, 0);
    assert_true(u->fd >= 0 && u->copy >= 0);
    close(listener);
}

static inline void urgent_send(struct urgent *u)
{
    struct pollfd there = {.fd = u->copy, .events = POLLPRI};
    assert_int_equal(send(u->peer, "!", 1, MSG_OOB), 1);
    assert_int_equal(poll(&there, 1, -1), 1);
}

static inline void urgent_take(struct urgent *u)
{
    char byte;
    assert_int_equal(recv(u->copy, &byte, 1, MSG_OOB), 1);
}

static inline void urgent_close(struct urgent *u)
{
    close(u->peer);
    close(u->copy);
}

#endif
