/* SPDX-License-Identifier: MIT */
#include "engine/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/children.h"

#define READ_SIZE ((size_t)16 * 1024)
#define REAP_POLL_NS 2000000L /* 2 ms */
#define QUIET_MS 100          /* without output, until it is asked whether the process has ended */
#define KILL_MS 2000          /* from SIGKILL until a process counts as stuck */
#define STUCK_MAX 4           /* more commands are not run while so many are stuck */

/* A run in progress. */
struct run {
    pid_t pid; /* leads its process group */
    struct child child;
    int fd[2]; /* our ends of its stdout and stderr; -1 when closed */
    uint64_t deadline;
};

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void close_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* --- start --------------------------------------------------------------------------------------
 */
/* The daemon ignores SIGPIPE and may block signals; its children must not inherit either. */
static int set_attributes(posix_spawnattr_t *attr)
{
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_setsigmask(attr, &none);
    posix_spawnattr_setsigdefault(attr, &defaults);
    posix_spawnattr_setpgroup(attr, 0);
    return posix_spawnattr_setflags(attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF);
}

static int set_streams(posix_spawn_file_actions_t *files, int out, int err)
{
    int rc = posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDONLY, 0);
    if (!rc)
        rc = posix_spawn_file_actions_adddup2(files, out, 1);
    if (!rc)
        rc = posix_spawn_file_actions_adddup2(files, err, 2);
    return rc;
}

/* All of these return a positive errno, as posix_spawn() does. */
static int spawn_with(pid_t *pid, char *const *argv, char *const *envp, int out, int err)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    int rc = posix_spawn_file_actions_init(&files);
    if (rc)
        return rc;
    rc = posix_spawnattr_init(&attr);
    if (rc)
        goto files_done;
    rc = set_streams(&files, out, err);
    if (!rc)
        rc = set_attributes(&attr);
    if (!rc)
        rc = posix_spawnp(pid, argv[0], &files, &attr, argv, envp);
    posix_spawnattr_destroy(&attr);
files_done:
    posix_spawn_file_actions_destroy(&files);
    return rc;
}

static int start(struct run *r, char *const *argv, char *const *envp)
{
    int out[2], err[2], rc;
    r->fd[0] = r->fd[1] = -1;
    if (pipe2(out, O_CLOEXEC))
        return -errno;
    if (pipe2(err, O_CLOEXEC)) {
        rc = errno;
        close(out[0]);
        close(out[1]);
        return -rc;
    }
    children_starting();
    rc = spawn_with(&r->pid, argv, envp, out[1], err[1]);
    if (!rc)
        children_add(&r->child, r->pid);
    children_started();
    close(out[1]);
    close(err[1]);
    r->fd[0] = out[0];
    r->fd[1] = err[0];
    return -rc;
}

static int start_failed(struct error *err, int rc, const char *binary)
{
    if (rc == -ENOENT && strchr(binary, '/') && access(binary, F_OK) == 0)
        return error_set(err, rc, "cannot run %s: the loader that it names does not exist", binary);
    if (rc == -ENOENT && !strchr(binary, '/'))
        return error_set(err, rc, "cannot run %s: it is not on PATH", binary);
    return error_set(err, rc, "cannot run %s: %s", binary, strerror(-rc));
}

/* --- read ---------------------------------------------------------------------------------------
 */
static int remaining_ms(const struct run *r)
{
    uint64_t now = now_ms();
    uint64_t left = r->deadline > now ? r->deadline - now : 0;
    return left > 60000 ? 60000 : (int)left;
}

/* Reads once from a stream; closes our end at the stream's end. */
static int drain(int *fd, struct buf *into)
{
    int rc = buf_reserve(into, READ_SIZE);
    if (rc)
        return rc;
    ssize_t n = read(*fd, into->data + into->len, READ_SIZE);
    if (n > 0)
        into->len += (size_t)n;
    else if (n == 0 || (errno != EINTR && errno != EAGAIN))
        close_end(fd);
    return 0;
}

/* It stays a zombie, so that its group's number is not given to another. */
static bool has_ended(const struct run *r)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)r->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == r->pid;
}

/* What a script leaves running may hold its streams open: when it has ended, what they hold then is all. */
static int read_both(struct run *r, struct probe *p)
{
    struct buf *into[2] = {&p->out, &p->err};
    bool ended = false;
    while (r->fd[0] >= 0 || r->fd[1] >= 0) {
        /* poll() passes over negative descriptors. */
        struct pollfd wait[2] = {{.fd = r->fd[0], .events = POLLIN},
                                 {.fd = r->fd[1], .events = POLLIN}};
        int left = remaining_ms(r);
        if (!left)
            return -ETIMEDOUT;
        int n = poll(wait, 2, ended ? 0 : left < QUIET_MS ? left : QUIET_MS);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0 && ended)
            return 0;
        if (n == 0)
            ended = has_ended(r);
        for (int i = 0; n > 0 && i < 2; i++) {
            int rc = wait[i].revents ? drain(&r->fd[i], into[i]) : 0;
            if (rc)
                return rc;
        }
    }
    return 0;
}

/* --- end ----------------------------------------------------------------------------------------
 */
static void note_status(struct probe *p, int status)
{
    p->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    p->code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* It has closed its streams, ended or was killed, so it ends at once or never: polling is cheap. The rest of
 * its group is killed. */
static int reap(struct run *r, int *status)
{
    for (;;) {
        if (has_ended(r))
            kill(-r->pid, SIGKILL);
        pid_t pid = waitpid(r->pid, status, WNOHANG);
        if (pid == r->pid)
            return 0;
        if (pid < 0 && errno != EINTR)
            return -errno;
        if (!remaining_ms(r))
            return -ETIMEDOUT;
        nanosleep(&(struct timespec){.tv_nsec = REAP_POLL_NS}, NULL);
    }
}

/* Processes that survive SIGKILL, since they wait in a driver or for a disk. Only the reaper (children.h) waits
 * for them, so that their numbers stay theirs until it takes them off. */
static struct {
    pthread_mutex_t lock;
    struct child child[STUCK_MAX]; /* registered while it is stuck */
} stuck = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Of the lock's holder. NULL: STUCK_MAX are stuck. */
static struct child *free_place(void)
{
    for (size_t i = 0; i < STUCK_MAX; i++)
        if (!children_registered(&stuck.child[i]))
            return &stuck.child[i];
    return NULL;
}

static bool too_many_stuck(void)
{
    pthread_mutex_lock(&stuck.lock);
    bool full = !free_place();
    pthread_mutex_unlock(&stuck.lock);
    return full;
}

/* With STUCK_MAX of them already (two threads run commands at once) it is not counted. */
static void remember_stuck(pid_t pid)
{
    pthread_mutex_lock(&stuck.lock);
    struct child *place = free_place();
    if (place) {
        children_add(place, pid);
        children_leave(place);
    }
    pthread_mutex_unlock(&stuck.lock);
}

static void kill_and_reap(struct run *r)
{
    int status;
    kill(-r->pid, SIGKILL);
    r->deadline = now_ms() + KILL_MS;
    if (reap(r, &status) == -ETIMEDOUT)
        remember_stuck(r->pid);
}

static int run_failed(struct error *err, int rc, const char *binary, uint64_t timeout_ms)
{
    if (rc == -ETIMEDOUT)
        return error_set(err, rc, "%s did not end within %llu ms and was killed", binary,
                         (unsigned long long)timeout_ms);
    if (rc == -ENOBUFS)
        return error_set(err, rc, "%s printed more than %zu bytes and was killed", binary,
                         PROBE_OUTPUT_MAX);
    return error_set(err, rc, "%s: %s", binary, strerror(-rc));
}

int probe_run(struct probe *p, char *const *argv, char *const *envp, uint64_t timeout_ms,
              struct error *err)
{
    struct run r = {.deadline = now_ms() + timeout_ms};
    *p = (struct probe){.code = -1};
    buf_init(&p->out, PROBE_OUTPUT_MAX);
    buf_init(&p->err, PROBE_OUTPUT_MAX);
    if (too_many_stuck())
        return error_set(err, -EAGAIN, "%s is not run: %d commands before it survive SIGKILL",
                         argv[0], STUCK_MAX);
    int status = 0, rc = start(&r, argv, envp);
    if (rc) {
        start_failed(err, rc, argv[0]);
        goto close;
    }
    rc = read_both(&r, p);
    if (!rc)
        rc = reap(&r, &status);
    if (!rc) {
        note_status(p, status);
    } else {
        kill_and_reap(&r);
        run_failed(err, rc, argv[0], timeout_ms);
    }
    children_remove(&r.child); /* only the reaper waits for a stuck one */
close:
    close_end(&r.fd[0]);
    close_end(&r.fd[1]);
    return rc;
}

void probe_finish(struct probe *p)
{
    buf_finish(&p->out);
    buf_finish(&p->err);
}
