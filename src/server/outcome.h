/* SPDX-License-Identifier: MIT */
/* How the last engine of a model ended, or why it could not be started. */
#ifndef HOSTLER_SERVER_OUTCOME_H
#define HOSTLER_SERVER_OUTCOME_H

#include <stdbool.h>

#include "engine/engine.h"
#include "sched/sched.h"
#include "server/prompts.h"

/* Why a model is not loaded (any more); the names are `status.reason` in the API. */
enum outcome_reason {
    OUTCOME_NONE, /* it was not loaded yet */
    OUTCOME_UNLOADED,
    OUTCOME_EVICTED,
    OUTCOME_MEMORY,
    OUTCOME_IDLE,
    OUTCOME_REPLACED, /* its arguments changed: the next request loads it with the new ones */
    OUTCOME_REMOVED,
    OUTCOME_SHUTDOWN,
    OUTCOME_CRASHED,     /* ended by itself after it had been ready */
    OUTCOME_LOAD_FAILED, /* ended by itself before, or was not ready in time */
    OUTCOME_BROKEN_FILE, /* its header cannot be read: never tried */
    OUTCOME_MISSING,     /* no file of it is known (catalog_model.missing) */
    OUTCOME_NO_ROOM, /* a load that was asked for found no room beside what is pinned, or others use */
};

struct outcome {
    enum outcome_reason reason;
    struct engine_exit exit;
    char *failure; /* why the last load or run failed, or found no room: a sentence; NULL */
    char *log;     /* the engine's last lines then, which may name paths; NULL */
    char *
        put_off; /* why the last start could not be made for want of hostler's own resources; NULL */
    struct prompts_saved saved; /* what is kept of the last engine's conversations */
    char *stop_cause; /* why the last engine is being or was stopped, for a person; NULL */
};

/* `unloaded`, `evicted`, …; NULL for OUTCOME_NONE. */
const char *outcome_reason_name(enum outcome_reason reason);
enum outcome_reason outcome_of_stop(enum sched_stop_reason stop);
/* Whether the last load or run ended by itself. */
bool outcome_is_failure(const struct outcome *o);
/* As llama.cpp's router counts: 0 after a wanted end, never 0 after a failure. */
int outcome_exit_code(const struct outcome *o);
/* Takes both texts. `text` NULL: no failure; `log` NULL: no engine ended. */
void outcome_set_failure(struct outcome *o, char *text, char *log);
void outcome_finish(struct outcome *o);

#endif
