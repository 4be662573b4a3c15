/* SPDX-License-Identifier: MIT */
#include "engine/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/family.h"

/* The highest descriptor that is closed where neither close_range() nor /proc works. */
#define CLOSE_MAX 65536

/* A pair of descriptors for each of these; [0] is for reading. */
enum channel { CHANNEL_IN, CHANNEL_OUT, CHANNEL_ERR, CHANNEL_STATUS, CHANNELS };

struct channels {
    int fd[CHANNELS][2];
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void channels_close(struct channels *c)
{
    for (int i = 0; i < CHANNELS; i++) {
        close_fd(&c->fd[i][0]);
        close_fd(&c->fd[i][1]);
    }
}

static int channels_open(struct channels *c)
{
    for (int i = 0; i < CHANNELS; i++)
        c->fd[i][0] = c->fd[i][1] = -1;
    for (int i = 0; i < CHANNELS; i++) {
        int rc = i == CHANNEL_IN ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, c->fd[i])
                                 : pipe2(c->fd[i], O_CLOEXEC);
        if (rc) {
            rc = -errno;
            channels_close(c);
            return rc;
        }
    }
    return 0;
}

/* --- environment */

#define MARK_ROOM (sizeof FAMILY_MARK + 1 + 3 * sizeof(pid_t))

/* A copy of `envp`, of pointers only, with a last entry for the mark, which the child fills in: its pid is
 * known there. NULL for want of memory. */
static char **make_room_for_mark(char *const *envp, char *mark)
{
    size_t n = 0;
    while (envp[n])
        n++;
    char **all = calloc(n + 2, sizeof *all);
    if (!all)
        return NULL;
    memcpy(all, envp, n * sizeof *all);
    all[n] = mark;
    return all;
}

/* --- in the child: only async-signal-safe calls, as other threads may have held locks at fork */

/* The number that the text begins with; -1: none, as in `.` and `..`. */
static int number_of(const char *text)
{
    int n = *text >= '0' && *text <= '9' ? 0 : -1;
    for (; *text >= '0' && *text <= '9'; text++)
        n = n * 10 + (*text - '0');
    return n;
}

/* Returns the text's length; printf() is not async-signal-safe. */
static size_t write_number(char *out, int n)
{
    char digits[3 * sizeof n];
    size_t len = 0, at = 0;
    if (n < 0)
        out[at++] = '-';
    do
        digits[len++] = (char)('0' + abs(n % 10));
    while (n /= 10);
    while (len)
        out[at++] = digits[--len];
    out[at] = '\0';
    return at;
}

static void write_mark(char *mark, pid_t pid)
{
    memcpy(mark, FAMILY_MARK "=", sizeof FAMILY_MARK);
    write_number(mark + sizeof FAMILY_MARK, pid);
}

/* Out of memory the kernel kills the process with the highest score: its share of all memory, or of its group's limit,
 * in thousandths, and its adjustment (proc_pid_oom_score_adj(5)). Engines go before the daemon, unless that holds more than
 * half of the memory itself. */
#define OOM_SCORE_RAISE 500
#define OOM_SCORE_MAX 1000

static void raise_oom_score(void)
{
    char text[16] = "";
    int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    int own = n > 0 ? (*text == '-' ? -number_of(text + 1) : number_of(text)) : 0;
    int raised = own + OOM_SCORE_RAISE;
    if (raised > OOM_SCORE_MAX)
        raised = OOM_SCORE_MAX;
    if (n > 0) {
        ssize_t ignored = pwrite(fd, text, write_number(text, raised), 0);
        (void)ignored;
    }
    close(fd);
}

/* As getdents64(2) returns them; libc's readdir() allocates, which is forbidden here. */
struct dirent_head {
    uint64_t inode;
    int64_t offset;
    uint16_t size; /* of the whole entry */
    uint8_t type;
    char name[];
};

/* Closes the descriptors that /proc lists; false: it cannot be read. An entry's position depends on its
 * number alone, so closing some does not hide others. */
static bool close_listed(int first)
{
    alignas(struct dirent_head) char entries[2048];
    int folder = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long n = -1;
    if (folder < 0)
        return false;
    while ((n = syscall(SYS_getdents64, folder, entries, sizeof entries)) > 0) {
        for (long at = 0; at < n;) {
            const struct dirent_head *e = (const struct dirent_head *)(entries + at);
            int fd = number_of(e->name);
            if (fd >= first && fd != folder)
                close(fd);
            at += e->size;
        }
    }
    close(folder);
    return n == 0;
}

/* close_range() needs Linux 5.9, and old seccomp filters refuse it. Without /proc too, every number up to
 * the limit is closed, but at most CLOSE_MAX. */
static void close_from(int first)
{
    struct rlimit limit;
    if (close_range((unsigned)first, ~0U, 0) == 0 || close_listed(first))
        return;
    rlim_t end = getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : CLOSE_MAX;
    for (int fd = first; fd < CLOSE_MAX && (rlim_t)fd < end; fd++)
        close(fd);
}

/*
 * The process gets descriptors 0 to 2, and 3, which reports that exec failed; all others are closed. They
 * are first copied to numbers above 3, because one of ours may have such a number if this program was
 * started with closed standard streams.
 */
static bool arrange_descriptors(const struct channels *c)
{
    int from[CHANNELS] = {c->fd[CHANNEL_IN][0], c->fd[CHANNEL_OUT][1], c->fd[CHANNEL_ERR][1],
                          c->fd[CHANNEL_STATUS][1]};
    for (int i = 0; i < CHANNELS; i++)
        if ((from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, CHANNELS)) < 0)
            return false;
    for (int i = 0; i < CHANNELS; i++)
        if (dup3(from[i], i, i == CHANNEL_STATUS ? O_CLOEXEC : 0) < 0)
            return false;
    close_from(CHANNELS);
    return true;
}

static void reset_signals(void)
{
    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_DFL); /* fails for SIGKILL, SIGSTOP and libc's own, which need no reset */
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void __attribute__((noreturn))
run_child(const struct channels *c, pid_t parent, const char *path, char *const *argv,
          char *const *envp, char *mark, const char *directory)
{
    int status = c->fd[CHANNEL_STATUS][1];
    write_mark(mark, getpid());
    setpgid(0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && arrange_descriptors(c)) {
        status = CHANNEL_STATUS;
        /* A parent that died before prctl() causes no signal. */
        if (getppid() != parent)
            _exit(127);
        reset_signals();
        raise_oom_score();
        if (!directory || chdir(directory) == 0)
            execve(path, argv, envp);
    }
    int code = errno;
    ssize_t ignored = write(status, &code, sizeof code);
    (void)ignored;
    _exit(127);
}

/* --- in the parent */

/* As fork(), with the child in that control group from its first moment: entering one later takes the kernel up to 40 ms.
 * What fork() of libc does beside, for locks of its own, nothing in the child needs. -1: the kernel or a filter of system
 * calls refuses it. */
static pid_t fork_into(int cgroup)
{
    struct clone_args args = {
        .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (unsigned)cgroup};
    return cgroup < 0 ? -1 : (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

/* Blocks until the child executes (end of file) or reports why it cannot. */
static int await_exec(int fd)
{
    int code = 0;
    ssize_t n;
    do
        n = read(fd, &code, sizeof code);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof code ? -code : 0;
}

static void reap(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

static int take(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

int spawn(struct spawned *out, const char *path, char *const *argv, char *const *envp,
          const char *directory, int cgroup)
{
    struct channels c;
    char mark[MARK_ROOM] = "";
    int rc = channels_open(&c);
    if (rc)
        return rc;
    char **environment = make_room_for_mark(envp, mark);
    if (!environment) {
        rc = -ENOMEM;
        goto fail;
    }

    /* Signals are blocked during the fork: a handler must not run in the child, where it would write into
     * the parent loop's pipe. The child unblocks them after it has reset all handlers. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t self = getpid();
    pid_t pid = fork_into(cgroup);
    bool in_cgroup = pid > 0;
    if (pid < 0)
        pid = fork();
    if (pid == 0)
        run_child(&c, self, path, argv, environment, mark, directory);
    rc = pid < 0 ? -errno : 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc)
        goto fail;

    close_fd(&c.fd[CHANNEL_STATUS][1]);
    rc = await_exec(c.fd[CHANNEL_STATUS][0]);
    if (rc) {
        reap(pid);
        goto fail;
    }
    *out = (struct spawned){.pid = pid,
                            .in = take(&c.fd[CHANNEL_IN][1]),
                            .out = take(&c.fd[CHANNEL_OUT][0]),
                            .err = take(&c.fd[CHANNEL_ERR][0]),
                            .in_cgroup = in_cgroup};
fail:
    free(environment);
    channels_close(&c);
    return rc;
}
