/* SPDX-License-Identifier: MIT */
/*
 * A command that is run when an engine is to stop, for engines that a signal does not reach: those in a
 * container. It runs beside the steps of the stop, and its output is logged. It frees itself when it has
 * ended, and keeps the loop running until then; it is killed at its time limit.
 */
#ifndef HOSTLER_ENGINE_STOP_COMMAND_H
#define HOSTLER_ENGINE_STOP_COMMAND_H

#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "base/strv.h"

/* `words`: the program's absolute path and its arguments; `${PID}` in them is replaced by `pid`, the
 * engine's. `env`: NAME=VALUE beside the clean environment. `name`: the model's id, for logs. An error is
 * logged. */
void stop_command_run(uv_loop_t *loop, const char *name, const struct strv *words,
                      const struct strv *env, pid_t pid, uint64_t timeout_ms);

#endif
