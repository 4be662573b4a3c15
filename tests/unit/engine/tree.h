/* SPDX-License-Identifier: MIT */
/* A folder of its own for a test, with files like those of /proc and /sys. */
#ifndef HOSTLER_TESTS_TREE_H
#define HOSTLER_TESTS_TREE_H

#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char tree[] = "/tmp/hostler-test-tree-XXXXXX";

static int tree_setup(void **state)
{
    (void)state;
    memcpy(strrchr(tree, '-'), "-XXXXXX", 7);
    return mkdtemp(tree) ? 0 : -1;
}

static int tree_remove(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

static int tree_teardown(void **state)
{
    (void)state;
    return nftw(tree, tree_remove, 8, FTW_DEPTH | FTW_PHYS);
}

/* Writes a file, with the folders it needs. `path` begins with a slash. */
__attribute__((format(printf, 2, 3))) static void tree_write(const char *path, const char *fmt, ...)
{
    char full[PATH_MAX];
    va_list args;
    snprintf(full, sizeof full, "%s%s", tree, path);
    for (char *p = full + strlen(tree) + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = '\0';
        mkdir(full, 0700);
    }
    FILE *f = fopen(full, "we");
    assert_non_null(f);
    va_start(args, fmt);
    vfprintf(f, fmt, args);
    va_end(args);
    assert_int_equal(fclose(f), 0);
}

#endif
