/* SPDX-License-Identifier: MIT */
/*
 * The host joins the parts: it keeps a record for each model of the catalog, feeds the scheduler
 * with what happens, and turns the scheduler's actions into deeds: starting engines, stopping them,
 * and telling requests that it is their turn.
 */
#ifndef HOSTLER_SERVER_HOST_H
#define HOSTLER_SERVER_HOST_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

#include "catalog/catalog.h"
#include "engine/engine.h"
#include "engine/memory.h"
#include "http/client.h"
#include "sched/sched.h"
#include "server/budget.h"
#include "server/compose.h"
#include "server/config.h"
#include "server/history.h"
#include "server/pulse.h"

struct host;
struct fitter;
struct sources;

/* Why a model is not loaded (any more); the names are `status.reason`. */
enum host_reason {
    HOST_NEVER, /* it has not been loaded yet */
    HOST_UNLOADED,
    HOST_EVICTED,
    HOST_IDLE,
    HOST_REPLACED, /* its arguments changed: the next request loads it with the new ones */
    HOST_REMOVED,
    HOST_SHUTDOWN,
    HOST_CRASHED,     /* ended by itself after it had been ready */
    HOST_LOAD_FAILED, /* ended by itself before, or was not ready in time */
    HOST_BROKEN_FILE, /* its header cannot be read: never tried */
};

#define HOST_EVICTED_MAX 64

enum pin { PIN_AS_CONFIGURED, PIN_ON, PIN_OFF };

/* The server's record of a model. Readable by api/; changed by host.c alone. */
struct model {
    struct host *host;
    struct catalog_model *entry; /* of the catalog */
    struct sched_model sched;
    struct engine *engine;      /* NULL when UNLOADED */
    struct http_client *client; /* NULL when UNLOADED */
    struct composed composed;   /* what its next engine is started with */
    struct settings settings;
    struct strv tags;        /* sorted; its aliases are the model's */
    char *loaded_by;         /* who caused the load, for a person; NULL */
    char *wanted_by;         /* the operator who asked for it last; NULL */
    char *ended_by;          /* why its engine is or was last stopped, likewise */
    char *unload_by;         /* who asked for the unload that is under way; NULL */
    double loaded_at;        /* Unix time of the spawn, seconds */
    uint64_t load_ms;        /* what the last load took; 0 before the first */
    enum host_reason reason; /* of the last end */
    struct engine_exit last_exit;
    char *failure;         /* why the last load or run failed, with the engine's last lines; NULL */
    struct memory_use use; /* what its engine has, as last read, and when that was */
    uint64_t used_at;      /* ms; 0: not since it was started */
    enum pin pin;          /* an operator's word, which goes before the preset's */
    char *held_reason;     /* why an operator holds it; NULL */
    char *held_by;
    struct footprint footprint; /* what its engine takes */
    struct footprint fitted;    /* as llama-fit-params says; UNKNOWN: not asked, or no answer */
    bool fit_asked;             /* since its arguments are what they are */
    uint64_t sure_at;           /* ms: when it was seen that its footprint decides nothing */
    bool outdated;              /* its engine was started with other arguments than it has now */
    uint64_t looked_at;         /* ms: when it was seen whether its file is in the page cache */
    uint64_t oom_kills;         /* when its engine was started */
    unsigned unloads;           /* operations (unload.h) that wait for its end */
    struct pulse pulse;         /* whether its engine hangs */
    bool broken;                /* the engine does not answer and is being stopped for it */
    TAILQ_ENTRY(model) link;    /* among all records, those of removed models included */
};

/* A request's place with the scheduler. Embedded by its owner. */
struct host_request {
    struct sched_request sched;
    struct model *model;
    /* It is the request's turn: `model->client` reaches the engine. */
    void (*granted)(struct host_request *r);
    void (*rejected)(struct host_request *r, enum sched_reject_reason why);
    bool passive; /* does not count as use of the model */
    /* Who asks for what, for a person: `POST /v1/chat/completions from 127.0.0.1:4711`. The caller
     * frees. */
    char *(*describe)(const struct host_request *r);
    uint64_t arrived; /* ms, uv_now() */
    bool loaded;      /* it caused a load */
};

/* What happens to a model; the first ones in the order in which they happen to one engine. */
enum host_event {
    HOST_EV_SPAWNED,  /* an engine was started for it */
    HOST_EV_LOADING,  /* a report of progress came: engine_progress(); also on waking */
    HOST_EV_READY,    /* it can serve: the first time, or awake again */
    HOST_EV_SLEEPING, /* its memory is given back, its process is there */
    HOST_EV_STOPPING,
    HOST_EV_GONE, /* its engine is reaped, or could not be started: `reason` says why. Told before
                     anything new begins */
    HOST_EV_WISHED, /* a hold or a pin began or ended: the newest of host_history() says which, and why */
    /* Without a model: */
    HOST_EV_RELOADED, /* the models were read again, because somebody asked or files changed */
    HOST_EV_SHUTDOWN, /* the host ends */
};

/* Somebody who wants to know. Embedded; may leave while it is told. */
struct host_listener {
    void (*told)(struct host_listener *l, enum host_event event, struct model *h);
    TAILQ_ENTRY(host_listener) link;
};

/* `config` must outlive the host. */
int host_create(struct host **out, uv_loop_t *loop, const struct config *config, struct error *err)
    __attribute__((warn_unused_result));
/* host_apply() for the first models, and begins to load those that are to be there from the start.
 * An error when these are more than may be loaded at once. */
int host_start(struct host *h, struct sources *s, struct error *err)
    __attribute__((warn_unused_result));
/*
 * The sources as they are now, in place of the last ones; empties `s`. An engine whose arguments
 * changed, or whose model is gone, is drained; the others run on. `patient`, and what is returned,
 * are catalog_update()'s.
 */
size_t host_apply(struct host *h, struct sources *s, bool patient);
/* No more loads; waiting requests are answered; engines are drained for at most `drain_ms` and then
 * stopped. Again with a smaller figure to hurry. `idle` is called when no engine is left. */
void host_shutdown(struct host *h, uint64_t drain_ms, void (*idle)(void *ctx), void *ctx);
/* Frees everything; `closed` is called on the loop. Engines that still run are killed. */
void host_close(struct host *h, void (*closed)(void *ctx), void *ctx);

const struct config *host_config(const struct host *h);
const struct catalog *host_catalog(const struct host *h);
uv_loop_t *host_loop(const struct host *h);
/* By id or alias; in classic mode any name, NULL included, is the model. */
struct model *host_find(const struct host *h, const char *name);
/* In order of id; NULL behind the last. */
struct model *host_at(const struct host *h, size_t index);
const struct presets *host_presets(const struct host *h);
const struct history *host_history(const struct host *h);
struct fitter *host_fitter(const struct host *h);
/* For what is counted over all engines. */
const struct sched *host_sched(const struct host *h);
/*
 * Whether an engine of the model with that footprint, in place of one that runs, would be placed
 * now; `evicted` are those that would go (at most `max`; `*n`). `*never`: it could not be placed
 * whoever goes.
 */
bool host_would_fit(struct model *h, const struct footprint *f, struct model **evicted,
                    unsigned max, unsigned *n, bool *never);

/* --- requests -----------------------------------------------------------------------------------
 */
/* `may_load`: whether it may cause a load. Set the first part before. */
void host_submit(struct host_request *r, struct model *model, bool may_load);
/* The lease ends, or the place in the queue is given up. No-op when it has neither. */
void host_withdraw(struct host_request *r);
/* A granted request found the engine unreachable: stops it by force, as crashed. Later requests
 * wait for the next engine. */
void host_engine_broken(struct model *h);
/* Whether its engine is being stopped on purpose, so that a request that is cut off by it must not
 * bring the model back. */
bool host_is_stopping(const struct model *h);
/* Why there is no room for it, with figures, for a person; the caller frees. */
char *host_explain_room(const struct model *h);
/* In how many ms it will be ready if it is asked for now, by what loads took before; SCHED_NEVER
 * when nobody knows. */
uint64_t host_eta(const struct model *h);
/* How many requests wait, for all models together. */
unsigned host_waiting(const struct host *h);
const struct budget *host_budget(const struct host *h);
/* How many waiting requests come before. */
unsigned host_position(const struct host_request *r);

/* --- the operator's wishes ----------------------------------------------------------------------
 */
/* Loads the model; releases a hold on it. `by` is copied. */
void host_load(struct model *h, const char *by);
/* `drain_until`: uv_now() milliseconds, 0 at once, SCHED_NEVER as long as it takes. `reason` may be
 * NULL. */
void host_unload(struct model *h, uint64_t drain_until, const char *reason, const char *by);
/* Ends a drain that was begun and is not over: the model goes on serving. */
void host_keep(struct model *h);
/* `until`: uv_now() milliseconds or SCHED_NEVER. Texts are copied; may be NULL. */
void host_hold(struct model *h, uint64_t until, const char *reason, const char *by);
void host_release(struct model *h, const char *by);
bool host_is_held(const struct model *h);
/* Whatever the preset says, from now on; kept like a hold. */
void host_pin(struct model *h, bool on, const char *by);
bool host_is_pinned(const struct model *h);

/* Something that uses the host for a while: host_shutdown() is not over before it is. */
void host_operation_begin(struct host *h);
void host_operation_end(struct host *h);
/* Whether one is going on; some may begin after host_shutdown() is over. */
bool host_has_operations(const struct host *h);

void host_listen(struct host *h, struct host_listener *l);
void host_unlisten(struct host *h, struct host_listener *l);

/* Memory of the running engine now; zeroes without one. */
void host_memory(struct model *h, struct memory_use *use);
/* The same as of a moment ago: asking the kernel and drivers takes up to milliseconds an engine, and some
 * clients ask for the list several times a second. */
const struct memory_use *host_memory_lately(struct model *h);
const char *host_reason_name(enum host_reason reason);
/* `unloaded`, `loading`, `loaded`, `sleeping`: as clients of llama.cpp's router know them. */
const char *host_status(const struct model *h);
/* Whether its last load or run ended by itself; it is cleared when somebody loads it again. */
bool host_has_failed(const struct model *h);
/* Of the last end, as llama.cpp's router counts: 0 when it was meant, never 0 when not. */
int host_exit_code(const struct model *h);

#endif
