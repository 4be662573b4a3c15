/* SPDX-License-Identifier: MIT */
#include "server/outcome.h"

#include <stdlib.h>

const char *outcome_reason_name(enum outcome_reason reason)
{
    switch (reason) {
    case OUTCOME_NONE:
        return NULL;
    case OUTCOME_UNLOADED:
        return "unloaded";
    case OUTCOME_EVICTED:
        return "evicted";
    case OUTCOME_MEMORY:
        return "memory";
    case OUTCOME_IDLE:
        return "idle";
    case OUTCOME_REPLACED:
        return "replaced";
    case OUTCOME_REMOVED:
        return "removed";
    case OUTCOME_SHUTDOWN:
        return "shutdown";
    case OUTCOME_CRASHED:
        return "crashed";
    case OUTCOME_LOAD_FAILED:
    case OUTCOME_BROKEN_FILE:
        return "load_failed";
    case OUTCOME_MISSING:
        return "missing";
    case OUTCOME_NO_ROOM:
        return "no_room";
    }
    return NULL;
}

enum outcome_reason outcome_of_stop(enum sched_stop_reason stop)
{
    switch (stop) {
    case SCHED_STOP_UNLOADED:
        return OUTCOME_UNLOADED;
    case SCHED_STOP_EVICTED:
        return OUTCOME_EVICTED;
    case SCHED_STOP_MEMORY:
        return OUTCOME_MEMORY;
    case SCHED_STOP_IDLE:
        return OUTCOME_IDLE;
    case SCHED_STOP_REPLACED:
        return OUTCOME_REPLACED;
    case SCHED_STOP_REMOVED:
        return OUTCOME_REMOVED;
    case SCHED_STOP_BROKEN:
        return OUTCOME_CRASHED;
    case SCHED_STOP_SHUTDOWN:
        return OUTCOME_SHUTDOWN;
    }
    return OUTCOME_UNLOADED;
}

bool outcome_is_failure(const struct outcome *o)
{
    return o->reason == OUTCOME_LOAD_FAILED || o->reason == OUTCOME_CRASHED ||
           o->reason == OUTCOME_BROKEN_FILE || o->reason == OUTCOME_MISSING;
}

int outcome_exit_code(const struct outcome *o)
{
    if (!outcome_is_failure(o))
        return 0;
    return o->exit.code > 0 ? o->exit.code : 1;
}

void outcome_set_failure(struct outcome *o, char *text, char *log)
{
    free(o->failure);
    free(o->log);
    o->failure = text;
    o->log = log;
}

void outcome_finish(struct outcome *o)
{
    free(o->failure);
    free(o->log);
    free(o->put_off);
    free(o->stop_cause);
}
