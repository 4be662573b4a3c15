/* SPDX-License-Identifier: MIT */
/*
 * A libuv loop, a folder for sockets, and scripted peers: plain non-blocking sockets that are moved
 * on between the loop's rounds. Unix sockets within one process deliver at once, so a test can wait
 * for a condition (UNTIL) and also for rest (loop_settle), and never has to sleep.
 */
#ifndef HOSTLER_TESTS_LOOP_TEST_H
#define HOSTLER_TESTS_LOOP_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "base/buf.h"

#define PEERS_MAX 16
#define LIMIT_MS 10000 /* of a wait; a condition that comes at all comes at once */

struct peer {
    int fd;         /* -1: closed by us, or never opened */
    struct buf in;  /* what came */
    struct buf out; /* what is still to be sent */
    bool deaf;      /* does not read */
    bool ended;     /* the other side closed, */
    bool reset;     /* or the connection broke */
};

struct loop_test {
    uv_loop_t loop;
    char folder[32];
    char path[64]; /* of a unix socket in it */
    struct peer peer[PEERS_MAX];
    unsigned n_peers;
};

static inline void loop_test_init(struct loop_test *t)
{
    *t = (struct loop_test){0};
    signal(SIGPIPE, SIG_IGN); /* as the daemon does: libuv writes without MSG_NOSIGNAL */
    assert_int_equal(uv_loop_init(&t->loop), 0);
    snprintf(t->folder, sizeof t->folder, "/tmp/hostler-http-XXXXXX");
    assert_non_null(mkdtemp(t->folder));
    snprintf(t->path, sizeof t->path, "%s/a.sock", t->folder);
}

static inline void peer_close(struct peer *p)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
}

/* Every handle must have been closed: the loop runs dry, and says so. */
static inline void loop_test_finish(struct loop_test *t)
{
    for (unsigned i = 0; i < t->n_peers; i++) {
        peer_close(&t->peer[i]);
        buf_finish(&t->peer[i].in);
        buf_finish(&t->peer[i].out);
    }
    uv_run(&t->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&t->loop), 0);
    unlink(t->path);
    assert_int_equal(rmdir(t->folder), 0);
}

/* --- peers ------------------------------------------------------------------------------- */

static inline bool peer_send_some(struct peer *p)
{
    if (p->fd < 0 || !p->out.len)
        return false;
    ssize_t n = send(p->fd, p->out.data, p->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0)
        buf_consume(&p->out, (size_t)n);
    else if (errno != EAGAIN)
        buf_clear(&p->out); /* the other side reads no more */
    return n > 0;
}

static inline bool peer_read_some(struct peer *p)
{
    static char piece[65536];
    if (p->fd < 0 || p->deaf || p->ended || p->reset)
        return false;
    ssize_t n = recv(p->fd, piece, sizeof piece, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return false;
    p->ended = n == 0;
    p->reset = n < 0;
    if (n > 0)
        assert_int_equal(buf_append(&p->in, piece, (size_t)n), 0);
    return true;
}

static inline bool loop_pump(struct loop_test *t)
{
    bool moved = false;
    for (unsigned i = 0; i < t->n_peers; i++) {
        moved |= peer_send_some(&t->peer[i]);
        moved |= peer_read_some(&t->peer[i]);
    }
    return moved;
}

static inline struct peer *peer_add(struct loop_test *t, int fd)
{
    assert_true(t->n_peers < PEERS_MAX);
    struct peer *p = &t->peer[t->n_peers++];
    *p = (struct peer){.fd = fd};
    buf_init(&p->in, BUF_UNBOUNDED);
    buf_init(&p->out, BUF_UNBOUNDED);
    return p;
}

static inline struct sockaddr_un unix_address(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    return a;
}

static inline struct peer *peer_connect(struct loop_test *t)
{
    struct sockaddr_un a = unix_address(t->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return peer_add(t, fd);
}

static inline void peer_send_bytes(struct peer *p, const void *data, size_t len)
{
    assert_int_equal(buf_append(&p->out, data, len), 0);
    peer_send_some(p);
}

static inline void peer_send(struct peer *p, const char *text)
{
    peer_send_bytes(p, text, strlen(text));
}

/* `len` times the same letter. */
static inline void peer_send_fill(struct peer *p, size_t len)
{
    char *fill = malloc(len);
    assert_non_null(fill);
    memset(fill, 'x', len);
    peer_send_bytes(p, fill, len);
    free(fill);
}

/* What came; without Date, which is no test's to foresee. */
static inline const char *peer_text(struct peer *p)
{
    static const char date[] = "\r\nDate: ";
    char *at;
    while (p->in.len && (at = memmem(p->in.data, p->in.len, date, sizeof date - 1))) {
        char *end = at + sizeof date - 1 + 29; /* RFC 9110, 5.6.7: of fixed length */
        assert_true(end + 2 <= p->in.data + p->in.len && memcmp(end - 4, " GMT\r\n", 6) == 0);
        memmove(at, end, (size_t)(p->in.data + p->in.len - end));
        p->in.len -= (size_t)(end - at);
    }
    return buf_cstr(&p->in);
}

static inline bool peer_has(struct peer *p, const char *text)
{
    peer_text(p);
    return p->in.len && memmem(p->in.data, p->in.len, text, strlen(text));
}

/* A listening unix socket at the test's path, for peer_accept(). */
static inline int listen_at(const char *path, int backlog)
{
    struct sockaddr_un a = unix_address(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

/* --- the loop ---------------------------------------------------------------------------- */

static inline void loop_wait(struct loop_test *t)
{
    struct pollfd fd[PEERS_MAX + 1] = {{.fd = uv_backend_fd(&t->loop), .events = POLLIN}};
    for (unsigned i = 0; i < t->n_peers; i++) {
        const struct peer *p = &t->peer[i];
        bool reads = !p->deaf && !p->ended && !p->reset;
        fd[i + 1].fd = reads || p->out.len ? p->fd : -1;
        fd[i + 1].events = (short)((reads ? POLLIN : 0) | (p->out.len ? POLLOUT : 0));
    }
    int timeout = uv_backend_timeout(&t->loop);
    poll(fd, t->n_peers + 1, timeout < 0 || timeout > 50 ? 50 : timeout);
}

static inline void loop_round(struct loop_test *t)
{
    uv_run(&t->loop, UV_RUN_NOWAIT);
    loop_pump(t);
}

static inline bool loop_has_work(struct loop_test *t)
{
    struct pollfd backend = {.fd = uv_backend_fd(&t->loop), .events = POLLIN};
    if (!uv_loop_alive(&t->loop))
        return false;
    return uv_backend_timeout(&t->loop) == 0 || poll(&backend, 1, 0) > 0;
}

/* Until nobody has anything left to do. */
static inline void loop_settle(struct loop_test *t)
{
    bool moved;
    do {
        uv_run(&t->loop, UV_RUN_NOWAIT);
        moved = loop_pump(t);
    } while (moved || loop_has_work(t));
}

static inline void loop_until_step(struct loop_test *t, uint64_t since, const char *what)
{
    if (uv_hrtime() - since > (uint64_t)LIMIT_MS * 1000000)
        fail_msg("waited in vain for: %s", what);
    loop_round(t);
}

#define UNTIL(t, condition)                                                                        \
    for (uint64_t since_ = uv_hrtime(); !(condition); loop_wait(t)) {                              \
        loop_until_step(t, since_, #condition);                                                    \
        if (condition)                                                                             \
            break;                                                                                 \
    }

/* --- an origin: a listening unix socket whose connections the test plays ------------------------
 */

/* The origin's side of the next connection; it must have been opened by now. */
/* An origin that does not read yet. */
static inline struct peer *origin_accept_deaf(struct loop_test *t, int listening)
{
    int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    struct peer *p = peer_add(t, fd);
    p->deaf = true;
    return p;
}

static inline struct peer *origin_accept(struct loop_test *t, int listening)
{
    struct peer *p = origin_accept_deaf(t, listening);
    p->deaf = false;
    loop_settle(t);
    return p;
}

static inline bool origin_is_called(int listening)
{
    struct pollfd fd = {.fd = listening, .events = POLLIN};
    return poll(&fd, 1, 0) > 0;
}

/* An empty socket file that nobody listens on any more stays behind. */
static inline void origin_close(int *listening)
{
    if (*listening >= 0)
        close(*listening);
    *listening = -1;
}

#endif
