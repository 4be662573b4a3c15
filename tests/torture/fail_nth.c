/* SPDX-License-Identifier: MIT */
/*
 * A preload library that makes the nth system call (or allocation) of a kind fail, as curl's torture
 * tests do. FAIL_NTH names a file of sizeof(struct control) bytes, which the test maps too: it says
 * what is to fail, and reads back what was counted and where the failure was.
 *
 * Only the process that was started with it is counted, and its forked children until they execute:
 * FAIL_NTH and LD_PRELOAD are removed from the environment at once. It stands before AddressSanitizer's
 * library (ASAN_OPTIONS=verify_asan_link_order=0), so that what it lets pass is checked as ever.
 *
 * Not covered: what libc calls inside itself (stdio's reads, getaddrinfo's sockets); epoll_ctl() and
 * libuv's own eventfd and signal pipe, on which libuv aborts by design; threads, which libuv starts once.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the order of `enum kind`. */
#define KINDS(X)                                                                                   \
    X(accept)                                                                                      \
    X(socket)                                                                                      \
    X(connect)                                                                                     \
    X(sockopt)                                                                                     \
    X(peername)                                                                                    \
    X(listen)                                                                                      \
    X(open)                                                                                        \
    X(dir)                                                                                         \
    X(read_file)                                                                                   \
    X(read_socket)                                                                                 \
    X(read_pipe)                                                                                   \
    X(write_file)                                                                                  \
    X(write_socket)                                                                                \
    X(write_pipe)                                                                                  \
    X(close)                                                                                       \
    X(mmap)                                                                                        \
    X(alloc)                                                                                       \
    X(fork)                                                                                        \
    X(exec)                                                                                        \
    X(wait)                                                                                        \
    X(pipe)                                                                                        \
    X(dup)                                                                                         \
    X(epoll)                                                                                       \
    X(poll)                                                                                        \
    X(inotify)                                                                                     \
    X(stat)                                                                                        \
    X(change)

#define AS_ENUM(name) KIND_##name,
#define AS_TEXT(name) #name,
enum kind { KINDS(AS_ENUM) KIND_COUNT };
static const char *const kind_names[] = {KINDS(AS_TEXT)};

#define NAME_MAX_LEN 16
#define WHERE_MAX 4096
#define FRAMES_MAX 32

/* Shared with harness.py, which knows these offsets: all numbers have 8 bytes. */
struct control {
    _Atomic uint64_t armed;  /* 0: nothing is counted */
    char kind[NAME_MAX_LEN]; /* what fails */
    uint64_t error;          /* errno; 0: a read or a write of one byte */
    uint64_t nth;            /* counted from 1; 0: none fails */
    uint64_t times;          /* so many in a row */
    uint64_t min_size;       /* of an allocation, to count */
    _Atomic uint64_t hits;
    uint64_t hit_port; /* of the first hit, when it was on a TCP connection: the peer's port */
    uint64_t pid;      /* of the process; 0 before it began */
    uint64_t n_kinds;
    struct {
        char name[NAME_MAX_LEN];
        _Atomic uint64_t calls;
    } kinds[64];
    char where[WHERE_MAX]; /* of the first hit: the call, then MODULE+OFFSET, a line each */
};

static struct control *control;
static __thread bool inside; /* in this library: what it calls itself is not counted */

/* --- what fails --------------------------------------------------------------------------------- */

static uint64_t peer_port(int fd)
{
    static int (*real)(int, struct sockaddr *, socklen_t *);
    struct sockaddr_storage addr;
    socklen_t len = sizeof addr;
    if (!real)
        real = (int (*)(int, struct sockaddr *, socklen_t *))dlsym(RTLD_NEXT, "getpeername");
    if (fd < 0 || real(fd, (struct sockaddr *)&addr, &len) || addr.ss_family != AF_INET)
        return 0;
    return ntohs(((const struct sockaddr_in *)&addr)->sin_port);
}

static void note(struct control *c, const char *call, int fd)
{
    void *frames[FRAMES_MAX];
    int n = backtrace(frames, FRAMES_MAX);
    size_t at = (size_t)snprintf(c->where, WHERE_MAX, "%s, descriptor %d\n", call, fd);
    c->hit_port = peer_port(fd);
    for (int i = 2; i < n && at < WHERE_MAX; i++) { /* without this function and its caller */
        Dl_info info = {0};
        if (dladdr(frames[i], &info) && info.dli_fname)
            at += (size_t)snprintf(c->where + at, WHERE_MAX - at, "%s+0x%zx\n", info.dli_fname,
                                   (size_t)((char *)frames[i] - (char *)info.dli_fbase));
    }
}

static bool counts(struct control *c, enum kind kind)
{
    return c && !inside && atomic_load(&c->armed) && kind < KIND_COUNT;
}

/* A connection that broke is broken for every later call, too. */
static void break_as_told(const struct control *c, int fd)
{
    if (fd >= 0 && (c->error == EPIPE || c->error == ECONNRESET))
        shutdown(fd, SHUT_RDWR);
}

/* Counts a call, and says whether it is to fail; then errno is set. */
static bool fails(enum kind kind, const char *call, int fd)
{
    struct control *c = control;
    if (!counts(c, kind))
        return false;
    uint64_t n = atomic_fetch_add(&c->kinds[kind].calls, 1) + 1;
    if (!c->nth || n < c->nth || n - c->nth >= c->times || strcmp(c->kind, kind_names[kind]) != 0)
        return false;
    inside = true;
    if (atomic_fetch_add(&c->hits, 1) == 0)
        note(c, call, fd);
    break_as_told(c, fd);
    inside = false;
    errno = (int)c->error;
    return true;
}

/* --- descriptors --------------------------------------------------------------------------------- */

#define FDS_MAX 4096
static bool is_libuvs[FDS_MAX];

static bool called_from_libuv(const void *caller)
{
    Dl_info info;
    return dladdr(caller, &info) && info.dli_fname && strstr(info.dli_fname, "libuv");
}

static void mark(int fd, bool libuvs)
{
    if (fd >= 0 && fd < FDS_MAX)
        is_libuvs[fd] = libuvs;
}

static enum kind kind_of(int fd, enum kind file, enum kind socket, enum kind pipe)
{
    struct stat st;
    int saved = errno;
    if (fd >= 0 && fd < FDS_MAX && is_libuvs[fd])
        return KIND_COUNT;
    inside = true;
    int rc = fstat(fd, &st);
    inside = false;
    errno = saved;
    if (rc)
        return file;
    return S_ISSOCK(st.st_mode) ? socket : S_ISREG(st.st_mode) ? file : pipe;
}

static bool read_fails(int fd, const char *call)
{
    return control && atomic_load(&control->armed) &&
           fails(kind_of(fd, KIND_read_file, KIND_read_socket, KIND_read_pipe), call, fd);
}

static bool write_fails(int fd, const char *call)
{
    return control && atomic_load(&control->armed) &&
           fails(kind_of(fd, KIND_write_file, KIND_write_socket, KIND_write_pipe), call, fd);
}

/* --- the calls ------------------------------------------------------------------------------------ */

#define REAL(name)                                                                                 \
    static __typeof__(&name) real;                                                                 \
    if (!real)                                                                                     \
    real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* `failure` is what the call returns then. */
#define INTERPOSE(kind, failure, type, name, params, args, fd)                                     \
    type name params                                                                               \
    {                                                                                              \
        REAL(name);                                                                                \
        if (fails(KIND_##kind, #name, fd))                                                         \
            return failure;                                                                        \
        return real args;                                                                          \
    }

#define SHORTENED(len) (control->error ? (len) : 1)

/* A transfer of `len` bytes, which may be short. */
#define TRANSFER(which, name, params, args, fd, len)                                               \
    ssize_t name params                                                                            \
    {                                                                                              \
        REAL(name);                                                                                \
        if (which##_fails(fd, #name)) {                                                            \
            if (control->error)                                                                    \
                return -1;                                                                         \
            len = len ? 1 : 0;                                                                     \
        }                                                                                          \
        return real args;                                                                          \
    }

/* The same with an array of pieces: the short transfer is of the first piece alone. */
#define TRANSFER_PIECES(which, name)                                                               \
    ssize_t name(int fd, const struct iovec *pieces, int n)                                        \
    {                                                                                              \
        REAL(name);                                                                                \
        if (!which##_fails(fd, #name))                                                             \
            return real(fd, pieces, n);                                                            \
        if (control->error)                                                                        \
            return -1;                                                                             \
        struct iovec first = {pieces->iov_base, pieces->iov_len ? 1 : 0};                          \
        return real(fd, &first, 1);                                                                \
    }

INTERPOSE(accept, -1, int, accept4,
          (int fd, struct sockaddr *restrict addr, socklen_t *restrict len, int flags),
          (fd, addr, len, flags), -1)
INTERPOSE(accept, -1, int, accept,
          (int fd, struct sockaddr *restrict addr, socklen_t *restrict len), (fd, addr, len), -1)
INTERPOSE(socket, -1, int, socket, (int domain, int type, int protocol), (domain, type, protocol),
          -1)
INTERPOSE(pipe, -1, int, socketpair, (int domain, int type, int protocol, int fds[2]),
          (domain, type, protocol, fds), -1)
INTERPOSE(connect, -1, int, connect, (int fd, const struct sockaddr *addr, socklen_t len),
          (fd, addr, len), -1)
INTERPOSE(listen, -1, int, bind, (int fd, const struct sockaddr *addr, socklen_t len),
          (fd, addr, len), -1)
INTERPOSE(listen, -1, int, listen, (int fd, int backlog), (fd, backlog), -1)
INTERPOSE(sockopt, -1, int, setsockopt,
          (int fd, int level, int name, const void *value, socklen_t len),
          (fd, level, name, value, len), fd)
INTERPOSE(peername, -1, int, getpeername,
          (int fd, struct sockaddr *restrict addr, socklen_t *restrict len), (fd, addr, len), fd)

TRANSFER(read, read, (int fd, void *data, size_t len), (fd, data, len), fd, len)
TRANSFER(read, pread, (int fd, void *data, size_t len, off_t at), (fd, data, len, at), fd, len)
TRANSFER(read, pread64, (int fd, void *data, size_t len, off64_t at), (fd, data, len, at), fd, len)
TRANSFER(read, recv, (int fd, void *data, size_t len, int flags), (fd, data, len, flags), fd, len)
TRANSFER_PIECES(read, readv)
TRANSFER(write, write, (int fd, const void *data, size_t len), (fd, data, len), fd, len)
TRANSFER(write, pwrite, (int fd, const void *data, size_t len, off_t at), (fd, data, len, at), fd,
         len)
TRANSFER(write, pwrite64, (int fd, const void *data, size_t len, off64_t at), (fd, data, len, at),
         fd, len)
TRANSFER(write, send, (int fd, const void *data, size_t len, int flags), (fd, data, len, flags), fd,
         len)
TRANSFER_PIECES(write, writev)

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    REAL(recvmsg);
    return read_fails(fd, "recvmsg") && control->error ? -1 : real(fd, message, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    REAL(sendmsg);
    return write_fails(fd, "sendmsg") && control->error ? -1 : real(fd, message, flags);
}

/* The descriptor is closed all the same, as Linux does it. */
int close(int fd)
{
    REAL(close);
    mark(fd, false);
    bool failed = fails(KIND_close, "close", fd);
    int error = errno, rc = real(fd);
    if (!failed)
        return rc;
    errno = error;
    return -1;
}

#define INTERPOSE_OPEN(name, first, ...)                                                           \
    int name(first, int flags, ...)                                                                \
    {                                                                                              \
        REAL(name);                                                                                \
        va_list ap;                                                                                \
        va_start(ap, flags);                                                                       \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;                      \
        va_end(ap);                                                                                \
        if (fails(KIND_open, #name, -1))                                                           \
            return -1;                                                                             \
        return real(__VA_ARGS__, flags, mode);                                                     \
    }
#define FOLDER_AND_PATH int folder, const char *path

INTERPOSE_OPEN(open, const char *path, path)
INTERPOSE_OPEN(open64, const char *path, path)
INTERPOSE_OPEN(openat, FOLDER_AND_PATH, folder, path)
INTERPOSE_OPEN(openat64, FOLDER_AND_PATH, folder, path)
int __open64_2(const char *path, int flags); /* what fortified libraries call */
INTERPOSE(open, -1, int, __open64_2, (const char *path, int flags), (path, flags), -1)
INTERPOSE(open, NULL, FILE *, fopen, (const char *restrict path, const char *restrict mode),
          (path, mode), -1)
INTERPOSE(open, NULL, FILE *, fopen64, (const char *restrict path, const char *restrict mode),
          (path, mode), -1)
INTERPOSE(open, NULL, FILE *, fdopen, (int fd, const char *mode), (fd, mode), fd)

INTERPOSE(dir, NULL, DIR *, opendir, (const char *path), (path), -1)
INTERPOSE(dir, NULL, DIR *, fdopendir, (int fd), (fd), fd)
INTERPOSE(dir, NULL, struct dirent *, readdir, (DIR * dir), (dir), -1)
INTERPOSE(dir, NULL, struct dirent64 *, readdir64, (DIR * dir), (dir), -1)

INTERPOSE(mmap, MAP_FAILED, void *, mmap,
          (void *at, size_t size, int prot, int flags, int fd, off_t offset),
          (at, size, prot, flags, fd, offset), fd)
INTERPOSE(mmap, MAP_FAILED, void *, mmap64,
          (void *at, size_t size, int prot, int flags, int fd, off64_t offset),
          (at, size, prot, flags, fd, offset), fd)

INTERPOSE(fork, -1, pid_t, fork, (void), (), -1)
INTERPOSE(fork, errno, int, posix_spawn,
          (pid_t *restrict pid, const char *restrict path,
           const posix_spawn_file_actions_t *restrict files, const posix_spawnattr_t *restrict attr,
           char *const argv[restrict], char *const envp[restrict]),
          (pid, path, files, attr, argv, envp), -1)
INTERPOSE(fork, errno, int, posix_spawnp,
          (pid_t *restrict pid, const char *restrict path,
           const posix_spawn_file_actions_t *restrict files, const posix_spawnattr_t *restrict attr,
           char *const argv[restrict], char *const envp[restrict]),
          (pid, path, files, attr, argv, envp), -1)
INTERPOSE(exec, -1, int, execve, (const char *path, char *const argv[], char *const envp[]),
          (path, argv, envp), -1)
INTERPOSE(wait, -1, pid_t, waitpid, (pid_t pid, int *status, int options), (pid, status, options),
          -1)
INTERPOSE(wait, -1, int, waitid, (idtype_t type, id_t id, siginfo_t *info, int options),
          (type, id, info, options), -1)

INTERPOSE(dup, -1, int, dup, (int fd), (fd), fd)
INTERPOSE(dup, -1, int, dup2, (int fd, int to), (fd, to), fd)
INTERPOSE(dup, -1, int, dup3, (int fd, int to, int flags), (fd, to, flags), fd)

#define INTERPOSE_FCNTL(name)                                                                      \
    int name(int fd, int command, ...)                                                             \
    {                                                                                              \
        REAL(name);                                                                                \
        va_list ap;                                                                                \
        va_start(ap, command);                                                                     \
        void *argument = va_arg(ap, void *);                                                       \
        va_end(ap);                                                                                \
        bool copies = command == F_DUPFD || command == F_DUPFD_CLOEXEC;                            \
        if (copies && fails(KIND_dup, #name, fd))                                                  \
            return -1;                                                                             \
        return real(fd, command, argument);                                                        \
    }
INTERPOSE_FCNTL(fcntl)
INTERPOSE_FCNTL(fcntl64)

int pipe2(int fds[2], int flags)
{
    REAL(pipe2);
    if (fails(KIND_pipe, "pipe2", -1))
        return -1;
    int rc = real(fds, flags);
    bool libuvs = called_from_libuv(__builtin_return_address(0));
    for (int i = 0; rc == 0 && i < 2; i++)
        mark(fds[i], libuvs);
    return rc;
}

int eventfd(unsigned value, int flags)
{
    REAL(eventfd);
    if (fails(KIND_pipe, "eventfd", -1))
        return -1;
    int fd = real(value, flags);
    mark(fd, called_from_libuv(__builtin_return_address(0)));
    return fd;
}

INTERPOSE(epoll, -1, int, epoll_create1, (int flags), (flags), -1)
/* A wait only fails by a signal. */
INTERPOSE(poll, -1, int, epoll_wait, (int fd, struct epoll_event *events, int n, int ms),
          (fd, events, n, ms), -1)
INTERPOSE(poll, -1, int, epoll_pwait,
          (int fd, struct epoll_event *events, int n, int ms, const sigset_t *mask),
          (fd, events, n, ms, mask), -1)
INTERPOSE(poll, -1, int, poll, (struct pollfd * fds, nfds_t n, int ms), (fds, n, ms), -1)
INTERPOSE(poll, -1, int, ppoll,
          (struct pollfd * fds, nfds_t n, const struct timespec *wait, const sigset_t *mask),
          (fds, n, wait, mask), -1)

INTERPOSE(inotify, -1, int, inotify_init1, (int flags), (flags), -1)
INTERPOSE(inotify, -1, int, inotify_add_watch, (int fd, const char *path, uint32_t mask),
          (fd, path, mask), -1)

INTERPOSE(stat, -1, int, stat, (const char *restrict path, struct stat *restrict out), (path, out),
          -1)
INTERPOSE(stat, -1, int, lstat, (const char *restrict path, struct stat *restrict out), (path, out),
          -1)
INTERPOSE(stat, -1, int, fstat, (int fd, struct stat *out), (fd, out), fd)
INTERPOSE(stat, -1, int, stat64, (const char *restrict path, struct stat64 *restrict out),
          (path, out), -1)
INTERPOSE(stat, -1, int, lstat64, (const char *restrict path, struct stat64 *restrict out),
          (path, out), -1)
INTERPOSE(stat, -1, int, fstat64, (int fd, struct stat64 *out), (fd, out), fd)
INTERPOSE(stat, -1, int, fstatat,
          (int fd, const char *restrict path, struct stat *restrict out, int flags),
          (fd, path, out, flags), -1)
INTERPOSE(stat, -1, int, access, (const char *path, int mode), (path, mode), -1)
INTERPOSE(stat, -1, ssize_t, readlink, (const char *restrict path, char *restrict out, size_t size),
          (path, out, size), -1)
INTERPOSE(stat, -1, ssize_t, readlinkat,
          (int fd, const char *restrict path, char *restrict out, size_t size),
          (fd, path, out, size), -1)
INTERPOSE(stat, NULL, char *, realpath, (const char *restrict path, char *restrict out),
          (path, out), -1)

INTERPOSE(change, -1, int, unlink, (const char *path), (path), -1)
INTERPOSE(change, -1, int, unlinkat, (int fd, const char *path, int flags), (fd, path, flags), -1)
INTERPOSE(change, -1, int, rename, (const char *from, const char *to), (from, to), -1)
INTERPOSE(change, -1, int, mkdir, (const char *path, mode_t mode), (path, mode), -1)
INTERPOSE(change, NULL, char *, mkdtemp, (char *path), (path), -1)
INTERPOSE(change, -1, int, fsync, (int fd), (fd), fd)
INTERPOSE(change, -1, int, ftruncate, (int fd, off_t size), (fd, size), fd)
INTERPOSE(change, -1, int, ftruncate64, (int fd, off64_t size), (fd, size), fd)

/* libuv makes some calls itself. */
long syscall(long number, ...)
{
    REAL(syscall);
    long a[6];
    va_list ap;
    va_start(ap, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(ap, long);
    va_end(ap);
    if (number == SYS_statx && fails(KIND_stat, "statx", -1))
        return -1;
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* --- allocations ---------------------------------------------------------------------------------- */

static bool alloc_fails(const char *call, size_t size)
{
    struct control *c = control;
    return counts(c, KIND_alloc) && size >= c->min_size && fails(KIND_alloc, call, -1);
}

/* dlsym() itself allocates only for its errors, and these names are there. */
#define INTERPOSE_ALLOC(name, params, args, size)                                                  \
    void *name params                                                                              \
    {                                                                                              \
        REAL(name);                                                                                \
        return alloc_fails(#name, size) ? NULL : real args;                                        \
    }
INTERPOSE_ALLOC(malloc, (size_t size), (size), size)
INTERPOSE_ALLOC(calloc, (size_t n, size_t size), (n, size), n *size)
INTERPOSE_ALLOC(realloc, (void *old, size_t size), (old, size), size)

char *strdup(const char *text)
{
    REAL(strdup);
    return alloc_fails("strdup", strlen(text) + 1) ? NULL : real(text);
}

char *strndup(const char *text, size_t len)
{
    REAL(strndup);
    return alloc_fails("strndup", strnlen(text, len) + 1) ? NULL : real(text, len);
}

int vasprintf(char **restrict out, const char *restrict format, va_list ap)
{
    REAL(vasprintf);
    return alloc_fails("vasprintf", 1) ? -1 : real(out, format, ap);
}

/* --- the beginning --------------------------------------------------------------------------------- */

static void __attribute__((constructor)) begin(void)
{
    void *frame;
    const char *path = getenv("FAIL_NTH");
    if (!path)
        return;
    inside = true;
    backtrace(&frame, 1); /* it loads a library the first time */
    int fd = open(path, O_RDWR | O_CLOEXEC);
    void *map = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    unsetenv("FAIL_NTH");
    unsetenv("LD_PRELOAD");
    if (fd < 0 || map == MAP_FAILED) {
        perror(path);
        _exit(125);
    }
    close(fd);
    struct control *c = map;
    c->n_kinds = KIND_COUNT;
    for (int i = 0; i < KIND_COUNT; i++)
        snprintf(c->kinds[i].name, NAME_MAX_LEN, "%s", kind_names[i]);
    c->pid = (uint64_t)getpid();
    control = c;
    inside = false;
}
