/* SPDX-License-Identifier: MIT */
#include "http/unix_socket.h"

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
#include <time.h>
#include <unistd.h>

#include "base/memory.h"

#define LOCK_TRIES 200
#define LOCK_STEP_NS 10000000

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    return a;
}

/* Whether somebody answers there. */
static bool is_alive(const char *path)
{
    struct sockaddr_un a = address_of(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return true;
    /* Only a refusal proves that nobody listens; a full queue, say, proves the contrary. */
    bool alive = connect(fd, (struct sockaddr *)&a, sizeof a) == 0 ||
                 (errno != ECONNREFUSED && errno != ENOENT);
    close(fd);
    return alive;
}

/* --- the folder's lock --------------------------------------------------------------------------
 */

static int wait_for_lock(int fd)
{
    static const struct timespec step = {.tv_nsec = LOCK_STEP_NS};
    for (int i = 0; flock(fd, LOCK_EX | LOCK_NB); i++) {
        if ((errno != EWOULDBLOCK && errno != EINTR) || i >= LOCK_TRIES)
            return -errno;
        nanosleep(&step, NULL);
    }
    return 0;
}

/* `*lock` is closed by the caller; -1 where the folder cannot be locked (it may be written but not read, or
 * its file system knows no locks), which must not keep a server from starting. */
static int lock_folder(const char *path, int *lock, struct error *err)
{
    char *folder = mem_strdup(path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    *lock = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = 0;
    if (*lock < 0 && errno == ENOENT)
        rc = error_set(err, -ENOENT,
                       "cannot listen on %s: its folder does not exist; make it, or choose another "
                       "--host",
                       path);
    else if (*lock >= 0 && wait_for_lock(*lock) == -EWOULDBLOCK)
        rc = error_set(err, -EBUSY,
                       "cannot listen on %s: another program keeps its folder locked; choose "
                       "another --host, or end that program",
                       path);
    free(folder);
    return rc;
}

/* --- the socket ---------------------------------------------------------------------------------
 */

/* Makes way for a new file, under the lock. */
static int remove_dead(const char *path, struct error *err)
{
    struct stat st;
    if (lstat(path, &st))
        return 0;
    if (stat(path, &st) || !S_ISSOCK(st.st_mode))
        return error_set(err, -EEXIST, "%s exists and is no socket: choose another --host", path);
    if (is_alive(path))
        return error_set(err, -EADDRINUSE,
                         "%s is in use: another server listens there; stop it or choose "
                         "another --host",
                         path);
    unlink(path);
    return 0;
}

static int bind_and_listen(int fd, const char *path, int backlog)
{
    struct sockaddr_un a = address_of(path);
    /* Whoever may use the server, may use every model: its user decides. */
    mode_t before = umask(0177);
    int rc = bind(fd, (struct sockaddr *)&a, sizeof a) ? -errno : 0;
    umask(before);
    return rc ? rc : listen(fd, backlog) ? -errno : 0;
}

static int open_socket(struct unix_socket *made, const char *path, int backlog, struct error *err)
{
    struct stat st;
    int rc = remove_dead(path, err);
    if (rc)
        return rc;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    rc = fd < 0 ? -errno : bind_and_listen(fd, path, backlog);
    if (rc) {
        if (fd >= 0)
            close(fd);
        return error_set(err, rc, "cannot listen on %s: %s", path, strerror(-rc));
    }
    if (stat(path, &st) == 0)
        *made = (struct unix_socket){.device = st.st_dev, .inode = st.st_ino};
    return fd;
}

int unix_socket_listen(struct unix_socket *made, const char *path, int backlog, struct error *err)
{
    int lock;
    if (strlen(path) >= sizeof((struct sockaddr_un *)0)->sun_path)
        return error_set(err, -ENAMETOOLONG, "the socket path %s is too long: at most %zu bytes",
                         path, sizeof((struct sockaddr_un *)0)->sun_path - 1);
    int rc = lock_folder(path, &lock, err);
    if (!rc)
        rc = open_socket(made, path, backlog, err);
    if (lock >= 0)
        close(lock); /* and unlocks */
    return rc;
}

void unix_socket_remove(struct unix_socket *made, const char *path)
{
    struct stat st;
    if (made->inode && stat(path, &st) == 0 && st.st_dev == made->device &&
        st.st_ino == made->inode)
        unlink(path);
    *made = (struct unix_socket){0};
}
