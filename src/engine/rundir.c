/* SPDX-License-Identifier: MIT */
#include "engine/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/memory.h"

/* The longest name of a socket in the folder, `/4294967295.sock`, and the zero. */
#define SOCKET_ROOM 17

/* --- where */

#define BASES 4

static void rundir_prefix(char *out, size_t size)
{
    snprintf(out, size, "hostler-%u-", (unsigned)geteuid());
}

/* Where the folder may be made, the preferred place first. */
static size_t list_bases(const char **out)
{
    const char *const all[BASES] = {
        getenv("XDG_RUNTIME_DIR"), getenv("TMPDIR"), "/tmp",
        "/dev/shm"}; /* containers with a read-only root have the last one */
    size_t n = 0;
    for (size_t i = 0; i < BASES; i++)
        if (all[i] && all[i][0] == '/')
            out[n++] = all[i];
    return n;
}

/* --- leftovers */

/* Removes the files in `dir`, but no folders: hostler makes none there. */
static void remove_files(int dir)
{
    int copy = fcntl(dir, F_DUPFD_CLOEXEC, 0);
    DIR *list = copy >= 0 ? fdopendir(copy) : NULL;
    if (!list) {
        if (copy >= 0)
            close(copy);
        return;
    }
    rewinddir(list); /* the copy shares its position with `dir` */
    for (struct dirent *d; (d = readdir(list));)
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
            unlinkat(dir, d->d_name, 0);
    closedir(list);
}

/* A dead daemon's folder, which this process has locked; `path` is absolute. */
typedef void leftover_fn(int base, int dir, const char *name, const char *path, void *ctx);

/* If its lock can be taken, its daemon is dead, or it is being made just now, which create_in() notices. */
static void visit_if_dead(int base, const char *base_path, const char *name, leftover_fn *visit,
                          void *ctx)
{
    struct stat st;
    int dir = openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0)
        return;
    /* Only folders of this user: in /tmp other users may make some with such names. */
    if (fstat(dir, &st) == 0 && st.st_uid == geteuid() && flock(dir, LOCK_EX | LOCK_NB) == 0) {
        char *path = mem_printf("%s/%s", base_path, name);
        visit(base, dir, name, path, ctx);
        free(path);
    }
    close(dir);
}

static void visit_leftovers(const char *base_path, leftover_fn *visit, void *ctx)
{
    char prefix[32];
    int base = open(base_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = base >= 0 ? opendir(base_path) : NULL;
    rundir_prefix(prefix, sizeof prefix);
    if (list) {
        for (struct dirent *d; (d = readdir(list));)
            if (strncmp(d->d_name, prefix, strlen(prefix)) == 0)
                visit_if_dead(base, base_path, d->d_name, visit, ctx);
        closedir(list);
    }
    if (base >= 0)
        close(base);
}

static void remove_leftover(int base, int dir, const char *name, const char *path, void *ctx)
{
    (void)ctx;
    remove_files(dir);
    if (unlinkat(base, name, AT_REMOVEDIR) == 0)
        log_info("removed %s, left by a daemon that is gone", path);
}

static void note_leftover(int base, int dir, const char *name, const char *path, void *ctx)
{
    (void)base, (void)dir, (void)name;
    strv_add(ctx, path);
}

void rundir_leftovers(struct strv *out)
{
    const char *bases[BASES];
    size_t n = list_bases(bases);
    for (size_t i = 0; i < n; i++)
        visit_leftovers(bases[i], note_leftover, out);
}

/* --- making a folder */

/* -EAGAIN: another daemon that removes leftovers has removed the new folder, as its number of links shows,
 * or has locked it and will. */
static int lock_folder(const char *path, int *out)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -EAGAIN : -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) || fstat(fd, &st) || st.st_nlink == 0) {
        close(fd);
        return -EAGAIN;
    }
    *out = fd;
    return 0;
}

/* Whether the file system has sockets: some network and user-space ones have not. */
static int try_socket(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s/try", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) ? -errno : 0;
    if (fd >= 0)
        close(fd);
    if (!rc)
        unlink(a.sun_path);
    return rc;
}

static void close_lock(struct rundir *r)
{
    if (r->lock >= 0)
        close(r->lock);
    r->lock = -1;
}

static int create_in(struct rundir *r, const char *base)
{
    char prefix[32];
    rundir_prefix(prefix, sizeof prefix);
    char *path = mem_printf("%s/%sXXXXXX", base, prefix);
    int rc = -ENAMETOOLONG;
    if (strlen(path) + SOCKET_ROOM > sizeof((struct sockaddr_un *)0)->sun_path)
        goto fail;
    rc = mkdtemp(path) ? 0 : -errno; /* 0700 */
    if (rc)
        goto fail;
    rc = lock_folder(path, &r->lock);
    if (!rc)
        rc = try_socket(path);
    if (rc) {
        rmdir(path);
        close_lock(r);
        goto fail;
    }
    r->path = path;
    return 0;
fail:
    free(path);
    return rc;
}

static int create_or_retry(struct rundir *r, const char *base)
{
    int rc = -EAGAIN;
    for (int tries = 0; rc == -EAGAIN && tries < 10; tries++)
        rc = create_in(r, base);
    return rc;
}

static void note_refusal(struct buf *text, const char *base, int rc)
{
    if (rc == -ENAMETOOLONG)
        buf_printf(text, "%s%.200s: its path is too long for a socket's address",
                   text->len ? "; " : "", base);
    else
        buf_printf(text, "%s%.200s: %s", text->len ? "; " : "", base, strerror(-rc));
}

int rundir_create(struct rundir *r, struct error *err)
{
    struct buf refusals;
    const char *bases[BASES];
    size_t n = list_bases(bases);
    int rc = -ENOENT;
    *r = (struct rundir){.lock = -1};
    buf_init(&refusals, BUF_OWN);
    for (size_t i = 0; i < n && rc; i++) {
        visit_leftovers(bases[i], remove_leftover, NULL);
        rc = create_or_retry(r, bases[i]);
        if (rc)
            note_refusal(&refusals, bases[i], rc);
    }
    if (rc)
        error_set(
            err, rc,
            "cannot make a folder for the engines' sockets: %s. Name one that can be written by "
            "XDG_RUNTIME_DIR or TMPDIR",
            buf_cstr(&refusals));
    buf_finish(&refusals);
    return rc;
}

void rundir_remove(struct rundir *r)
{
    if (!r->path)
        return;
    remove_files(r->lock);
    rmdir(r->path);
    close(r->lock);
    free(r->path);
    *r = (struct rundir){.lock = -1};
}
