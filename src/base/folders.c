/* SPDX-License-Identifier: MIT */
#include "base/folders.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/memory.h"

static int make(const char *path, mode_t mode)
{
    return mkdir(path, mode) && errno != EEXIST ? -errno : 0;
}

int folders_make(const char *path, mode_t mode)
{
    if (!*path)
        return -ENOENT;
    char *copy = mem_strdup(path);
    int rc = 0;
    for (char *p = copy + 1; *p && !rc; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        rc = make(copy, mode);
        *p = '/';
    }
    if (!rc)
        rc = make(copy, mode);
    free(copy);
    return rc;
}
