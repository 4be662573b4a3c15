/* SPDX-License-Identifier: MIT */
/*
 * What control groups leave of the host's memory: of the group that this process is in and of every
 * group above it, in version 2 and version 1 of the interface (the kernel's cgroup-v2 and
 * cgroup-v1/memory). A service's MemoryMax= and a container's limit are such.
 */
#ifndef HOSTLER_ENGINE_CGROUP_H
#define HOSTLER_ENGINE_CGROUP_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

/* Where this process's groups are. */
struct cgroup {
    struct {
        char path[PATH_MAX]; /* empty: there is none */
        size_t top;          /* the mount point's length in `path`: no group is above that */
    } v2, v1;
};

/* UINT64_MAX: no limit. */
struct cgroup_memory {
    uint64_t limit; /* the lowest of all */
    /* Until the first limit is met, the page cache that no one has used lately (inactive_file)
     * taken as free. */
    uint64_t room;
};

/* Once, at the start: a process that is moved later keeps what is found here. */
void cgroup_find(struct cgroup *c, const char *root);
void cgroup_read(const struct cgroup *c, struct cgroup_memory *out);

#endif
