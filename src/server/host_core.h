/* SPDX-License-Identifier: MIT */
/*
 * What the host's own files share; nobody else includes it.
 *   host.c          the pump, requests, the host's beginning and end
 *   host_models.c   the catalog's models and their records
 *   host_engines.c  engines: starting them, their ends
 *   host_wishes.c   what operators ask for
 *   host_waiting.c  what models take that wait for their place, and what there is
 */
#ifndef HOSTLER_SERVER_HOST_CORE_H
#define HOSTLER_SERVER_HOST_CORE_H

#include "engine/rundir.h"
#include "server/fitter.h"
#include "server/history.h"
#include "server/host.h"
#include "server/sources.h"
#include "server/state.h"

struct host {
    uv_loop_t *loop;
    const struct config *config;
    struct rundir rundir;
    struct state *state;
    struct history history;
    struct presets presets;
    struct catalog *catalog;
    struct sched sched;
    struct budget budget;
    struct fitter *fitter;
    struct warm *warm;
    struct pulse_clock pulse;
    uv_timer_t timer;
    uint64_t timer_at;  /* SCHED_NEVER: not armed */
    uint64_t hold_ends; /* when the first hold that has an end is over; SCHED_NEVER: none has */
    TAILQ_HEAD(, host_listener) listeners;
    TAILQ_HEAD(, model) all;
    struct strv reload; /* ids of models that were being loaded when their file changed */
    bool pumping, closing;
    bool changed;     /* models came, went or got other arguments since it was last told */
    bool release_due; /* a removed model could not be released while actions were performed */
    unsigned engines;
    unsigned operations; /* that use this host and must end before it does */
    void (*idle)(void *ctx);
    void *idle_ctx;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

/* host.c */
void host_tell(struct host *h, const struct sched_event *event);
void host_pump(struct host *h);
void host_announce(struct host *host, enum host_event event, struct model *h);
/* Tells whoever waits for it that no engine is left. */
void host_check_idle(struct host *h);
/* `why`: a sentence for a person; NULL. */
void host_record(struct model *h, const char *event, const char *why);
/* Takes `text`. */
void host_set_failure(struct model *h, char *text);

/* host_models.c */
extern const struct catalog_events host_catalog_events;
/* Reads what the presets say of the model. */
void host_configure(struct model *h);
void host_free_record(struct model *h);
/* Its record may be that of a removed model, and may go at the end of a pump. */
void host_note_removed(struct model *h);
void host_release_removed(struct host *host);

/* host_engines.c: the scheduler's actions */
void host_spawn(struct model *h, const struct host_request *cause);
void host_stop_engine(struct model *h, const struct sched_action *action);
void host_drop(struct model *h, enum sched_reject_reason why);

/* host_waiting.c */
/* Sets what engines may have now; cheap when that was read a moment ago. */
void host_read_memory(struct host *host);
/* What the scheduler must know of a model before it may be placed: of one, of all that wait. */
void host_consider(struct model *h);
void host_consider_waiting(struct host *host);
/* The files of the one whose turn is next, so that its engine finds them in memory. */
void host_read_ahead(struct host *h);

/* host_wishes.c: what operators wished before this daemon, or this record, began */
void host_restore_wishes(struct model *h);
/* Ends the holds whose time is up; cheap when there is none. */
void host_end_holds(struct host *host);

#endif
