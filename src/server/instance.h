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
    struct model *model;
    struct engine *engine;
    struct http_client
        *client;           /* while it serves: from ready until it is told to stop; else NULL */
    struct pulse pulse;    /* whether it hangs */
    char *loaded_by;       /* who caused the load, for a person */
    double loaded_at;      /* Unix time of the spawn, seconds */
    bool outdated;         /* it was started with other arguments than its model has now */
    bool broken;           /* it does not answer, and is being stopped for that */
    uint64_t oom_kills;    /* of the kernel (oom.h), when it was started */
    struct memory_use use; /* what it has, as last read, and when that was */
    uint64_t used_at;      /* ms; 0: never */
    unsigned leases;       /* requests that were granted it and are not over */
    TAILQ_ENTRY(instance) link; /* in model.instances, until its process is reaped */
};
TAILQ_HEAD(instances, instance);

/* --- the scheduler's actions --------------------------------------------------------------------
 */
/* Starts an engine for the model; `cause`: the request that it is loaded for, or NULL. */
void instance_spawn(struct model *m, const struct host_request *cause);
void instance_stop(struct instance *i, const struct sched_action *action);
/* The operator's wish to load the model is given up. */
void instance_drop_load(struct model *m, enum sched_reject_reason why);

/* A request was granted it, and is over. */
void instance_lease(struct instance *i);
void instance_release(struct instance *i);
/* A granted request found the engine unreachable, or it hangs: stops it by force, as crashed. Later
 * requests wait for the next one. */
void instance_broken(struct instance *i);
/* What it has now. Reads the kernel and drivers: up to milliseconds. */
void instance_memory(struct instance *i, struct memory_use *use);
/* Kills it, without a word to anybody: the host ends. */
void instance_destroy(struct instance *i);

#endif
