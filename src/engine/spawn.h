/* SPDX-License-Identifier: MIT */
/*
 * Starts a process that is killed when this one dies, and that inherits no descriptors, no signal settings
 * and no environment but the given one and its mark (family.h). When memory runs out, the kernel kills it before this one
 * (oom_score_adj). uv_spawn() cannot set the death signal between fork and exec.
 */
#ifndef HOSTLER_ENGINE_SPAWN_H
#define HOSTLER_ENGINE_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

struct spawned {
    pid_t pid; /* leader of its own process group: kill(-pid, …) reaches its children as well */
    /* Our ends, close-on-exec; the caller closes them. */
    int in;  /* a socket, because MSG_NOSIGNAL prevents SIGPIPE when the process is dead */
    int out; /* pipes */
    int err;
    bool in_cgroup;
};

/*
 * Runs `path` (no search in PATH) in `directory` (NULL: this process's) and in the control group (version 2) whose folder
 * `cgroup` is, where the kernel lets it; else, or with -1, in this process's. Returns 0 when it executes, else a
 * negative errno, and there is no process: error_is_ours() is true if descriptors, processes or memory ran
 * out (pipes, fork, execve()); otherwise it is the error of execve() or chdir() (-ENOENT, -EACCES,
 * -ENOEXEC, …). `argv` and `envp` end with NULL. Call it from a thread that lives as long as the program:
 * the kernel sends the death signal when the thread that forked ends (prctl(2), PR_SET_PDEATHSIG).
 */
int spawn(struct spawned *out, const char *path, char *const *argv, char *const *envp,
          const char *directory, int cgroup) __attribute__((warn_unused_result));

#endif
