/* SPDX-License-Identifier: MIT */
/*
 * A control group of its own for each engine, below the daemon's (the kernel's cgroup-v2, cgroup-v1/memory): there the kernel
 * counts what all processes of the engine hold, its own memory for them included, and whom it killed for want of memory.
 *
 *  - Version 2: where the daemon's group is delegated to it, as by systemd's Delegate=, and so marked, and has the memory
 *    controller. Such a group may have no processes beside groups below it, so the daemon moves into one itself:
 *        hostler.service/hostler-daemon, hostler.service/hostler-PID-1, hostler.service/hostler-PID-2, …
 *    An engine is in its group from its first moment (spawn.h).
 *  - Version 1: where the user may make groups below the daemon's, which most often is root alone. The daemon stays where it
 *    is.
 *  - In version 1, and where a filter of system calls refuses clone3(), as systemd's RestrictNamespaces= does, an engine is
 *    brought into its group after its start, in the thread pool, since that takes the kernel 2 to 40 ms. What it took before
 *    is not counted there.
 *
 * A subgroup is known by its number; 0: none, since there is no right to make any, or it failed, which the log says once.
 * All then goes by processes alone (family.h). Functions may be called from any thread between subgroup_open() and
 * subgroup_close(), subgroup_create() from the loop's alone. Unless it says otherwise, none takes longer than a fork.
 */
#ifndef HOSTLER_ENGINE_SUBGROUP_H
#define HOSTLER_ENGINE_SUBGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Finds out whether subgroups can be made, and removes those of daemons that are gone. May move this process into a group
 * below its own, which blocks for some 10 ms. `root`: "", or a folder in tests. */
void subgroup_open(const char *root);
/* Removes those that are left and empty; the daemon stays in its group. */
void subgroup_close(void);

unsigned subgroup_create(void);
/* No-op for 0. Fails silently while a process is in it. */
void subgroup_remove(unsigned group);
/* Its folder, for spawn(); the caller closes it. -1: no process can be started in it. */
int subgroup_folder(unsigned group);
/* Brings process `pid` into it, with all its threads and no descendants. Blocks. */
bool subgroup_enter(unsigned group, pid_t pid);

/* Its processes, at most `max`. May block. */
size_t subgroup_members(unsigned group, pid_t *out, size_t max);
/* Bytes that its processes hold, without pages of files, which others may map as well, and with the kernel's own memory
 * for them. False: not known. May block. */
bool subgroup_memory(unsigned group, uint64_t *out);
/* How many of its processes the kernel has killed for want of memory; -1: not known. May block. */
int subgroup_oom_kills(unsigned group);

#endif
