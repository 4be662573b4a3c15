/* SPDX-License-Identifier: MIT */
/*
 * A running engine of a model: its process, the connections to it, its health, its memory, and why it
 * was loaded. The record lives from the scheduler's SPAWN until its process is reaped and no request
 * names it any more.
 */
#ifndef HOSTLER_SERVER_INSTANCE_H
#define HOSTLER_SERVER_INSTANCE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "engine/engine.h"
#include "engine/memory.h"
#include "http/client.h"
#include "sched/sched.h"
#include "server/pulse.h"

struct host_request;
struct model;

struct instance {
    struct sched_instance sched;
    struct model *model;   /* NULL: not in use yet */
    struct engine *engine; /* NULL before its start, and once its process is reaped */
    struct http_client
        *client;           /* while it serves: from ready until it is told to stop; else NULL */
    struct pulse pulse;    /* whether it hangs */
    char *loaded_by;       /* who caused the load, for a person */
    double loaded_at;      /* Unix time of the spawn, seconds */
    bool stuck;            /* its process has survived SIGKILL (process.h) */
    bool broken;           /* it does not answer, and is being stopped for that */
    uint64_t oom_kills;    /* of the kernel (memory.h), when it was started */
    struct memory_use use; /* what it has, as last read, and when that was */
    uint64_t used_at;      /* ms; 0: never */
    TAILQ_ENTRY(instance) link; /* in host.gone, once its process is reaped */
};
TAILQ_HEAD(instances, instance);

/* A record for the scheduler's next SPAWN. */
struct instance *instance_create(void);
/* Frees it if no request names it any more. The scheduler has no action for it. */
bool instance_release(struct instance *i) __attribute__((warn_unused_result));

/* --- the scheduler's actions --------------------------------------------------------------------
 */
/* Starts an engine for the model; `cause`: the request that it is loaded for, or NULL. */
void instance_spawn(struct instance *i, struct model *m, const struct host_request *cause);
void instance_stop(struct instance *i, const struct sched_action *action);
/* The operator's wish to load the model is given up. */
void instance_drop_load(struct model *m, enum sched_reject_reason why);

/* A granted request found the engine unreachable, or it hangs: stops it by force, as crashed. Later
 * requests wait for the next one. */
void instance_broken(struct instance *i);
/* What it has now. Reads the kernel and drivers: up to milliseconds. */
void instance_memory(struct instance *i, struct memory_use *use);
/* The same as of at most 250 ms ago. */
const struct memory_use *instance_memory_cached(struct instance *i);
/* `loading`, `loaded`, `sleeping`: as clients of llama.cpp's router know them. */
const char *instance_status(const struct instance *i);
/* Kills it, without a word to anybody: the host ends. */
void instance_destroy(struct instance *i);

#endif
