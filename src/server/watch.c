/* SPDX-License-Identifier: MIT */
#include "server/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"

#define WANTED                                                                                     \
    (IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_MOVE_SELF |         \
     IN_ONLYDIR)
#define READ_SIZE ((size_t)64 * 1024)

struct place {
    char *path;
    int wd; /* the kernel's number for it */
    UT_hash_handle by_path;
    UT_hash_handle by_wd;
};

struct watch {
    uv_poll_t poll;
    int fd; /* -1: there is no inotify */
    bool full;
    struct place *by_path, *by_wd;
    void (*changed)(void *ctx);
    void *ctx;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static void place_free(struct place *p)
{
    free(p->path);
    free(p);
}

static void forget(struct watch *w, struct place *p)
{
    HASH_DELETE(by_path, w->by_path, p);
    HASH_DELETE(by_wd, w->by_wd, p);
    place_free(p);
}

/* True if it was still in the set: not after our own inotify_rm_watch(). */
static bool forget_wd(struct watch *w, int wd)
{
    struct place *p;
    HASH_FIND(by_wd, w->by_wd, &wd, sizeof wd, p);
    if (p)
        forget(w, p);
    return p != NULL;
}

/* A folder was moved: its path and those below it may soon name other folders. */
static void forget_moved(struct watch *w, int wd)
{
    struct place *moved, *p, *next;
    HASH_FIND(by_wd, w->by_wd, &wd, sizeof wd, moved);
    char *path = moved ? mem_strdup(moved->path) : NULL;
    size_t len = path ? strlen(path) : 0;
    for (p = path ? w->by_path : NULL; p; p = next) {
        next = p->by_path.next;
        if (strncmp(p->path, path, len) != 0 || (p->path[len] && p->path[len] != '/'))
            continue;
        inotify_rm_watch(w->fd, p->wd);
        forget(w, p);
    }
    free(path);
}

/* Whether the event is a change in a watched folder. */
static bool take_event(struct watch *w, const struct inotify_event *e)
{
    if (e->mask & IN_IGNORED) /* the kernel dropped it: the folder is gone */
        return forget_wd(w, e->wd);
    if (e->mask & IN_MOVE_SELF)
        forget_moved(w, e->wd);
    return true;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct watch *w = poll->data;
    char *buffer = mem_zalloc(READ_SIZE);
    ssize_t n = read(w->fd, buffer, READ_SIZE);
    bool any = false;
    (void)events;
    for (ssize_t at = 0; status == 0 && at < n;) {
        struct inotify_event e; /* copied: the buffer is bytes */
        memcpy(&e, buffer + at, sizeof e);
        any |= take_event(w, &e);
        at += (ssize_t)(sizeof e + e.len);
    }
    free(buffer);
    if (any)
        w->changed(w->ctx);
}

struct watch *watch_create(uv_loop_t *loop, void (*changed)(void *ctx), void *ctx)
{
    struct watch *w = mem_zalloc(sizeof *w);
    w->changed = changed;
    w->ctx = ctx;
    w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (w->fd < 0) {
        log_warn("models that appear are only found on SIGHUP or ?reload=1: inotify: %s",
                 strerror(errno));
        return w;
    }
    uv_poll_init(loop, &w->poll, w->fd);
    w->poll.data = w;
    uv_poll_start(&w->poll, UV_READABLE, on_readable);
    return w;
}

/* A path that leads to another folder now (a symbolic link was changed) is watched there. */
static bool add(struct watch *w, const char *path)
{
    struct place *p;
    int wd = inotify_add_watch(w->fd, path, WANTED);
    if (wd < 0) {
        if (errno == ENOSPC && !w->full)
            log_warn("not all folders can be watched for new models: raise "
                     "fs.inotify.max_user_watches, or send SIGHUP after a change");
        w->full |= errno == ENOSPC;
        return false;
    }
    HASH_FIND(by_path, w->by_path, path, strlen(path), p);
    if (p && p->wd == wd)
        return false;
    bool moved = p != NULL;
    if (moved) {
        inotify_rm_watch(w->fd, p->wd);
        forget(w, p);
    }
    HASH_FIND(by_wd, w->by_wd, &wd, sizeof wd, p);
    if (p) /* the same folder by another name */
        return moved;
    p = mem_zalloc(sizeof *p);
    p->path = mem_strdup(path);
    p->wd = wd;
    HASH_ADD_KEYPTR(by_path, w->by_path, p->path, strlen(p->path), p);
    HASH_ADD(by_wd, w->by_wd, wd, sizeof p->wd, p);
    return true;
}

bool watch_add(struct watch *w, const struct strv *folders)
{
    bool any = false;
    w->full = false;
    for (size_t i = 0; w->fd >= 0 && i < folders->n && !w->full; i++)
        any |= add(w, folders->v[i]);
    return any;
}

static void watch_free(struct watch *w)
{
    struct place *next, *p = w->by_path;
    HASH_CLEAR(by_wd, w->by_wd);
    HASH_CLEAR(by_path, w->by_path);
    for (; p; p = next) {
        next = p->by_path.next; /* still valid after HASH_CLEAR */
        place_free(p);
    }
    void (*closed)(void *) = w->closed;
    void *ctx = w->closed_ctx;
    if (w->fd >= 0)
        close(w->fd);
    free(w);
    closed(ctx);
}

static void on_poll_closed(uv_handle_t *handle)
{
    watch_free(handle->data);
}

void watch_close(struct watch *w, void (*closed)(void *ctx), void *ctx)
{
    w->closed = closed;
    w->closed_ctx = ctx;
    if (w->fd >= 0)
        uv_close((uv_handle_t *)&w->poll, on_poll_closed);
    else
        watch_free(w);
}
