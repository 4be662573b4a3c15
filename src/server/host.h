/* SPDX-License-Identifier: MIT */
/*
 * The host joins the parts: it keeps a record for each model of the catalog (model.h), feeds the
 * scheduler with what happens, and performs the scheduler's actions: it starts engines, stops them,
 * and tells requests that it is their turn.
 */
#ifndef HOSTLER_SERVER_HOST_H
#define HOSTLER_SERVER_HOST_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

#include "catalog/catalog.h"
#include "sched/sched.h"
#include "server/budget.h"
#include "server/config.h"
#include "server/history.h"
#include "server/model.h"
#include "server/snapshot.h"
#include "server/state.h"

struct host;
struct fitter;
struct prompts;
struct sampler;
struct sources;

/* A request's place with the scheduler. Embedded by its owner. */
struct host_request {
    struct sched_request sched;
    struct model *model;
    struct instance *instance; /* that it was granted; NULL before */
    /* It is the request's turn: `instance->client` reaches the engine. */
    void (*granted)(struct host_request *r);
    void (*rejected)(struct host_request *r, enum sched_reject_reason why);
    bool passive; /* does not count as use of the model */
    bool unread;  /* nobody reads its answer; host_set_unread() */
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
    HOST_EV_SAVING, /* its last lease has ended, its prompts are saved before it stops, or stays after all */
    HOST_EV_STOPPING,
    HOST_EV_STAYS, /* it was to be unloaded, and stays loaded: it was busy all the time, or an operator loads it */
    HOST_EV_GONE, /* its engine is reaped, or could not be started: `outcome` says why. Comes before
                     anything new begins */
    HOST_EV_INTENT, /* a hold or a pin began or ended: the newest of host_history() says which, and why */
    HOST_EV_LEARNED, /* its header was read, or a dry run said what its engine takes */
    /* Without a model: */
    HOST_EV_RELOADED, /* the models were read again, because somebody asked or files changed */
    HOST_EV_SNAPSHOT, /* host_snapshot() is a newer one */
    HOST_EV_SHUTDOWN, /* the host ends */
};

/* Embedded; may be removed while it is called. */
struct host_listener {
    /* `i`: the instance that it happens to; NULL for INTENT, and for a load that did not begin. */
    void (*on_event)(struct host_listener *l, enum host_event event, struct model *m,
                     struct instance *i);
    TAILQ_ENTRY(host_listener) link;
};

/* `config` must outlive the host. */
int host_create(struct host **out, uv_loop_t *loop, const struct config *config, struct error *err)
    __attribute__((warn_unused_result));
/* host_apply() for the first models, and begins to load those that are to be there from the start.
 * An error when these are more than may be loaded at once. */
int host_start(struct host *h, struct sources *s, struct error *err)
    __attribute__((warn_unused_result));
enum host_apply_flags {
    HOST_APPLY_PATIENT = 1,      /* catalog_update()'s */
    HOST_APPLY_SAME_PRESETS = 2, /* the presets say what they said the last time */
};
/*
 * The sources as they are now, in place of the last ones; the caller finishes `s`, in the pool. An engine whose arguments
 * changed, or whose model is gone, is drained; the others run on. Returns what catalog_update() does.
 * O(models): with the same presets some 0.3 µs each, else what composing their arguments takes, 2 µs.
 */
size_t host_apply(struct host *h, struct sources *s, unsigned flags);
/* No more loads; waiting requests are answered; engines are drained for at most `drain_ms` and then
 * stopped. Again with a smaller figure to hurry. `idle` is called when no engine is left. */
void host_shutdown(struct host *h, uint64_t drain_ms, void (*idle)(void *ctx), void *ctx);
/* Logs the engines that survive SIGKILL, which nobody waits for at the end; how many these are. */
unsigned host_log_stuck(const struct host *h);
/* Frees everything; `closed` is called on the loop. Engines that still run are killed. `stuck`: a
 * driver hangs in a thread of the pool, so that the process must end by _exit(). */
void host_close(struct host *h, void (*closed)(bool stuck, void *ctx), void *ctx);

const struct config *host_config(const struct host *h);
const struct catalog *host_catalog(const struct host *h);
uv_loop_t *host_loop(const struct host *h);
/* The folder (0700) of the engines' sockets; the host's. */
const char *host_private_folder(const struct host *h);
/* By id or alias; in classic mode any name, NULL included, is the model. */
struct model *host_find(const struct host *h, const char *name);
/* In order of id; NULL after the last. */
struct model *host_at(const struct host *h, size_t index);
/* Of the first model whose id comes after `id`, which needs not be there. O(log models). */
size_t host_index_after(const struct host *host, const char *id);
const struct presets *host_presets(const struct host *h);
/* How the state's file is written. With an error and `failed` 0 the folder could not be used at the start: all is kept in
 * memory only. */
struct state_writes host_state_writes(const struct host *h);
const struct history *host_history(const struct host *h);
struct fitter *host_fitter(const struct host *h);
struct sampler *host_sampler(const struct host *h);
/* Looks for cards that have come; what is placed waits for that. */
void host_find_cards(struct host *h);
struct prompts *host_prompts(const struct host *h);
/* The machine's figures as they were last read, never NULL; valid until the loop's next turn. */
const struct snapshot *host_snapshot(const struct host *h);
/* For what is counted over all engines. */
const struct sched *host_sched(const struct host *h);

/* --- requests -----------------------------------------------------------------------------------
 */
/* `may_load`: whether it may cause a load. Set the first part before. */
void host_submit(struct host_request *r, struct model *model, bool may_load);
/* The lease ends, or the place in the queue is given up. No-op when it has neither. */
void host_withdraw(struct host_request *r);
/* Whether nobody reads its answer, though it goes on: soon it does not keep its engine in service any more
 * (--unread-grace). Before host_submit() it only sets the flag. */
void host_set_unread(struct host_request *r, bool unread);
/* Whether the engine that it was granted is being stopped on purpose: a request that is cut off by
 * that must not bring the model back. */
bool host_is_stopping(const struct host_request *r);
/* In how many ms it will be ready if it is asked for now, by what loads took before; SCHED_NEVER
 * when nobody knows. */
uint64_t host_eta(const struct model *m);
/* How many requests wait, for all models together. */
unsigned host_waiting(const struct host *m);
const struct budget *host_budget(const struct host *m);
/* How many waiting requests come before. */
unsigned host_position(const struct host_request *r);

/* Something that uses the host for a while: host_shutdown() is not over before it is. */
void host_operation_begin(struct host *h);
void host_operation_end(struct host *h);
/* Whether one is going on; some may begin after host_shutdown() is over. */
bool host_has_operations(const struct host *h);

void host_listen(struct host *h, struct host_listener *l);
void host_unlisten(struct host *h, struct host_listener *l);

#endif
