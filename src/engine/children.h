/* SPDX-License-Identifier: MIT */
/*
 * The daemon's child processes. Those that it started are registered here, and whoever started one reaps
 * it, or leaves that to the reaper. All others were adopted: the daemon is a child subreaper (prctl(2)), or PID 1 of a container, so the
 * kernel gives it each descendant whose parent has ended. The reaper waits for adopted ones, so that none
 * stays a zombie.
 *
 * Children may be started in any thread; the reaper runs in the main one.
 */
#ifndef HOSTLER_ENGINE_CHILDREN_H
#define HOSTLER_ENGINE_CHILDREN_H

#include <stdbool.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <uv.h>

/* Embedded by who starts a process. */
struct child {
    pid_t pid; /* 0: not registered */
    bool left; /* to the reaper */
    LIST_ENTRY(child) link;
};

/* In another thread than the main one: before a process is started, and after it was added or could not be
 * started. Otherwise one that ends at once would be taken for an adopted one. */
void children_starting(void);
void children_started(void);
void children_add(struct child *c, pid_t pid);
/* When its owner has reaped it, or gives it up: then it counts as adopted. No-op when it is not registered. */
void children_remove(struct child *c);

/* Its owner does not wait for it any more: the reaper does, and then it is registered no longer. It must stay
 * where it is until then. */
void children_leave(struct child *c);
/* Whether it is registered still. In any thread. */
bool children_registered(const struct child *c);
/* Whether `pid` is registered. In any thread. */
bool children_contain(pid_t pid);
/* Whether this process has any child, started or adopted; zombies count. */
bool children_exist(void);

/* Makes this process the subreaper of its descendants, and reaps adopted children from now on. It does not
 * keep the loop running. */
void children_reap(uv_loop_t *loop);
/* When the loop has ended, before it is closed. */
void children_reap_end(uv_loop_t *loop);

#endif
