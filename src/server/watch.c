/* SPDX-License-Identifier: MIT */
#include "server/watch.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"

#define INSIDE (IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE)
#define READ_SIZE ((size_t)64 * 1024)
#define NAMES_MAX 64 /* of more names in a folder, a change of any name counts */

/* Which changes of a folder count, beside that it is moved or deleted. */
enum scope {
    SCOPE_MOVE,  /* no other */
    SCOPE_NAMES, /* those of some names in it */
    SCOPE_ALL,
};

struct place {
    char *path;
    int wd;                          /* the kernel's number for it */
    unsigned set;                    /* the last watch_set() that named it */
    enum scope scope;                /* the widest that was named then */
    struct strv names, names_before; /* of this watch_set(), of the one before */
    UT_hash_handle by_path;
    UT_hash_handle by_wd;
};

struct watch {
    uv_poll_t poll;
    int fd; /* -1: there is no inotify */
    bool full;
    unsigned set; /* counts watch_set() */
    struct place *by_path, *by_wd;
    void (*changed)(void *ctx);
    void *ctx;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static void place_free(struct place *p)
{
    free(p->path);
    strv_finish(&p->names);
    strv_finish(&p->names_before);
    free(p);
}

static void forget(struct watch *w, struct place *p)
{
    HASH_DELETE(by_path, w->by_path, p);
    HASH_DELETE(by_wd, w->by_wd, p);
    place_free(p);
}

static struct place *find_wd(const struct watch *w, int wd)
{
    struct place *p;
    HASH_FIND(by_wd, w->by_wd, &wd, sizeof wd, p);
    return p;
}

/* True if it was still in the set: not after our own inotify_rm_watch(). */
static bool forget_wd(struct watch *w, int wd)
{
    struct place *p = find_wd(w, wd);
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

static bool name_counts(const struct watch *w, int wd, const char *name)
{
    const struct place *p = find_wd(w, wd);
    return p && (p->scope == SCOPE_ALL || (p->scope == SCOPE_NAMES && strv_has(&p->names, name)));
}

/* Whether the event is a change that counts. `name`: what it is about in the folder, empty if that is the folder itself. */
static bool take_event(struct watch *w, const struct inotify_event *e, const char *name)
{
    bool known = find_wd(w, e->wd);
    if (e->mask & IN_Q_OVERFLOW)
        return true;
    if (*name)
        return known && name_counts(w, e->wd, name);
    if (e->mask & IN_IGNORED) /* the kernel dropped it: the folder is gone */
        return forget_wd(w, e->wd);
    if (e->mask & IN_MOVE_SELF)
        forget_moved(w, e->wd);
    return known;
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
        any |= take_event(w, &e, e.len ? buffer + at + sizeof e : "");
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
        log_warn("models that appear are only found on SIGHUP or ?reload=1: inotify: %s%s",
                 strerror(errno),
                 errno == EMFILE
                     ? "; raise fs.inotify.max_user_instances or the limit of open files"
                     : "");
        return w;
    }
    uv_poll_init(loop, &w->poll, w->fd);
    w->poll.data = w;
    uv_poll_start(&w->poll, UV_READABLE, on_readable);
    return w;
}

static struct place *place_create(struct watch *w, const char *path, int wd)
{
    struct place *p = mem_zalloc(sizeof *p);
    p->path = mem_strdup(path);
    p->wd = wd;
    HASH_ADD_KEYPTR(by_path, w->by_path, p->path, strlen(p->path), p);
    HASH_ADD(by_wd, w->by_wd, wd, sizeof p->wd, p);
    return p;
}

/* Forgets what the last watch_set() said of it. */
static void begin_set(struct watch *w, struct place *p)
{
    if (p->set == w->set)
        return;
    p->set = w->set;
    p->scope = SCOPE_MOVE;
    strv_finish(&p->names_before);
    p->names_before = p->names;
    p->names = (struct strv){0};
}

/* Notes that this watch_set() names `p`, too. Whether more of it is watched than before. */
static bool widen(struct watch *w, struct place *p, enum scope scope, const char *name)
{
    const enum scope before = p->scope;
    begin_set(w, p);
    bool new_name = scope == SCOPE_NAMES && before != SCOPE_ALL && !strv_has(&p->names, name) &&
                    !strv_has(&p->names_before, name);
    if (scope == SCOPE_NAMES && !strv_has(&p->names, name) && p->names.n < NAMES_MAX)
        strv_add(&p->names, name);
    else if (scope == SCOPE_NAMES && !strv_has(&p->names, name))
        scope = SCOPE_ALL;
    if (p->scope < scope)
        p->scope = scope;
    return p->scope > before || new_name;
}

/* The number of the folder, whatever its path names now; negative: it cannot be watched. */
static int watch_path(struct watch *w, const char *path, enum scope scope)
{
    const uint32_t inside = scope == SCOPE_MOVE ? 0 : INSIDE;
    int wd = inotify_add_watch(w->fd, path,
                               IN_MOVE_SELF | IN_DELETE_SELF | IN_ONLYDIR | IN_MASK_ADD | inside);
    if (wd >= 0 || errno != ENOSPC)
        return wd;
    if (!w->full)
        log_warn_once("not all folders can be watched for new models: raise "
                      "fs.inotify.max_user_watches, or send SIGHUP after a change");
    w->full = true;
    return wd;
}

/* Whether something about it was not watched before. A path that leads to another folder now (a symbolic link was
 * changed) is watched there. */
static bool add(struct watch *w, const char *path, enum scope scope, const char *name)
{
    struct place *p, *known;
    int wd = watch_path(w, path, scope);
    if (wd < 0)
        return false;
    HASH_FIND(by_path, w->by_path, path, strlen(path), p);
    if (p && p->wd == wd)
        return widen(w, p, scope, name);
    bool moved = p != NULL;
    if (moved) {
        inotify_rm_watch(w->fd, p->wd);
        forget(w, p);
    }
    known = find_wd(w, wd);
    p = known ? known : place_create(w, path, wd); /* the same folder by another name */
    bool wider = widen(w, p, scope, name);
    return !known || moved || wider;
}

/* `path`: FOLDER/NAME. */
static bool add_name(struct watch *w, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = mem_strndup(path, slash == path ? 1 : (size_t)(slash - path));
    bool any = add(w, folder, SCOPE_NAMES, slash + 1);
    free(folder);
    return any;
}

static void forget_unnamed(struct watch *w)
{
    struct place *p, *next;
    for (p = w->by_path; p; p = next) {
        next = p->by_path.next;
        if (p->set == w->set)
            continue;
        inotify_rm_watch(w->fd, p->wd);
        forget(w, p);
    }
}

bool watch_set(struct watch *w, const struct watched *list)
{
    bool any = false;
    w->full = false;
    w->set++;
    for (size_t i = 0; w->fd >= 0 && i < list->folders.n && !w->full; i++)
        any |= add(w, list->folders.v[i], SCOPE_ALL, NULL);
    for (size_t i = 0; w->fd >= 0 && i < list->names.n && !w->full; i++)
        any |= add_name(w, list->names.v[i]);
    for (size_t i = 0; w->fd >= 0 && i < list->moves.n && !w->full; i++)
        any |= add(w, list->moves.v[i], SCOPE_MOVE, NULL);
    if (w->fd >= 0 && !w->full)
        forget_unnamed(w);
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
