/* SPDX-License-Identifier: MIT */
/* A temporary folder with files in it, for tests. */
#ifndef HOSTLER_TESTS_TREE_H
#define HOSTLER_TESTS_TREE_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"

struct tree {
    char root[64];
    char path[4096]; /* of the last tree_path() */
};

static inline void tree_create(struct tree *t)
{
    snprintf(t->root, sizeof t->root, "/tmp/hostler-test-XXXXXX");
    if (!mkdtemp(t->root))
        abort();
}

static inline int tree_remove_one(const char *path, const struct stat *st, int flag,
                                  struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static inline void tree_remove(struct tree *t)
{
    nftw(t->root, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Owned by the tree; good until the next call. */
static inline const char *tree_path(struct tree *t, const char *name)
{
    snprintf(t->path, sizeof t->path, "%s/%s", t->root, name);
    return t->path;
}

static inline void tree_folder(struct tree *t, const char *name)
{
    if (mkdir(tree_path(t, name), 0700) < 0)
        abort();
}

static inline void tree_put(struct tree *t, const char *name, const void *data, size_t len)
{
    int fd = open(tree_path(t, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, data, len) != (ssize_t)len || close(fd) < 0)
        abort();
}

/* Puts the buffer's content there and empties it. */
static inline void tree_put_buf(struct tree *t, const char *name, struct buf *b)
{
    tree_put(t, name, b->data, b->len);
    buf_finish(b);
}

static inline void tree_link(struct tree *t, const char *name, const char *target)
{
    if (symlink(target, tree_path(t, name)) < 0)
        abort();
}

static inline void tree_delete(struct tree *t, const char *name)
{
    if (remove(tree_path(t, name)) < 0)
        abort();
}

static inline double tree_now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

#endif
