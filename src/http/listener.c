/* SPDX-License-Identifier: MIT */
#include "http/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "http/tcp.h"
#include "http/unix_socket.h"

#define BACKLOG 1024
#define ACCEPTS_MAX 64      /* a turn of the loop, so that those who are served have theirs */
#define TELL_AGAIN_MS 60000 /* that connections cannot be accepted */

struct listener {
    uv_poll_t poll;
    uv_timer_t retry;
    int fd;
    unsigned open_handles;
    char *unix_path;          /* NULL: TCP */
    struct unix_socket owned; /* its file, if this listener made one */
    uint64_t told_at;         /* when it was logged that none can be accepted; 0: never */
    const struct listener_events *events;
    void *ctx;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

/* --- accepting ----------------------------------------------------------------------------------
 */

static void on_readable(uv_poll_t *poll, int status, int events);

static void on_retry(uv_timer_t *timer)
{
    struct listener *l = timer->data;
    uv_poll_start(&l->poll, UV_READABLE, on_readable);
}

static void tell_full(struct listener *l, int error)
{
    uint64_t now = uv_now(l->poll.loop);
    if (l->told_at && now - l->told_at < TELL_AGAIN_MS)
        return;
    l->told_at = now ? now : 1;
    log_warn(
        "cannot accept a connection: %s; tried again until it succeeds (is the limit of open files "
        "too low?)",
        strerror(error));
}

/* The socket stays readable: without a pause the loop would do nothing else. */
static void wait_for_room(struct listener *l, int error)
{
    tell_full(l, error);
    uv_poll_stop(&l->poll);
    uv_timer_start(&l->retry, on_retry, LISTENER_RETRY_MS, 0);
}

/* Where no descriptor is left, accept() says so even if there is nobody to accept. */
static bool somebody_waits(const struct listener *l)
{
    struct pollfd listening = {.fd = l->fd, .events = POLLIN};
    return poll(&listening, 1, 0) > 0;
}

/* One waiting connection; false: no further one for now. */
static bool accept_one(struct listener *l)
{
    int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    int error = fd < 0 ? errno : 0;
    if ((error == EMFILE || error == ENFILE) && !somebody_waits(l))
        return false;
    if ((error == EMFILE || error == ENFILE) && l->events->make_room(l->ctx)) {
        fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        error = fd < 0 ? errno : 0;
    }
    switch (error) {
    case 0:
        return l->events->accepted(l, fd, l->ctx);
    case EAGAIN:
    case EINTR:
        return false;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
        wait_for_room(l, error);
        return false;
    }
    return true; /* accept(2): an error of that connection alone, which ended with it */
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct listener *l = poll->data;
    (void)status, (void)events; /* of an error accept() tells */
    for (unsigned i = 0; i < ACCEPTS_MAX && !l->closed && accept_one(l); i++)
        ;
}

int listener_take(const struct listener *l, int fd, struct stream *s,
                  const struct stream_events *events)
{
    int rc;
    if (l->unix_path) {
        stream_init_pipe(s, l->poll.loop, events);
        rc = uv_pipe_open(&s->pipe, fd);
    } else {
        stream_init_tcp(s, l->poll.loop, events);
        tcp_tune(fd);
        rc = uv_tcp_open(&s->tcp, fd);
    }
    if (rc)
        close(fd);
    return rc;
}

/* --- the listener -------------------------------------------------------------------------------
 */

static void listener_free(struct listener *l)
{
    if (l->closed)
        l->closed(l->closed_ctx);
    free(l->unix_path);
    free(l);
}

static void on_closed(uv_handle_t *handle)
{
    struct listener *l = handle->data;
    if (!--l->open_handles)
        listener_free(l);
}

static void ignore_closed(void *ctx)
{
    (void)ctx;
}

void listener_close(struct listener *l, void (*closed)(void *ctx), void *ctx)
{
    l->closed = closed ? closed : ignore_closed;
    l->closed_ctx = ctx;
    uv_close((uv_handle_t *)&l->poll, on_closed);
    uv_close((uv_handle_t *)&l->retry, on_closed);
    unix_socket_remove(&l->owned, l->unix_path);
    close(l->fd); /* the poll handle no longer watches it */
}

/* Takes `fd`, which listens, over; NULL when it cannot be watched. */
static struct listener *listener_create(uv_loop_t *loop, int fd,
                                        const struct listener_events *events, void *ctx, int *rc)
{
    struct listener *l = mem_zalloc(sizeof *l);
    *rc = uv_poll_init(loop, &l->poll, fd);
    if (*rc) {
        free(l);
        close(fd);
        return NULL;
    }
    uv_timer_init(loop, &l->retry);
    l->poll.data = l->retry.data = l;
    l->open_handles = 2;
    l->fd = fd;
    l->events = events;
    l->ctx = ctx;
    uv_poll_start(&l->poll, UV_READABLE, on_readable);
    return l;
}

bool listener_means_unix(const char *host)
{
    size_t n = strlen(host);
    return n > 5 && strcmp(host + n - 5, ".sock") == 0;
}

/* --- TCP ----------------------------------------------------------------------------------------
 */

struct address {
    struct sockaddr_storage sockaddr;
    socklen_t len;
};

static int resolve(uv_loop_t *loop, const char *host, int port, struct address *out,
                   struct error *err)
{
    uv_getaddrinfo_t request;
    char service[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    snprintf(service, sizeof service, "%d", port);
    int rc = uv_getaddrinfo(loop, &request, NULL, host, service, &hints);
    if (rc)
        return error_set(err, rc, "cannot resolve --host %s: %s; give an address of this machine",
                         host, uv_strerror(rc));
    out->len = request.addrinfo->ai_addrlen;
    memcpy(&out->sockaddr, request.addrinfo->ai_addr, out->len);
    uv_freeaddrinfo(request.addrinfo);
    return 0;
}

static int set_option(int fd, int level, int option)
{
    static const int yes = 1;
    return setsockopt(fd, level, option, &yes, sizeof yes) ? -errno : 0;
}

/* A socket that listens at `a`; a negative errno. */
static int open_tcp(const struct address *a, unsigned flags)
{
    bool is_ipv6 = a->sockaddr.ss_family == AF_INET6;
    int fd = socket(a->sockaddr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int rc = set_option(fd, SOL_SOCKET, SO_REUSEADDR);
    if (!rc && (flags & LISTENER_REUSE_PORT))
        rc = set_option(fd, SOL_SOCKET, SO_REUSEPORT);
    if (!rc && is_ipv6 && (flags & LISTENER_IPV6_ONLY))
        rc = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    if (!rc && (bind(fd, (const struct sockaddr *)&a->sockaddr, a->len) || listen(fd, BACKLOG)))
        rc = -errno;
    if (rc)
        close(fd);
    return rc ? rc : fd;
}

static int listen_tcp(uv_loop_t *loop, const char *host, int port, unsigned flags,
                      struct error *err)
{
    struct address a = {0};
    int rc = resolve(loop, host, port, &a, err);
    if (rc)
        return rc;
    rc = open_tcp(&a, flags);
    if (rc == -EADDRINUSE)
        return error_set(err, rc,
                         "port %d on %s is in use: another server listens there; stop it or "
                         "choose another --port",
                         port, host);
    if (rc < 0)
        return error_set(err, rc, "cannot listen on %s port %d: %s", host, port, strerror(-rc));
    return rc;
}

/* --- opening ------------------------------------------------------------------------------------
 */

int listener_open(struct listener **out, uv_loop_t *loop, const char *host, int port,
                  unsigned flags, const struct listener_events *events, void *ctx,
                  struct error *err)
{
    struct unix_socket owned = {0};
    bool is_unix = listener_means_unix(host);
    int rc = 0, fd = is_unix ? unix_socket_listen(&owned, host, BACKLOG, err)
                             : listen_tcp(loop, host, port, flags, err);
    *out = NULL;
    if (fd < 0)
        return fd;
    struct listener *l = listener_create(loop, fd, events, ctx, &rc);
    if (!l) {
        unix_socket_remove(&owned, host);
        return error_set(err, rc, "cannot watch the socket of %s: %s", host, uv_strerror(rc));
    }
    l->owned = owned;
    l->unix_path = is_unix ? mem_strdup(host) : NULL;
    *out = l;
    return 0;
}

/* A path, or an abstract name written with an @. The caller frees it. */
static char *unix_name(const struct sockaddr_un *addr, socklen_t len)
{
    size_t n = len > offsetof(struct sockaddr_un, sun_path)
                   ? len - offsetof(struct sockaddr_un, sun_path)
                   : 0;
    bool abstract = n && !addr->sun_path[0];
    return abstract ? mem_printf("@%.*s", (int)n - 1, addr->sun_path + 1)
                    : mem_strndup(addr->sun_path, strnlen(addr->sun_path, n));
}

static bool option_is(int fd, int option, int wanted)
{
    int value = 0;
    socklen_t len = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 && value == wanted;
}

static int make_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) ? -errno : 0;
}

int listener_adopt(struct listener **out, uv_loop_t *loop, int fd,
                   const struct listener_events *events, void *ctx, struct error *err)
{
    struct sockaddr_storage addr = {0};
    socklen_t len = sizeof addr;
    *out = NULL;
    if (getsockname(fd, (struct sockaddr *)&addr, &len) || !option_is(fd, SO_TYPE, SOCK_STREAM) ||
        !option_is(fd, SO_ACCEPTCONN, 1)) {
        close(fd);
        return error_set(err, -EINVAL,
                         "descriptor %d, which was handed over, is no stream socket that listens: "
                         "a socket unit needs ListenStream= and Accept=no",
                         fd);
    }
    int rc = make_nonblocking(fd);
    struct listener *l = rc ? NULL : listener_create(loop, fd, events, ctx, &rc);
    if (!l)
        return error_set(err, rc, "cannot listen on descriptor %d, which was handed over: %s", fd,
                         uv_strerror(rc));
    if (addr.ss_family == AF_UNIX)
        l->unix_path = unix_name((const struct sockaddr_un *)&addr, len);
    *out = l;
    return 0;
}

bool listener_is_unix(const struct listener *l)
{
    return l->unix_path != NULL;
}

/* Its address; false when it is a unix socket. */
static bool own_address(const struct listener *l, struct sockaddr_storage *addr)
{
    socklen_t len = sizeof *addr;
    return !l->unix_path && getsockname(l->fd, (struct sockaddr *)addr, &len) == 0;
}

static int port_of(const struct sockaddr_storage *addr)
{
    /* getsockname() has filled it, which the analyzer does not see. */
    // NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage)
    return ntohs(addr->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)addr)->sin6_port
                                             : ((const struct sockaddr_in *)addr)->sin_port);
}

int listener_port(const struct listener *l)
{
    struct sockaddr_storage addr = {0};
    return own_address(l, &addr) ? port_of(&addr) : 0;
}

bool listener_is_local(const struct listener *l)
{
    struct sockaddr_storage addr = {0};
    if (!own_address(l, &addr))
        return true;
    if (addr.ss_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)&addr)->sin6_addr);
    // NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage)
    return ntohl(((struct sockaddr_in *)&addr)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

const char *listener_address(const struct listener *l, char *out, size_t size)
{
    struct sockaddr_storage addr = {0};
    char ip[INET6_ADDRSTRLEN] = "";
    if (!own_address(l, &addr)) {
        snprintf(out, size, "%s", l->unix_path);
        return out;
    }
    uv_ip_name((struct sockaddr *)&addr, ip, sizeof ip);
    snprintf(out, size, addr.ss_family == AF_INET6 ? "[%s]:%d" : "%s:%d", ip, port_of(&addr));
    return out;
}
