/* SPDX-License-Identifier: MIT */
/*
 * A running engine of a model: its process, the connections to it, its health, its memory, and why it
 * was loaded. The record exists from the scheduler's SPAWN until the process is reaped and the last lease
 * has ended.
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
#include "server/sampler.h"

struct host_request;
struct model;

struct instance {
    struct sched_instance sched;
    uint64_t number;     /* of all instances of the host, in the order of their spawns, from 1 */
    struct model *model; /* NULL: not in use yet */
    struct engine_launch *launch;     /* what it was started with */
    struct engine *engine;            /* NULL before its start, and once its process is reaped */
    struct http_client *client;       /* from READY until its stop begins; else NULL */
    struct instance_prompts *prompts; /* NULL: its prompts are not saved (prompts.h) */
    struct pulse pulse;               /* whether it hangs */
    char *loaded_by;                  /* who caused the load: a text */
    char *evicted_for;      /* while it is saved, and after: why it was evicted; else NULL */
    double loaded_at;       /* Unix time of the spawn, seconds */
    bool stuck;             /* its process has survived SIGKILL (process.h) */
    bool broken;            /* it is being stopped because it does not answer */
    bool measured;          /* its memory was read after it was ready */
    struct memory_use most; /* by those readings */
    uint64_t cards;         /* budget.version when it was started */
    uint64_t oom_kills;     /* the kernel's count before its start (memory.h) */
    struct sampler_process process; /* until it is reaped */
    /* Its stop waits for a last reading of its memory; or, if SIGKILL ended it while it loaded, its GONE waits
     * for a reading of the kernel's count of OOM kills. */
    struct sampler_question question;
    bool stop_by_force;         /* of that stop */
    struct engine_exit exit;    /* before that GONE */
    TAILQ_ENTRY(instance) link; /* in host.gone, once its process is reaped */
};
TAILQ_HEAD(instances, instance);

/* A record for the scheduler's next SPAWN. */
struct instance *instance_create(void);
/* Frees it if it has no leases. The scheduler has no action for it. */
bool instance_release(struct instance *i) __attribute__((warn_unused_result));

/* --- the scheduler's actions --------------------------------------------------------------------
 */
/* Starts an engine for the model; `cause`: the request that it is loaded for, or NULL. */
void instance_spawn(struct instance *i, struct model *m, const struct host_request *cause);
/* Saves its prompts; SCHED_EV_SAVED follows. */
void instance_save(struct instance *i, const struct sched_action *action);
void instance_stop(struct instance *i, const struct sched_action *action);
/* The operator's load request has failed. */
void instance_drop_load(struct model *m, enum sched_reject_reason why);

/* Without another process: `launch` is equal to its own but for paths and routes. */
void instance_set_launch(struct instance *i, struct engine_launch *launch);
/* The engine is unreachable or hangs: kills it, as crashed. Later requests wait for the next one. */
void instance_broken(struct instance *i);
/* The memory that it uses, from the last snapshot; NULL when that does not contain it yet. */
const struct memory_use *instance_memory(const struct instance *i);
/* Corrects its model's footprint by a new snapshot. */
void instance_learn(struct instance *i);
/* Whether the process of the instance that embeds `p` is not reaped yet. */
bool instance_is_running(const struct sampler_process *p);
/* `loading`, `loaded`, `sleeping`: as clients of llama.cpp's router know them. */
const char *instance_status(const struct instance *i);
/* Kills it without any event: the host ends. */
void instance_destroy(struct instance *i);

#endif
