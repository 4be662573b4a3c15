/* SPDX-License-Identifier: MIT */
/*
 * The processes of one engine. An engine may be a script that runs llama-server without exec, or start
 * helpers, so its memory and its end are those of a family:
 *   - the leader, which the daemon started,
 *   - the leader's process group,
 *   - the descendants of these, whatever group they have moved to,
 *   - the daemon's children that carry the leader's mark in their environment: processes whose parent has
 *     ended and that the kernel gave to the daemon (children.h), and their descendants,
 *   - all processes of the engine's control group, where it has one of its own (subgroup.h).
 * Zombies are in none: they hold no memory and need no signal.
 *
 * A reading goes over the threads of the daemon and of its descendants in /proc (some 15 us each) and may block:
 * in the thread pool only. It misses a process whose parent or sibling ends meanwhile (proc_tid_children(5)), so
 * one reading in which a family has no member does not prove that the family has ended.
 */
#ifndef HOSTLER_ENGINE_FAMILY_H
#define HOSTLER_ENGINE_FAMILY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* In the environment of each process that spawn() starts: its own pid. */
#define FAMILY_MARK "HOSTLER_ENGINE_PID"
#define FAMILY_MAX 256 /* processes of one family that are counted */

struct family_process;

/* The daemon's descendants, as one reading of /proc showed them. */
struct family_table {
    struct family_process *process; /* by pid, ascending */
    size_t n;
    pid_t daemon;
};

/* /proc below `root` (""; a folder in tests); `daemon`: whose children the leaders are. Without memory the
 * table is empty; false: it is because /proc cannot be read. */
bool family_read(struct family_table *t, const char *root, pid_t daemon);
void family_finish(struct family_table *t);
/* Writes at most FAMILY_MAX pids; returns how many. The leader is among them while it runs. `group_ended`: no
 * process, not even a zombie, is in the leader's group; only the mark and the control group (0: none) tell who belongs
 * to the family then. */
size_t family_members(const struct family_table *t, pid_t leader, bool group_ended,
                      unsigned subgroup, pid_t out[FAMILY_MAX]);
/* Whether a process that is no zombie is in the leader's group. */
bool family_group_runs(const struct family_table *t, pid_t leader);

#endif
