/* SPDX-License-Identifier: MIT */
/*
 * One engine: a process that serves a model on an address of its own. Its kind (kind.h) says how. It is
 * started with engine_start(), and events report on it; after `gone` its process is reaped and its socket
 * removed. It is killed when the daemon dies: its stdin closes, and the kernel kills it
 * (PR_SET_PDEATHSIG).
 *
 *     starting → loading(progress) → ready → sleeping → waking(progress) → ready
 *         any of these → stopping(deadline) → gone
 *
 * Draining (leases) is the scheduler's. Close the connections to an engine before engine_stop(): an
 * engine may hang in its shutdown while a request runs, until the next step of the stop.
 *
 * It belongs to the program's main thread, which runs the loop: the kernel kills an engine when the
 * thread that started it ends (spawn.h).
 */
#ifndef HOSTLER_ENGINE_ENGINE_H
#define HOSTLER_ENGINE_ENGINE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "base/error.h"
#include "base/strv.h"
#include "engine/kind.h"

enum engine_state {
    ENGINE_STARTING, /* spawned, has reported nothing yet */
    ENGINE_LOADING,  /* the first report of progress came */
    ENGINE_READY,
    ENGINE_SLEEPING, /* the process runs, weights and KV cache are freed */
    ENGINE_WAKING,   /* it loads again, for a request */
    ENGINE_STOPPING, /* it is to end; killed at the deadline */
    ENGINE_GONE,
};

/* Whether the kernel killed a process of the engine because memory ran out, by what it counts for its control group. */
enum engine_oom {
    ENGINE_OOM_UNKNOWN, /* it had no group of its own */
    ENGINE_OOM_NO,
    ENGINE_OOM_YES,
};

/* How an engine ended, valid when GONE. */
struct engine_exit {
    bool was_ready;   /* it had been ready at some time */
    bool was_stopped; /* engine_stop() had been called before */
    bool timed_out;   /* killed because it was not ready within load_timeout_ms */
    int code;         /* exit code; -1 when it ended by a signal */
    int signal;       /* 0 when it exited */
    enum engine_oom oom;
    uint64_t stop_ms; /* from engine_stop() to reaped; 0 when it was not stopped */
};

struct engine_spec {
    const struct engine_kind *kind;
    const char *name;        /* the model's id, for logs */
    const char *binary;      /* path of its program */
    const struct strv *args; /* without its address, which the kind adds; NULL: none */
    const struct strv *env;  /* NAME=VALUE beside the clean environment; NULL: none */
    const char *directory;   /* that it runs in; NULL: the daemon's */
    const struct strv
        *stop_command;        /* run at a stop, beside the kind's steps; NULL or empty: none */
    const char *ready_path;   /* for ENGINE_READY_ANSWERS; NULL: the kind's */
    const char *socket_dir;   /* private folder (rundir.h); the socket is made in it */
    uint64_t load_timeout_ms; /* 0: none */
    uint64_t stop_timeout_ms; /* then SIGKILL to its process group; 0: at once */
};

struct engine;

struct engine_events {
    /* The engine is LOADING or WAKING (called again with each report of progress), READY or SLEEPING. Not
     * called for STOPPING, which the caller itself causes, nor for GONE. Never called from inside
     * engine_start() or engine_stop(). It may call engine_stop() or engine_destroy(). */
    void (*state)(struct engine *e, enum engine_state state, void *ctx);
    /* It has not ended within a bound after SIGKILL (process.h), which is logged. It keeps its memory;
     * `gone` follows if it ends. It may call engine_destroy(). May be NULL. */
    void (*stuck)(struct engine *e, void *ctx);
    /* The process is reaped, its output read, its socket and its control group removed. The last event. The engine stays readable
     * until engine_destroy(), which may be called from here; its pid may be reused. */
    void (*gone)(struct engine *e, const struct engine_exit *how, void *ctx);
};

/* Copies what it needs of `spec`. On error nothing runs, and there is a text. error_is_ours(): descriptors,
 * processes or memory ran out, and it may work later. Otherwise the binary cannot be executed (-ENOENT,
 * -EACCES, …), or there is no address for it. */
int engine_start(struct engine **out, uv_loop_t *loop, const struct engine_spec *spec,
                 const struct engine_events *events, void *ctx, struct error *err)
    __attribute__((warn_unused_result));
/* Asks it to end, by its kind's steps; SIGKILL to its process group at the deadline, or at once with
 * `force`. May be called again to force. No-op when gone. */
void engine_stop(struct engine *e, bool force);
/* Frees it. Only after `gone`, or when the loop is about to end: then the process group is killed and
 * reaped first, which blocks for a bounded time (process.h). No event comes any more; the memory is freed
 * when the loop has run the close callbacks. NULL-safe. */
void engine_destroy(struct engine *e);

enum engine_state engine_state(const struct engine *e);
pid_t engine_pid(const struct engine *e);
unsigned engine_subgroup(const struct engine *e); /* its control group (subgroup.h); 0: none */
bool engine_is_reaped(const struct engine *e);    /* its pid may be reused */
const char *
engine_socket(const struct engine *e);        /* path of its unix socket; NULL: it has a port */
uint16_t engine_port(const struct engine *e); /* of 127.0.0.1; 0: it has a socket */
bool engine_is_stuck(const struct engine *e); /* it has survived SIGKILL (process.h) */
uint64_t engine_ready_after(const struct engine *e); /* ms from spawn to ready; 0 before */
/* The payload of the last progress report ({stages[],current,value}); NULL: none came. Both are borrowed. */
json_t *engine_progress(const struct engine *e);
/* The payload of the first `ready` report: the model's info as the engine gives it; NULL before. */
json_t *engine_info(const struct engine *e);
/* The last lines that it wrote to stderr and stdout (at most `lines`), joined by newlines; the
 * caller frees. Never NULL. */
char *engine_log_tail(const struct engine *e, size_t lines);
/* `starting`, `loading`, `ready`, … */
const char *engine_state_name(enum engine_state state);

#endif
