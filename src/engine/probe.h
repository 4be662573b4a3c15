/* SPDX-License-Identifier: MIT */
/*
 * Runs a short command to its end and keeps what it printed (`llama-server --help`,
 * `llama-fit-params …`). It blocks: call it at start-up or in the thread pool. Engines are started by
 * engine_start().
 */
#ifndef HOSTLER_ENGINE_PROBE_H
#define HOSTLER_ENGINE_PROBE_H

#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

#define PROBE_OUTPUT_MAX ((size_t)4 * 1024 * 1024) /* bytes of each stream */

struct probe {
    struct buf out, err; /* stdout and stderr */
    int code;            /* exit code; -1 when a signal ended it */
    int signal;          /* 0 when it exited */
};

/*
 * Runs argv[0] (searched in PATH when it has no slash) with stdin at /dev/null and `envp`; its process
 * group is killed when it takes longer than `timeout_ms` or prints too much.
 *
 * 0 when it ran, however it ended; else a negative errno with a text: what execve() says when it cannot
 * be started, -ETIMEDOUT, -ENOBUFS, or -EAGAIN when several commands before it survive SIGKILL. The end
 * of a process that it kills is waited for 2 s at most; a later run reaps it then. `p` is to be finished
 * in every case.
 */
int probe_run(struct probe *p, char *const *argv, char *const *envp, uint64_t timeout_ms,
              struct error *err) __attribute__((warn_unused_result));
void probe_finish(struct probe *p);

#endif
