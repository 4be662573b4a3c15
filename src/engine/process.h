/* SPDX-License-Identifier: MIT */
/*
 * A child process and its family (family.h): their pipes, their log, their end. Engines and downloads embed
 * it. It may be a script that runs the program without exec, so signals go to its process group, and it
 * runs until the last of its family has ended. When the leader has ended, what it left running goes on with
 * the stop that was requested; it is killed if none was.
 *
 * It is gone when its family has ended, is reaped, and its stdout and stderr have ended, so that its last
 * lines are in the log. Then its handles are closed, and `gone` is called from the last close callback, when
 * the loop has no pointer to it any more. The leader is killed when the daemon dies (spawn.h), so it belongs
 * to the program's main thread. A process may survive SIGKILL while it waits in the kernel, most often for
 * a GPU's driver. It is stuck then: `stuck` is called, and process_close() gives it up after a bound.
 */
#ifndef HOSTLER_ENGINE_PROCESS_H
#define HOSTLER_ENGINE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "base/error.h"
#include "engine/children.h"
#include "engine/kind.h"
#include "engine/lines.h"
#include "engine/logring.h"

struct process;
struct process_scan;

#define PROCESS_REPORT_MAX ((size_t)64 << 10) /* bytes of a report; longer lines are log */
/* From SIGKILL until it counts as stuck: the kernel may have much memory to free. */
#define PROCESS_KILL_MS 10000
/* The longest time that process_close() blocks for the end of a process that it kills. */
#define PROCESS_CLOSE_MS 2000

struct process_events {
    /* A report on stdout; its payload is borrowed. May close it. */
    void (*report)(struct process *p, const struct engine_report *report);
    /* Its time is up (process_limit()): it is killed when this returns. */
    void (*timeout)(struct process *p);
    /* It has not ended PROCESS_KILL_MS after SIGKILL. `gone` still follows if it ends. May close it. May be
     * NULL. */
    void (*stuck)(struct process *p);
    /* Its family has ended and all its output was read: the last event. May close it. */
    void (*gone)(struct process *p);
};

/* How it is stopped: the steps, of which the last is repeated; after `timeout_ms` SIGKILL to its family.
 * `steps` must outlive it. */
struct process_stop {
    const struct engine_stop_step *steps;
    size_t n;
    bool at_once; /* the first step's delay does not apply */
    uint64_t timeout_ms;
};

struct process_exit {
    int code;   /* the leader's exit code; -1 when it ended by a signal */
    int signal; /* of the leader, or of the command that a script tells of; 0 when it exited */
    bool was_stopped; /* process_stop() had been called before */
    uint64_t stop_ms; /* from then to the end of the family; 0 when it was not stopped */
};

struct process_output {
    uv_pipe_t pipe;
    struct lines lines;
    bool open;
};

struct process {
    const char *role, *name; /* `engine`, the model's id: for logs; borrowed */
    pid_t pid;               /* of the leader; may be another process's when it does not run */
    bool running;            /* its family has not ended yet */
    bool stuck;              /* it has survived SIGKILL; false again once it has ended */
    struct process_exit how; /* valid when it does not run */
    unsigned subgroup;       /* its control group (subgroup.h), set before its start; 0: none */
    bool in_subgroup;        /* the leader was started there, or its owner brought it there */
    struct logring log;      /* its last lines on stderr, and on stdout those that are no report */

    /* private */
    const struct process_events *events;
    engine_parse *parse; /* NULL: it makes no reports */
    uv_loop_t *loop;
    uv_signal_t sigchld;
    uv_timer_t timer; /* the limit, the next step of a stop, the wait after SIGKILL */
    uv_timer_t
        end_timer; /* the next scan for what the leader left running; the wait for its last output */
    struct process_output out, err;
    int open_handles;
    int stdin_fd; /* -1 when closed */
    struct process_stop stop;
    uint64_t stop_requested;   /* uv_hrtime(), ns; 0: not */
    size_t step;               /* index of the next step of the stop */
    bool killed;               /* SIGKILL was sent */
    struct child child;        /* the leader, until it is reaped */
    bool leader_ended;         /* it is reaped */
    bool group_ended;          /* the leader's group has no process any more, not even a zombie */
    bool terminated;           /* what left the group got SIGTERM */
    struct process_scan *scan; /* of the family, in the pool; NULL: none */
    uint64_t scan_ms;          /* until the next scan for what the leader left running */
    void (*closed)(struct process *p); /* set: no more events */
    char chunk[16384]; /* buffer for reads from either pipe, in use during the read callback */
};

/* Both strings, and the events, must outlive it. */
void process_init(struct process *p, const char *role, const char *name, engine_parse *parse,
                  const struct process_events *events);
/* Runs argv[0] in `directory` (NULL: the daemon's); both vectors end with NULL. On error nothing runs, and
 * process_close() must still be called. */
int process_start(struct process *p, uv_loop_t *loop, char *const *argv, char *const *envp,
                  const char *directory) __attribute__((warn_unused_result));
/* Kills its group after `ms`, unless this is called again (0: no limit) or the process is stopped. */
void process_limit(struct process *p, uint64_t ms);
/* No-op if it does not run; the `stop` of the first call counts. `force`: it is killed at once. */
void process_stop(struct process *p, const struct process_stop *stop, bool force);
/* Kills its family and reaps it if it runs, which blocks for at most PROCESS_CLOSE_MS, or not at all if it is stuck; a
 * process that does not end is left to the kernel. Closes all handles and calls `closed` after the close
 * callbacks, or at once if none is open. Free it there. */
void process_close(struct process *p, void (*closed)(struct process *p));

#endif
