/* SPDX-License-Identifier: MIT */
#include "http/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"

#define BACKLOG 1024
/* Bytes that wait in a client's socket. The kernel's own bound for who does not read is 4 MiB a connection
 * (tcp_wmem), and with some hundred such all others pay for what they hold. */
#define UNSENT_MAX (128 * 1024)

struct listener {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    };
    char *unix_path; /* NULL: TCP */
    listener_waiting *waiting;
    void *ctx;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static void on_connection(uv_stream_t *listening, int status)
{
    struct listener *l = listening->data;
    if (status)
        log_warn("cannot accept a connection: %s", uv_strerror(status));
    else
        l->waiting(l, l->ctx);
}

/* --- unix sockets -------------------------------------------------------------------------------
 */

bool listener_means_unix(const char *host)
{
    size_t n = strlen(host);
    return n > 5 && strcmp(host + n - 5, ".sock") == 0;
}

/* Whether somebody answers on the unix socket `path`. */
static bool socket_is_alive(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return true;
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", path);
    /* Only a refusal proves that nobody listens; a full queue, say, proves the contrary. */
    bool alive = connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0 ||
                 (errno != ECONNREFUSED && errno != ENOENT);
    close(fd);
    return alive;
}

static bool folder_exists(const char *path)
{
    char *folder = mem_strdup(path);
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = '\0';
    bool exists = !slash || slash == folder || access(folder, F_OK) == 0;
    free(folder);
    return exists;
}

static int listen_unix(struct listener *l, const char *path, struct error *err)
{
    struct stat st;
    if (strlen(path) >= sizeof((struct sockaddr_un *)0)->sun_path)
        return error_set(err, -ENAMETOOLONG, "the socket path %s is too long: at most %zu bytes",
                         path, sizeof((struct sockaddr_un *)0)->sun_path - 1);
    if (stat(path, &st) == 0) {
        if (!S_ISSOCK(st.st_mode))
            return error_set(err, -EEXIST, "%s exists and is no socket: choose another --host",
                             path);
        if (socket_is_alive(path))
            return error_set(err, -EADDRINUSE,
                             "%s is in use: another server listens there; stop it or choose "
                             "another --host",
                             path);
        unlink(path);
    }
    /* Whoever may use the server, may use every model: its user decides. */
    mode_t before = umask(0177);
    int rc = uv_pipe_bind(&l->pipe, path);
    umask(before);
    if (rc == UV_EACCES && stat(path, &st) && errno == ENOENT && !folder_exists(path))
        rc = UV_ENOENT; /* libuv says EACCES for both */
    if (!rc)
        rc = uv_listen(&l->stream, BACKLOG, on_connection);
    if (rc == UV_ENOENT)
        return error_set(err, rc,
                         "cannot listen on %s: its folder does not exist; make it, or choose "
                         "another --host",
                         path);
    if (rc)
        return error_set(err, rc, "cannot listen on %s: %s", path, uv_strerror(rc));
    l->unix_path = mem_strdup(path);
    return 0;
}

/* --- TCP ----------------------------------------------------------------------------------------
 */

static int resolve(uv_loop_t *loop, const char *host, int port, struct sockaddr_storage *out,
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
    memcpy(out, request.addrinfo->ai_addr, request.addrinfo->ai_addrlen);
    uv_freeaddrinfo(request.addrinfo);
    return 0;
}

/* libuv makes the socket at bind(), too late for these: so it is made here. */
static int open_shared(struct listener *l, int family)
{
    static const int yes = 1;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int rc = setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes) ? -errno
                                                                        : uv_tcp_open(&l->tcp, fd);
    if (rc)
        close(fd);
    return rc;
}

static int listen_tcp(struct listener *l, const char *host, int port, unsigned flags,
                      struct error *err)
{
    struct sockaddr_storage addr = {0};
    int rc = resolve(l->handle.loop, host, port, &addr, err);
    if (rc)
        return rc;
    unsigned only =
        addr.ss_family == AF_INET6 && (flags & LISTENER_IPV6_ONLY) ? UV_TCP_IPV6ONLY : 0;
    if (flags & LISTENER_REUSE_PORT)
        rc = open_shared(l, addr.ss_family);
    if (!rc)
        rc = uv_tcp_bind(&l->tcp, (struct sockaddr *)&addr, only);
    if (!rc)
        rc = uv_listen(&l->stream, BACKLOG, on_connection);
    if (rc == UV_EADDRINUSE)
        return error_set(err, rc,
                         "port %d on %s is in use: another server listens there; stop it or "
                         "choose another --port",
                         port, host);
    if (rc)
        return error_set(err, rc, "cannot listen on %s port %d: %s", host, port, uv_strerror(rc));
    return 0;
}

/* --- the listener -------------------------------------------------------------------------------
 */

static void on_closed(uv_handle_t *handle)
{
    struct listener *l = handle->data;
    if (l->closed)
        l->closed(l->closed_ctx);
    free(l->unix_path); /* libuv has removed the file, and a successor's may stand there by now */
    free(l);
}

void listener_close(struct listener *l, void (*closed)(void *ctx), void *ctx)
{
    l->closed = closed;
    l->closed_ctx = ctx;
    uv_close(&l->handle, on_closed);
}

static struct listener *listener_create(uv_loop_t *loop, bool is_unix, listener_waiting *waiting,
                                        void *ctx)
{
    struct listener *l = mem_zalloc(sizeof *l);
    l->waiting = waiting;
    l->ctx = ctx;
    if (is_unix)
        uv_pipe_init(loop, &l->pipe, 0);
    else
        uv_tcp_init(loop, &l->tcp);
    l->handle.data = l;
    return l;
}

int listener_open(struct listener **out, uv_loop_t *loop, const char *host, int port,
                  unsigned flags, listener_waiting *waiting, void *ctx, struct error *err)
{
    bool is_unix = listener_means_unix(host);
    struct listener *l = listener_create(loop, is_unix, waiting, ctx);
    *out = NULL;
    int rc = is_unix ? listen_unix(l, host, err) : listen_tcp(l, host, port, flags, err);
    if (rc)
        listener_close(l, NULL, NULL);
    else
        *out = l;
    return rc;
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

int listener_adopt(struct listener **out, uv_loop_t *loop, int fd, listener_waiting *waiting,
                   void *ctx, struct error *err)
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
    bool is_unix = addr.ss_family == AF_UNIX;
    struct listener *l = listener_create(loop, is_unix, waiting, ctx);
    int rc = is_unix ? uv_pipe_open(&l->pipe, fd) : uv_tcp_open(&l->tcp, fd);
    if (rc)
        close(fd);
    if (is_unix)
        l->unix_path = unix_name((const struct sockaddr_un *)&addr, len);
    if (!rc)
        rc = uv_listen(&l->stream, BACKLOG, on_connection);
    if (rc) {
        listener_close(l, NULL, NULL);
        return error_set(err, rc, "cannot listen on descriptor %d, which was handed over: %s", fd,
                         uv_strerror(rc));
    }
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
    int len = sizeof *addr;
    return !l->unix_path && uv_tcp_getsockname(&l->tcp, (struct sockaddr *)addr, &len) == 0;
}

static int port_of(const struct sockaddr_storage *addr)
{
    return ntohs(addr->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)addr)->sin6_port
                                             : ((const struct sockaddr_in *)addr)->sin_port);
}

int listener_port(const struct listener *l)
{
    struct sockaddr_storage addr;
    return own_address(l, &addr) ? port_of(&addr) : 0;
}

bool listener_is_local(const struct listener *l)
{
    struct sockaddr_storage addr;
    if (!own_address(l, &addr))
        return true;
    if (addr.ss_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)&addr)->sin6_addr);
    return ntohl(((struct sockaddr_in *)&addr)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

const char *listener_address(const struct listener *l, char *out, size_t size)
{
    struct sockaddr_storage addr;
    char ip[INET6_ADDRSTRLEN] = "";
    if (!own_address(l, &addr)) {
        snprintf(out, size, "%s", l->unix_path);
        return out;
    }
    uv_ip_name((struct sockaddr *)&addr, ip, sizeof ip);
    snprintf(out, size, addr.ss_family == AF_INET6 ? "[%s]:%d" : "%s:%d", ip, port_of(&addr));
    return out;
}

/* Small writes go out at once, and few bytes pile up: neither is worth losing the client for. */
static void tune(uv_tcp_t *tcp)
{
    int fd, unsent = UNSENT_MAX;
    uv_tcp_nodelay(tcp, 1);
    if (uv_fileno((uv_handle_t *)tcp, &fd) == 0)
        setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
}

int listener_accept(struct listener *l, struct stream *s, const struct stream_events *events)
{
    if (l->unix_path)
        stream_init_pipe(s, l->handle.loop, events);
    else
        stream_init_tcp(s, l->handle.loop, events);
    int rc = uv_accept(&l->stream, &s->stream);
    if (!rc && !l->unix_path)
        tune(&s->tcp);
    return rc;
}
