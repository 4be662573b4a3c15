/* SPDX-License-Identifier: MIT */
/*
 * How control groups limit the host's memory: the group of this process and every group above it, in
 * version 2 and version 1 of the interface (the kernel's cgroup-v2 and cgroup-v1/memory). A service's
 * MemoryMax=, its MemoryHigh=, above which the kernel slows it down, and a container's limit are such limits. Readings may block (memory.h).
 */
#ifndef HOSTLER_ENGINE_CGROUP_H
#define HOSTLER_ENGINE_CGROUP_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

/* The folders of this process's groups. */
struct cgroup {
    struct {
        char path[PATH_MAX]; /* empty: no group */
        size_t top;          /* the mount point's length in `path`, above which there is no group */
    } v2, v1;
};

/* UINT64_MAX: no limit. */
struct cgroup_memory {
    uint64_t limit; /* the lowest limit of all groups */
    /* Bytes until the first limit is reached. What the kernel reclaims before it kills counts as free, as in
     * its own MemAvailable: page cache, also that which was used lately, and reclaimable slab. So pages of
     * files that engines map are in it on the host and in a group alike; budgets take them off. */
    uint64_t room;
};

/* Called once, at the start: a later move of the process to another group is not noticed. */
void cgroup_find(struct cgroup *c, const char *root);
void cgroup_read(const struct cgroup *c, struct cgroup_memory *out);

#endif
