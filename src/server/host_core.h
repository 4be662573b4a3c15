/* SPDX-License-Identifier: MIT */
/*
 * The host's own record, shared by the files that act on it; api/ does not see it.
 *   host.c          the pump, requests, beginning and end
 *   host_catalog.c  the catalog's models: they come, change and go
 *   model.c instance.c intent.c pending_load.c placement.c    see their headers
 */
#ifndef HOSTLER_SERVER_HOST_CORE_H
#define HOSTLER_SERVER_HOST_CORE_H

#include "engine/rundir.h"
#include "server/fitter.h"
#include "server/history.h"
#include "server/host.h"
#include "server/pending_load.h"
#include "server/placement.h"
#include "server/sampler.h"
#include "server/shortage.h"
#include "server/sources.h"
#include "server/state.h"

struct host {
    uv_loop_t *loop;
    const struct config *config;
    struct rundir rundir;
    struct state *state;
    int state_folder_error; /* errno: its folder cannot be used, so all is kept in memory only; 0 */
    struct history history;
    struct presets presets;
    struct catalog *catalog;
    struct sched sched;
    struct sampler *sampler;
    struct sampler_question figures; /* of the models that wait, while capacity is pending */
    uint64_t
        figures_until; /* ms: until then the last snapshot serves for decisions, whatever its age */
    struct budget budget;
    struct shortage shortage;
    struct fitter *fitter;
    struct warm *warm;
    struct prompts *prompts;
    struct pulse_clock pulse;
    uv_timer_t timer;
    uint64_t timer_at;  /* SCHED_NEVER: not armed */
    uint64_t hold_ends; /* when the first hold that has an end is over; SCHED_NEVER: none has */
    TAILQ_HEAD(, host_listener) listeners;
    TAILQ_HEAD(, model) models; /* those of removed entries included */
    uint64_t instances;         /* that were ever created */
    struct instances gone;      /* reaped, freed when no request names them any more */
    struct pending_loads pending_loads;
    bool pumping, closing;
    bool changed;     /* models came, went or got other arguments since the last HOST_EV_RELOADED */
    bool release_due; /* a removed model could not be released while actions were performed */
    unsigned engines; /* that run */
    unsigned stuck;   /* of these, whose processes survive SIGKILL */
    unsigned load_requests; /* that are being checked (load_request.h) */
    unsigned operations;    /* that use this host and must end before it does */
    void (*idle)(void *ctx);
    void *idle_ctx;
    bool sampler_stuck; /* at the end: a reading of the machine hangs */
    void (*closed)(bool stuck, void *ctx);
    void *closed_ctx;
};

/* --- host.c -------------------------------------------------------------------------------------
 */
/* Gives the scheduler an event, and performs what follows from it. */
void host_sched_event(struct host *h, const struct sched_event *event);
void host_pump(struct host *h);
void host_announce(struct host *host, enum host_event event, struct model *m, struct instance *i);
/* Calls `idle` if no engine is left. */
void host_check_idle(struct host *h);
/* Into the history. `event`: static; `why`: a sentence for a person; NULL. */
void host_record(struct model *m, const char *event, const char *why);

/* --- host_catalog.c -----------------------------------------------------------------------------
 */
extern const struct catalog_events host_catalog_events;
/* The model may be that of a removed entry: its record may go at the end of a pump. */
void host_note_removed(struct model *m);
void host_release_removed(struct host *host);

#endif
