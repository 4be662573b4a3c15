/* SPDX-License-Identifier: MIT */
/*
 * The scheduler: which model is loaded, which request goes to an engine, which engine must go.
 *
 * Pure: no I/O, no clock, no allocation. The caller owns the memory (struct sched_model and struct
 * sched_request are embedded in its own records), tells what happened with sched_event(), and then
 * pulls what must be done with sched_next() until that returns false:
 *
 *     sched_event(&s, &(struct sched_event){.type = SCHED_EV_READY, .model = m}, now);
 *     while (sched_next(&s, now, &action))
 *         perform(&action);
 *
 * Performing an action may feed new events, and events may be fed before all actions are pulled.
 * Time is in milliseconds from any origin and must not go backwards (a smaller `now` is taken as
 * the greatest seen). sched_deadline() says when SCHED_EV_TICK is wanted at the latest; what is
 * bound to a time (timeouts, ttl, the end of a drain) happens at that event and at no other.
 *
 * Rules (docs/design.md has the reasons):
 *  - At most `models_max` engines exist at once (0: no limit). One counts from SCHED_ACT_SPAWN
 *    until SCHED_EV_GONE, so that a slot is free only when its memory is.
 *  - A grant is a lease. An engine with a lease is stopped only when the deadline of a drain has
 *    passed, by force, or because it does not answer. Leases of an engine that is gone do not
 *    count for the model's next engine.
 *  - A request for a ready model is granted at once, unless that model drains or yields.
 *  - Otherwise it waits. Waiting models are served oldest first (by their oldest waiter, or by
 *    the operator's wish if that is older); all waiters of a model share its load, and are
 *    granted in order of arrival.
 *  - Room is made by stopping the least recently used engine that is ready, idle, not pinned and
 *    has no waiters; never more engines than there are waiting models without a place. An engine
 *    that is already stopping is such a place to come.
 *  - When the oldest waiting model has waited `max_wait_ms` (0: at once; SCHED_NEVER: never) and
 *    there is no idle victim, the least recently granted unpinned ready engine yields: it gets
 *    no new leases, finishes those that it has, and is stopped. A yielding model takes no part
 *    in being granted until it is gone; its own new requests wait like any other's. One engine
 *    yields for each model that has waited so long, less the places to come, where a draining
 *    engine is one, too. When nobody has such a need any more (another engine became idle, the
 *    waiters left) the yielding engine takes up its work again.
 *  - Whoever has waited `wait_timeout_ms` is rejected (0: never), also while the model loads.
 *  - A ready engine that is idle for its model's `ttl_ms` is stopped (0: never; pinned: never).
 *  - A held model is not loaded: its requests are rejected, those already waiting too, and an
 *    operator's wish is dropped. An engine that runs when the hold comes, loading or ready,
 *    keeps serving, also those who wait for that load, until it is unloaded.
 *  - A request that may not load is rejected whenever it would need another load than the one
 *    going on: at a model that is unloaded, draining, yielding or stopping.
 *  - Of several reasons to reject, the first of: shutdown, removed, held, not loaded, queue
 *    full.
 */
#ifndef HOSTLER_SCHED_SCHED_H
#define HOSTLER_SCHED_SCHED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#define SCHED_NEVER UINT64_MAX

/* The engine of a model, as far as the scheduler is concerned. */
enum sched_state {
    SCHED_UNLOADED, /* no process */
    SCHED_LOADING,  /* SCHED_ACT_SPAWN was given, SCHED_EV_READY has not come */
    SCHED_READY,    /* takes leases, unless `draining` or `yielding` */
    SCHED_STOPPING, /* SCHED_ACT_STOP was given or is due, SCHED_EV_GONE has not come */
};

/* Why an engine is stopped. The names are those of `status.reason` in the API. */
enum sched_stop_reason {
    SCHED_STOP_UNLOADED, /* an operator asked */
    SCHED_STOP_EVICTED,  /* another model needed its place */
    SCHED_STOP_IDLE,     /* ttl */
    SCHED_STOP_REPLACED, /* what it runs with is no longer what it should */
    SCHED_STOP_REMOVED,  /* the model is no longer in the catalog */
    SCHED_STOP_BROKEN,   /* it does not answer */
    SCHED_STOP_SHUTDOWN, /* the daemon ends */
};

/* Why a request got no lease. */
enum sched_reject_reason {
    SCHED_REJECT_NOT_LOADED,   /* may_load was false and it would have taken another load */
    SCHED_REJECT_HELD,         /* an operator keeps the model from loading */
    SCHED_REJECT_QUEUE_FULL,   /* max_queue requests wait already */
    SCHED_REJECT_WAIT_TIMEOUT, /* waited wait_timeout_ms */
    SCHED_REJECT_LOAD_FAILED,  /* the engine ended before it was ready */
    SCHED_REJECT_UNLOADED,     /* an operator unloaded the model while the request waited */
    SCHED_REJECT_REMOVED,      /* the model is no longer in the catalog */
    SCHED_REJECT_SHUTDOWN,     /* the daemon ends */
};

enum sched_request_state {
    SCHED_REQUEST_NEW,     /* not given to the scheduler, or finished there */
    SCHED_REQUEST_WAITING, /* in its model's queue */
    SCHED_REQUEST_GRANTED, /* holds a lease (or SCHED_ACT_GRANT is about to be pulled: then it can
                              still be waiting or rejected again, if the engine goes) */
    SCHED_REQUEST_REJECTED /* SCHED_ACT_REJECT is about to be pulled */
};

struct sched_model;

/* Embedded by the caller; zero it, then set the first part before SCHED_EV_REQUEST. */
struct sched_request {
    struct sched_model *model;
    bool may_load; /* false: only if the model is loaded or loading already */
    bool passive;  /* a lease, but no use: neither for LRU nor for ttl (metrics, slots, props) */

    /* The scheduler's own, readable by anybody. */
    enum sched_request_state state;
    bool caused_load; /* the SPAWN that served it was given because of it */
    bool grant_due;   /* is in sched.granted */
    unsigned engine;  /* which of the model's engines granted it: sched_model.engine of then */
    uint64_t since;   /* ms: when it arrived */
    enum sched_reject_reason rejected; /* when REJECTED */
    TAILQ_ENTRY(sched_request) link;
};
TAILQ_HEAD(sched_requests, sched_request);

/*
 * Embedded by the caller; zero it, set the first part, then SCHED_EV_ADD. The first part may change
 * at any time; SCHED_EV_TICK makes it felt.
 */
struct sched_model {
    uint64_t ttl_ms; /* 0: never unloaded for being idle */
    bool pinned;     /* never evicted, never made to yield, never idle */

    /* The scheduler's own, readable by anybody. */
    enum sched_state state;
    bool listed;   /* between SCHED_EV_ADD and SCHED_EV_REMOVE */
    bool wanted;   /* an operator asked to load it: it waits for a place even without a request */
    bool draining; /* to be stopped when its last lease ends or at drain_until; until it is gone */
    bool yielding; /* to be stopped when its last lease ends, because others wait */
    bool stop_due; /* SCHED_ACT_STOP is due: is in sched.stops */
    bool force;    /* that stop does not wait for leases */
    enum sched_stop_reason stop_reason; /* while draining or STOPPING, and of the last stop after */
    uint64_t drain_until;
    uint64_t held_until;    /* held while this is later than now; SCHED_NEVER: until released */
    unsigned engine;        /* how many of its engines are gone: tells the leases of each apart */
    unsigned leases;        /* requests granted and not finished, at this engine or one before */
    unsigned stale;         /* those of them whose engine is gone */
    unsigned waiting;       /* requests in `queue` */
    uint64_t wanted_since;  /* when the operator asked */
    uint64_t waiting_since; /* arrival of the oldest waiter or wish; SCHED_NEVER: there is none */
    uint64_t loaded_at;     /* when it became ready */
    uint64_t last_granted;  /* when it was last given a lease (loaded_at before the first), and */
    uint64_t last_used; /* when its last lease ended; loaded_at before the first. No passive ones */
    struct sched_requests queue;
    TAILQ_ENTRY(sched_model) link;       /* in sched.running_models, unless UNLOADED */
    TAILQ_ENTRY(sched_model) queue_link; /* in sched.waiting_models, while it waits for a place */
    TAILQ_ENTRY(sched_model) stop_link;  /* in sched.stops */
    bool queued;                         /* is in sched.waiting_models */
};
TAILQ_HEAD(sched_models, sched_model);

struct sched_config {
    unsigned models_max;  /* engines at once; 0: no limit */
    unsigned max_queue;   /* waiting requests over all models; 0: no limit */
    uint64_t max_wait_ms; /* how long waiting requests yield to a resident model; 0: not at all */
    uint64_t wait_timeout_ms; /* 0: none */
};

enum sched_event_type {
    SCHED_EV_ADD,     /* model: it is in the catalog now. A drain that its removal began goes on, a
                         hold from before is kept */
    SCHED_EV_REMOVE,  /* model: no longer; waiters are rejected, its engine drained (REMOVED) for as
                         long as it takes. The model may be freed when it is UNLOADED, has no
                         leases, and sched_next() has returned false since */
    SCHED_EV_REQUEST, /* request: wants a lease; a no-op unless it is NEW */
    SCHED_EV_CANCEL,  /* request: its client left, waiting or granted; a no-op when it is NEW.
                         A pending GRANT or REJECT for it is not given any more */
    SCHED_EV_DONE,    /* request: granted, its last byte went out; a no-op unless it is GRANTED */
    SCHED_EV_LOAD,    /* model: an operator wants it loaded. Releases no hold: the caller does, or
                         else nothing happens, now or later. When draining, yielding or stopping it
                         is about the next load */
    SCHED_EV_UNLOAD,  /* model, drain_until: stop it when idle or at that time (0, or any time that
                         has passed: at once, by force). While loading it is stopped at once. Those
                         who wait then are rejected; those who come later wait for the next load.
                         Nothing when not loaded, except that `wanted` and waiters end. Of several
                         deadlines for one drain the earliest counts, and of several reasons the
                         one that comes last in enum sched_stop_reason. When the stop was given
                         already, only a deadline that has passed adds to it */
    SCHED_EV_REPLACE, /* model: its next engine will be another: drain the one that runs, as long as
                         it takes. Whoever comes or waits gets the next one, and so does an operator
                         whose load this interrupts */
    SCHED_EV_KEEP,    /* model: the drain that an UNLOAD began and that is not over ends, the model
                         goes on serving. Nothing when it is not draining, or for another reason */
    SCHED_EV_READY,   /* model: its engine can serve. Ignored unless LOADING */
    SCHED_EV_GONE,    /* model: its process is gone and reaped, for whatever reason; once a SPAWN,
                         ignored when UNLOADED. LOADING before: waiters are rejected (LOAD_FAILED).
                         READY before: it crashed; leases stay until their DONE or CANCEL; waiters
                         wait for the next load, and with them whoever's GRANT was not yet pulled
                         (if it drained or is held they are rejected) */
    SCHED_EV_BROKEN,  /* model: its engine does not answer, which is as good as a crash: it is
                         stopped at once, by force. Waiters, and whoever's GRANT was not yet pulled,
                         as when it crashed. Ignored unless READY */
    SCHED_EV_HOLD,    /* model, hold_until (SCHED_NEVER: until released); the last one counts */
    SCHED_EV_RELEASE, /* model */
    SCHED_EV_SHUTDOWN, /* drain_until: waiters are rejected, nothing is loaded any more, every
                          engine is drained. Again with an earlier drain_until to hurry */
    SCHED_EV_TICK,     /* time passed */
};

struct sched_event {
    enum sched_event_type type;
    struct sched_model *model;     /* all but REQUEST, CANCEL, DONE, SHUTDOWN, TICK */
    struct sched_request *request; /* REQUEST, CANCEL, DONE */
    uint64_t drain_until;          /* UNLOAD, SHUTDOWN: ms; SCHED_NEVER: as long as it takes */
    uint64_t hold_until;           /* HOLD */
};

enum sched_action_type {
    SCHED_ACT_GRANT,  /* request: send it to its model's engine */
    SCHED_ACT_REJECT, /* request, reject: answer it with an error. It is NEW again */
    SCHED_ACT_SPAWN,  /* model, request (who caused it; NULL: an operator) */
    SCHED_ACT_STOP,   /* model, stop, force: end its engine. Given once, and again with `force` when
                         an operator hurries a drain after the stop was given */
};

struct sched_action {
    enum sched_action_type type;
    struct sched_model *model; /* always */
    struct sched_request *request;
    enum sched_reject_reason reject;
    enum sched_stop_reason stop;
    bool force; /* STOP: leases are cut off; kill */
};

/* Embedded by the caller. Its fields are the scheduler's own. */
struct sched {
    struct sched_config config;
    uint64_t now;
    uint64_t placed_at; /* when it was last considered whose place goes to whom */
    bool dirty;         /* that is to be considered again */
    bool shutdown;
    unsigned running;                   /* engines that are not UNLOADED */
    unsigned yielding;                  /* those of them that yield */
    unsigned queued;                    /* models in waiting_models */
    unsigned waiting;                   /* requests in all queues */
    struct sched_models running_models; /* in the order of their SPAWN */
    struct sched_models waiting_models; /* not loaded, wait for a place; oldest wish first */
    struct sched_models stops;          /* STOP due */
    struct sched_requests granted;      /* GRANT due */
    struct sched_requests rejected;     /* REJECT due */
};

void sched_init(struct sched *s, const struct sched_config *config);
void sched_event(struct sched *s, const struct sched_event *event, uint64_t now);
/* The next thing to do; false when there is none. The state already reflects it. */
bool sched_next(struct sched *s, uint64_t now, struct sched_action *action);
/*
 * When SCHED_EV_TICK is wanted at the latest, in ms; SCHED_NEVER when not at all. Ask when
 * sched_next() has returned false. Costs a walk over the running and the waiting models.
 */
uint64_t sched_deadline(const struct sched *s);
/*
 * How many waiting requests would be served before `request`: 0 is next, also for one that does not
 * wait. Those of models that are loading come before those that still need a place.
 */
unsigned sched_position(const struct sched *s, const struct sched_request *request);

/* `unloaded`, `evicted`, `idle`, `replaced`, `removed`, `broken`, `shutdown`. */
const char *sched_stop_name(enum sched_stop_reason reason);
/* `not_loaded`, `held`, `queue_full`, `wait_timeout`, `load_failed`, `unloaded`, … */
const char *sched_reject_name(enum sched_reject_reason reason);

#endif
