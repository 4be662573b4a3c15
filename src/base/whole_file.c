/* SPDX-License-Identifier: MIT */
#include "base/whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"

#define PIECE ((size_t)16 * 1024)

int whole_file_write_all(int fd, const char *data, size_t len)
{
    for (ssize_t n = 0; len; data += n, len -= (size_t)n)
        if ((n = write(fd, data, len)) < 0)
            return -errno;
    return 0;
}

static int write_next(int folder, const char *next, const char *data, size_t len)
{
    int fd = openat(folder, next, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int rc = whole_file_write_all(fd, data, len);
    if (!rc && fsync(fd))
        rc = -errno;
    if (close(fd) && !rc)
        rc = -errno;
    return rc;
}

int whole_file_write(int folder, const char *name, const char *data, size_t len)
{
    char *next = mem_printf("%s.next", name);
    int rc = write_next(folder, next, data, len);
    if (!rc && renameat(folder, next, folder, name))
        rc = -errno;
    if (rc)
        unlinkat(folder, next, 0);
    free(next);
    return rc;
}

static int read_all(int fd, struct buf *out)
{
    for (ssize_t n = 1; n > 0; out->len += (size_t)n) {
        int rc = buf_reserve(out, PIECE);
        if (rc)
            return rc;
        n = read(fd, out->data + out->len, PIECE);
        if (n < 0)
            return -errno;
    }
    return 0;
}

int whole_file_read(int folder, const char *name, struct buf *out)
{
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = read_all(fd, out);
    close(fd);
    return rc;
}
