/* SPDX-License-Identifier: MIT */
#include "engine/children.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

static struct {
    pthread_mutex_t lock; /* of `started`; never held while something may block */
    LIST_HEAD(, child) started;
    atomic_uint starting; /* processes that other threads start now */
    atomic_bool again;    /* the reaper left some unreaped: it must be called again */
    uv_signal_t sigchld;
} children = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* A signal reaches the reaper on its loop, whatever thread this is. */
static void call_again(void)
{
    if (atomic_exchange(&children.again, false))
        kill(getpid(), SIGCHLD);
}

void children_starting(void)
{
    atomic_fetch_add(&children.starting, 1);
}

void children_started(void)
{
    atomic_fetch_sub(&children.starting, 1);
    call_again();
}

void children_add(struct child *c, pid_t pid)
{
    pthread_mutex_lock(&children.lock);
    c->pid = pid;
    c->left = false;
    LIST_INSERT_HEAD(&children.started, c, link);
    pthread_mutex_unlock(&children.lock);
}

void children_remove(struct child *c)
{
    pthread_mutex_lock(&children.lock);
    if (c->pid)
        LIST_REMOVE(c, link);
    c->pid = 0;
    pthread_mutex_unlock(&children.lock);
    call_again();
}

void children_leave(struct child *c)
{
    pthread_mutex_lock(&children.lock);
    c->left = true;
    pthread_mutex_unlock(&children.lock);
    call_again();
}

bool children_registered(const struct child *c)
{
    pthread_mutex_lock(&children.lock);
    bool registered = c->pid != 0;
    pthread_mutex_unlock(&children.lock);
    return registered;
}

bool children_contain(pid_t pid)
{
    const struct child *c;
    bool found = false;
    pthread_mutex_lock(&children.lock);
    LIST_FOREACH (c, &children.started, link)
        found |= c->pid == pid;
    pthread_mutex_unlock(&children.lock);
    return found;
}

bool children_exist(void)
{
    siginfo_t info;
    int rc;
    do
        rc = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);
    while (rc < 0 && errno == EINTR);
    return rc == 0;
}

/* --- the reaper ---------------------------------------------------------------------------------
 */

/* Asked after the process was seen: whoever started it had begun to before. */
static bool is_reapers(pid_t pid)
{
    const struct child *c;
    bool owned = atomic_load(&children.starting) > 0;
    pthread_mutex_lock(&children.lock);
    LIST_FOREACH (c, &children.started, link)
        owned |= c->pid == pid && !c->left;
    pthread_mutex_unlock(&children.lock);
    return !owned;
}

/* Behind the process's end: its number may be another's now, which is not left. */
static void forget_left(pid_t pid)
{
    struct child *c;
    pthread_mutex_lock(&children.lock);
    LIST_FOREACH (c, &children.started, link)
        if (c->left && c->pid == pid)
            break;
    if (c) {
        LIST_REMOVE(c, link);
        c->pid = 0;
    }
    pthread_mutex_unlock(&children.lock);
}

static void reap(pid_t pid)
{
    if (waitpid(pid, NULL, WNOHANG) != pid)
        return;
    forget_left(pid);
    log_debug("process %d, for which nobody else waits, has ended", (int)pid);
}

/* The first child that has ended; 0: none has. It stays a zombie. */
static pid_t first_ended(void)
{
    siginfo_t info = {0};
    int rc;
    do
        rc = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);
    while (rc < 0 && errno == EINTR);
    return rc ? 0 : info.si_pid;
}

/* waitid() returns the same child until that is reaped. So a registered child hides later ones until its owner has
 * reaped it. Its owner may be another thread, and reap it right after waitid(): so `again` is set before. */
static void on_sigchld(uv_signal_t *handle, int signum)
{
    pid_t pid;
    (void)handle, (void)signum;
    atomic_store(&children.again, true);
    while ((pid = first_ended()) && is_reapers(pid))
        reap(pid);
    if (!pid)
        atomic_store(&children.again, false);
}

void children_reap(uv_loop_t *loop)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* fails before Linux 3.4 only */
    uv_signal_init(loop, &children.sigchld);
    uv_signal_start(&children.sigchld, on_sigchld, SIGCHLD);
    uv_unref((uv_handle_t *)&children.sigchld);
}

void children_reap_end(uv_loop_t *loop)
{
    uv_close((uv_handle_t *)&children.sigchld, NULL);
    uv_run(loop, UV_RUN_DEFAULT);
}
