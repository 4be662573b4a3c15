/* SPDX-License-Identifier: MIT */
/*
 * A child process: its pipes, its log, its end. What is the same for an engine and for a download;
 * they embed it.
 *
 * Three things are waited for before it is gone: the process to be reaped, and the end of its
 * stdout and of its stderr (so that its last words are in the log). Its four handles are closed
 * then, and `gone` is called from the last close callback: afterwards nothing of the loop points
 * here. It ends with the daemon, however that dies (spawn.h), so all of it belongs to the program's
 * main thread.
 *
 * A process may survive SIGKILL while it waits in the kernel, for a GPU's driver most often. It is
 * stuck then: `stuck` says so, and process_close() gives it up after a bound.
 */
#ifndef HOSTLER_ENGINE_PROCESS_H
#define HOSTLER_ENGINE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "base/error.h"
#include "engine/kind.h"
#include "engine/lines.h"
#include "engine/logring.h"

struct process;

#define PROCESS_REPORT_MAX ((size_t)64 << 10) /* bytes of a report; longer lines are log */
/* After SIGKILL: until it counts as stuck, since the kernel may have much memory to free. */
#define PROCESS_KILL_MS 10000
/* How long process_close() blocks at most for the end of a process that it kills. */
#define PROCESS_CLOSE_MS 2000

struct process_events {
    /* A report on stdout; its payload is borrowed. May close it. */
    void (*report)(struct process *p, const struct engine_report *report);
    /* Its time is over (process_limit()): it is killed when this returns. */
    void (*timeout)(struct process *p);
    /* It has not ended PROCESS_KILL_MS after SIGKILL. `gone` still follows if it ends. May close
     * it. NULL: nobody wants to know. */
    void (*stuck)(struct process *p);
    /* Reaped, and all that it wrote was read: last event. May close it. */
    void (*gone)(struct process *p);
};

/* How it is brought to its end: the steps, of which the last is repeated; after `timeout_ms` SIGKILL
 * to its process group. `steps` must outlive it. */
struct process_stop {
    const struct engine_stop_step *steps;
    size_t n;
    bool at_once; /* the first step's delay does not apply */
    uint64_t timeout_ms;
};

struct process_exit {
    int code;         /* exit code; -1 when it ended by a signal */
    int signal;       /* 0 when it exited */
    bool was_stopped; /* process_stop() had been called before */
    uint64_t stop_ms; /* from then to reaped; 0 when it was not stopped */
};

struct process_output {
    uv_pipe_t pipe;
    struct lines lines;
    bool open;
};

struct process {
    const char *role, *name; /* `engine`, the model's id: for logs; borrowed */
    pid_t pid;               /* of another process, perhaps, once it does not run any more */
    bool running;            /* not reaped yet */
    bool stuck;              /* it has survived SIGKILL; false again once it is reaped */
    struct process_exit how; /* valid once it does not run any more */
    struct logring log;      /* its last lines on stderr, and those on stdout that are no report */

    /* its own */
    const struct process_events *events;
    engine_parse *parse; /* NULL: it makes no reports */
    uv_loop_t *loop;
    uv_signal_t sigchld;
    uv_timer_t
        timer; /* its limit, the next step of a stop, the wait after SIGKILL or for its last words */
    struct process_output out, err;
    int open_handles;
    int stdin_fd; /* -1 when closed */
    struct process_stop stop;
    uint64_t stop_requested;           /* uv_hrtime(), ns; 0: not */
    size_t step;                       /* the next one of the stop */
    bool killed;                       /* SIGKILL was sent */
    void (*closed)(struct process *p); /* set: no events any more */
    char chunk[16384]; /* what is read from either pipe, until the read callback is back */
};

/* Both strings, and the events, must outlive it. */
void process_init(struct process *p, const char *role, const char *name, engine_parse *parse,
                  const struct process_events *events);
/* Runs argv[0], in `directory` (NULL: the daemon's); both vectors end with NULL. On error nothing is running, and process_close() is
 * still due. */
int process_start(struct process *p, uv_loop_t *loop, char *const *argv, char *const *envp,
                  const char *directory) __attribute__((warn_unused_result));
/* Kills its group after so many ms, unless it is called again (0: no limit) or it is stopped. */
void process_limit(struct process *p, uint64_t ms);
/* No-op when it does not run; the first call's `stop` counts. With `force` it is killed at once. */
void process_stop(struct process *p, const struct process_stop *stop, bool force);
/* Kills and reaps it if it runs, which blocks for at most PROCESS_CLOSE_MS, and not at all for one that
 * is stuck already: then the process is left to the kernel. Closes what is open and calls `closed`
 * when the loop has run the close callbacks: at once when nothing is open. Free it there. */
void process_close(struct process *p, void (*closed)(struct process *p));

#endif
