/* SPDX-License-Identifier: MIT */
/*
 * The scheduler: which model is loaded, which request goes to an engine, which engine must go.
 *
 * Pure: no I/O, no clock, no allocation. The caller owns the memory (struct sched_model, struct
 * sched_request and struct sched_weights are embedded in its own records), tells what happened with
 * sched_event(), and then pulls what must be done with sched_next() until that returns false:
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
 * Rules (docs/design.md has the reasons, and the bound on waiting):
 *  - Room: an engine takes a place among `models_max` and its footprint on each device, from
 *    SCHED_ACT_SPAWN until SCHED_EV_GONE, so that room is free only when the memory is. What all
 *    take stays within models_max (0: no limit) and within `capacity`. Weights that several map from
 *    one file count once. Where `overlap` says so, an engine that is being stopped, and whose model
 *    nobody waits for, has its place no more for a model that fits beside what it still holds, with
 *    `spare` bytes left on each device; unless one of the two is to be `apart`.
 *  - A grant is a lease. An engine with a lease is stopped only when the deadline of a drain has
 *    passed, by force, or because it does not answer. Leases of an engine that is gone do not
 *    count for the model's next engine.
 *  - A request for a ready model is granted at once, unless that model drains or yields, or has as
 *    many leases as it may (`max_leases`); then the next one to end makes room for it.
 *  - Otherwise it waits. Waiting models are served in this order: those that have waited
 *    `max_wait_ms`, oldest first; then by priority, and oldest first among equals. A model is as old
 *    as its oldest waiter, or the operator's wish if that is older. All waiters of a model share its
 *    load, and are granted in order of arrival.
 *  - Room is made by stopping engines that are ready, idle, not pinned and not in residence: those of
 *    the lowest priority that suffice, and among these the set that does the least harm: the cost to
 *    bring a model back (its load time) by the time it has not been used. Nobody goes who need not.
 *  - An engine is in residence as long as it was loaded less than twice its load time ago (at most
 *    `residence_ms`) and last used less than a quarter of it ago, if one of the last two pauses in
 *    its use was no longer than that, and the load was not quick. Whoever has waited `max_wait_ms`
 *    does not wait for that, nor does anybody of a higher priority go for it.
 *  - Whoever cannot be placed yet does not hold up others that fit into what is left, but takes no
 *    room from those before it for which room is being made.
 *  - When a model has waited `max_wait_ms` (0: at once; SCHED_NEVER: never) and idle engines do not
 *    suffice, busy ones yield: they get no new leases, finish those that they have, and are stopped.
 *    A yielding model takes no part in being granted until it is gone; its own new requests wait
 *    like any other's. When the need is gone it takes up its work again.
 *  - A model that can never fit, and one that did not fit for `hopeless_ms` even with every engine
 *    gone that may go, is rejected.
 *  - Whoever has waited `wait_timeout_ms` is rejected (0: never), also while the model loads.
 *  - A ready engine that is idle for its model's `ttl_ms` is stopped (0: never; pinned: never).
 *  - A held model is not loaded: its requests are rejected, those already waiting too, and an
 *    operator's wish is dropped. An engine that runs when the hold comes, loading or ready,
 *    keeps serving, also those who wait for that load, until it is unloaded.
 *  - An engine that ends by itself is started again at once, then after times that double; after `max_failures`
 *    in a row (0: never) the model is failed, until an operator loads it or its arguments change. A
 *    request that was served ends the row. A load that failed for memory is tried once more, at
 *    once, by the footprint that the caller knows then.
 *  - A request that may not load is rejected whenever it would need another load than the one
 *    going on: at a model that is unloaded, draining, yielding or stopping.
 *  - Of several reasons to reject, the first of: shutdown, removed, held, failed, not loaded, queue
 *    full.
 */
#ifndef HOSTLER_SCHED_SCHED_H
#define HOSTLER_SCHED_SCHED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#define SCHED_NEVER UINT64_MAX
#define SCHED_DEVICES 17    /* device 0 is the host */
#define SCHED_QUICK_MS 1000 /* loads that are faster cost nothing to speak of */
#define SCHED_UNLIMITED ((uint64_t)INT64_MAX / 4)

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
    SCHED_REJECT_OOM,          /* the same, for want of memory, twice */
    SCHED_REJECT_FAILED,       /* its engines ended by themselves too often in a row */
    SCHED_REJECT_TOO_LARGE,    /* it can never fit */
    SCHED_REJECT_NO_ROOM,      /* what is pinned, or others use, leaves no room for it */
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
    uint64_t number;  /* of all requests, in the order of their arrival */
    enum sched_reject_reason rejected; /* when REJECTED */
    TAILQ_ENTRY(sched_request) link;
};
TAILQ_HEAD(sched_requests, sched_request);

/* A file whose weights engines map: the host's memory holds them once. Owned by the caller; zero it,
 * set `bytes`. */
struct sched_weights {
    uint64_t bytes;
    /* The scheduler's own: how many map it in each room of a look, see room.h. */
    uint64_t look;
    unsigned users[6];
};

/*
 * Embedded by the caller; zero it, set the first part, then SCHED_EV_ADD. The first part may change
 * at any time; SCHED_EV_TICK makes it felt.
 */
struct sched_model {
    uint64_t ttl_ms;               /* 0: never unloaded for being idle */
    bool pinned;                   /* never evicted, never made to yield, never idle */
    bool cold;                     /* its load reads from the disk: one such load at a time, since
                                      two would only take turns there */
    bool unsure;                   /* its footprint is being found out: it is not placed yet */
    bool apart;                    /* neither its load nor its end overlaps with another's */
    int priority;                  /* higher first */
    unsigned max_leases;           /* at once, passive ones aside; 0: no limit */
    uint64_t load_ms;              /* what a load takes; 0: not known */
    uint64_t bytes[SCHED_DEVICES]; /* what its engine takes, without: */
    struct sched_weights *weights; /* what it maps; NULL */

    /* The scheduler's own, readable by anybody. */
    enum sched_state state;
    bool listed;   /* between SCHED_EV_ADD and SCHED_EV_REMOVE */
    bool wanted;   /* an operator asked to load it: it waits for a place even without a request */
    bool draining; /* to be stopped when its last lease ends or at drain_until; until it is gone */
    bool yielding; /* to be stopped when its last lease ends, because others wait */
    bool stop_due; /* SCHED_ACT_STOP is due: is in sched.stops */
    bool force;    /* that stop does not wait for leases */
    bool asked;    /* to yield, by the look at who waits that is going on */
    bool failed;   /* too many failures: not loaded any more */
    bool oom_retried;  /* its load is tried again, with the footprint that the last one showed */
    unsigned failures; /* ends by itself in a row */
    enum sched_stop_reason stop_reason; /* while draining or STOPPING, and of the last stop after */
    uint64_t drain_until;
    uint64_t held_until;     /* held while this is later than now; SCHED_NEVER: until released */
    unsigned engine;         /* how many of its engines are gone: tells the leases of each apart */
    unsigned leases;         /* requests granted and not finished, at this engine or one before */
    unsigned stale;          /* those of them whose engine is gone */
    unsigned active;         /* those at this engine that count for max_leases */
    unsigned waiting;        /* requests in `queue` */
    uint64_t wanted_since;   /* when the operator asked */
    uint64_t waiting_since;  /* arrival of the oldest waiter or wish; SCHED_NEVER: there is none */
    uint64_t retry_at;       /* not loaded before */
    uint64_t hopeless_since; /* since when there was no room for it in any case; SCHED_NEVER */
    uint64_t spawned_at;     /* when its load began */
    uint64_t loaded_at;      /* when it became ready */
    uint64_t last_granted;   /* when it was last given a lease (loaded_at before the first), and */
    uint64_t last_used; /* when its last lease ended; loaded_at before the first. No passive ones */
    uint64_t pauses[2]; /* ms: from then to the next request; the last one, the one before */
    const struct sched_model *stop_for; /* EVICTED: who needed the room */
    struct sched_requests queue;
    TAILQ_ENTRY(sched_model) link;       /* in sched.running_models, unless UNLOADED */
    TAILQ_ENTRY(sched_model) queue_link; /* in sched.waiting_models, while it waits for a place */
    TAILQ_ENTRY(sched_model) stop_link;  /* in sched.stops */
    TAILQ_ENTRY(sched_model) drop_link;  /* in sched.drops, while drop_due */
    bool queued;                         /* is in sched.waiting_models */
    bool drop_due;
    enum sched_reject_reason drop_reason;
};
TAILQ_HEAD(sched_models, sched_model);

struct sched_config {
    unsigned models_max;  /* engines at once; 0: no limit */
    unsigned loads_max;   /* of them loading; 0: no limit */
    unsigned max_queue;   /* waiting requests over all models; 0: no limit */
    unsigned devices;     /* of which footprints are looked at: 0 to SCHED_DEVICES */
    uint64_t max_wait_ms; /* how long waiting requests yield to a resident model; 0: not at all */
    uint64_t wait_timeout_ms; /* 0: none */
    uint64_t residence_ms;    /* most that an idle engine stays for the sake of its load time */
    uint64_t hopeless_ms;     /* how long it is hoped that others give memory back */
    unsigned max_failures;    /* in a row; 0: no limit */
    uint64_t back_off_ms;     /* after the second failure in a row; 0: none */
    bool overlap;             /* a load may begin while a victim is on its way out */
    uint64_t spare;           /* bytes on each device that must be left then */
    /* What all engines together could ever have on a device. */
    uint64_t ceiling[SCHED_DEVICES];
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
                         (if it drained or is held they are rejected). `oom`: it ended for want of
                         memory; set the footprint before */
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
    bool oom;                      /* GONE */
};

enum sched_action_type {
    SCHED_ACT_GRANT,  /* request: send it to its model's engine */
    SCHED_ACT_REJECT, /* request, reject: answer it with an error. It is NEW again */
    SCHED_ACT_SPAWN,  /* model, request (who caused it; NULL: an operator) */
    SCHED_ACT_DROP,   /* model, reject: an operator's wish to load it is given up. Nobody waits */
    SCHED_ACT_STOP, /* model, stop, force, cause: end its engine. Given once, and again with `force` when
                         an operator hurries a drain after the stop was given */
};

struct sched_action {
    enum sched_action_type type;
    struct sched_model *model; /* always */
    struct sched_request *request;
    enum sched_reject_reason reject;
    enum sched_stop_reason stop;
    bool force;                      /* STOP: leases are cut off; kill */
    const struct sched_model *cause; /* STOP, when EVICTED: who needs the room; else NULL */
};

/* Embedded by the caller. Its fields are the scheduler's own. */
struct sched {
    struct sched_config config;
    /* What all engines together may have on a device now: the caller sets it as other programs take
     * memory and give it back, and SCHED_EV_TICK makes it felt. */
    uint64_t capacity[SCHED_DEVICES];
    uint64_t now;
    uint64_t placed_at; /* when it was last considered whose place goes to whom */
    uint64_t looks;     /* how often */
    bool dirty;         /* that is to be considered again */
    bool shutdown;
    uint64_t requests;                  /* that arrived so far */
    unsigned running;                   /* engines that are not UNLOADED */
    unsigned loading;                   /* those of them that load */
    unsigned yielding;                  /* those of them that yield */
    unsigned queued;                    /* models in waiting_models */
    unsigned waiting;                   /* requests in all queues */
    struct sched_models running_models; /* in the order of their SPAWN */
    struct sched_models waiting_models; /* not loaded, wait for a place; oldest wish first */
    struct sched_models stops;          /* STOP due */
    struct sched_models drops;          /* DROP due */
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
/* Of the models that wait for a place the one that is served first; NULL when none waits. */
struct sched_model *sched_first_waiting(const struct sched *s);
/* In how many ms the model will be ready, by what loads took before: its own and those of the models
 * before it. SCHED_NEVER when that is not known. */
uint64_t sched_eta(const struct sched *s, const struct sched_model *m);
/* Whether it would be placed now as things are, and which engines would be stopped for it: those
 * that end up in `victims` (at most `max`; `*n`). Changes nothing. */
bool sched_would_fit(struct sched *s, struct sched_model *m, struct sched_model **victims,
                     unsigned max, unsigned *n);

/* Whether it could be placed if nobody else was loaded, and others used no memory. */
bool sched_could_ever_fit(const struct sched *s, const struct sched_model *m);

/* `unloaded`, `evicted`, `idle`, `replaced`, `removed`, `broken`, `shutdown`. */
const char *sched_stop_name(enum sched_stop_reason reason);
/* `not_loaded`, `held`, `queue_full`, `wait_timeout`, `load_failed`, `unloaded`, … */
const char *sched_reject_name(enum sched_reject_reason reason);

#endif
