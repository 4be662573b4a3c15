/* SPDX-License-Identifier: MIT */
/*
 * Starts a process of which nothing is left when this one dies, and which inherits nothing that is
 * not meant for it: no descriptors, no signal settings, no environment but the given one.
 *
 * Not uv_spawn(), because the death signal has to be set between fork and exec.
 */
#ifndef HOSTLER_ENGINE_SPAWN_H
#define HOSTLER_ENGINE_SPAWN_H

#include <sys/types.h>

struct spawned {
    pid_t
        pid; /* leads a process group of its own, so that kill(-pid, …) reaches its children too */
    /* Our ends, close-on-exec; the caller closes them. */
    int in;  /* a socket, so that a write to a dead process can be made not to raise SIGPIPE */
    int out; /* pipes */
    int err;
};

/*
 * Runs `path` (no search in PATH) in `directory` (NULL: this process's) and returns when it executes or
 * has failed to: 0, or a negative errno of whatever failed, and then there is no process: error_is_ours() is true where
 * descriptors, processes or memory ran out (pipes, fork, execve()); else it is execve()'s word on
 * `path` (-ENOENT, -EACCES, -ENOEXEC, …). `argv` and `envp` end with NULL.
 *
 * To be called from the thread that lives as long as the program: the kernel sends the death signal
 * when the thread that forked ends, not the process (prctl(2), PR_SET_PDEATHSIG).
 */
int spawn(struct spawned *out, const char *path, char *const *argv, char *const *envp,
          const char *directory) __attribute__((warn_unused_result));

#endif
