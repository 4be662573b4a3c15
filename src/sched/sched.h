/* SPDX-License-Identifier: MIT */
/*
 * The scheduler decides which models have a running engine, which request goes to which engine, and
 * which engine is stopped.
 *
 * Pure: no I/O, no clock, no allocation. The caller owns the memory (struct sched_model, struct
 * sched_instance, struct sched_request and struct sched_weights are embedded in its own records),
 * reports what happened with sched_event(), and then pulls what must be done with sched_next()
 * until that returns false:
 *
 *     sched_event(&s, &(struct sched_event){.type = SCHED_EV_READY, .instance = i}, now);
 *     while (sched_next(&s, now, &action))
 *         perform(&action);
 *
 * Performing an action may feed new events, and events may be fed before all actions are pulled.
 * Time is in milliseconds from any origin and must not go backwards (a smaller `now` is taken as
 * the greatest seen). sched_deadline() says when SCHED_EV_TICK is wanted at the latest; what is
 * bound to a time (timeouts, ttl, the end of a drain) happens at that event and at no other.
 *
 * A model is not its engine. A *model* is what requests name; an *instance* is one running engine
 * of it. Requests wait in their model's queue and are granted to an instance. A model has more than
 * one instance while an old one is being replaced by a new one.
 *
 * Rules (docs/design.md has the reasons, and the bound on waiting):
 *  - Room. An instance takes one place among `models_max` (0: no limit) and its footprint on each
 *    device, from SCHED_ACT_SPAWN until SCHED_EV_GONE: room is free only when the memory is free.
 *    The sum stays within `capacity`. Weights that several instances map from one file count once.
 *    Where `overlap` is set, a SAVING or STOPPING instance whose model nobody waits for gives up its place
 *    before it is gone, to a model that fits beside what the instance still holds with
 *    `spare` bytes left on each device, unless one of the two is `apart`.
 *  - Leases. A grant is a lease of an instance. An instance with a lease is stopped only when the
 *    deadline of a drain has passed, by force, or because it does not answer.
 *  - Unread. A request whose client left though it goes on (SCHED_EV_UNREAD) lapses after
 *    `unread_ms`: from then on its lease does not keep the instance from being evicted, drained or
 *    made to yield, and is cut off by the stop. It does keep it from being idle for its ttl.
 *  - Grants. A request for a model with a READY instance is granted at once, unless that instance
 *    has `max_leases` leases; then the next lease that ends makes room for it. A grant always goes
 *    to a READY instance: never to one that loads, yields, drains or stops.
 *  - Order. Otherwise the request waits. Models that wait for room are served in this order: those
 *    that have waited `max_wait_ms` (overdue), oldest first; then by priority, and oldest first
 *    among equals. A model is as old as its oldest waiting request, or the operator's load request
 *    if that is older. All waiters of a model share its load and are granted in order of arrival.
 *  - Turns. An instance keeps its place from its load on for `turn` times what it takes to stop it
 *    and load the model that waits for it, and to stop that and load it again, by what stops and
 *    loads of the two took. That model is the oldest of those to which it yields that may be loaded
 *    and lack a place, or memory of a device, of which it holds some; at least for SCHED_TURN_MIN_MS, at most for `max_wait_ms`.
 *    Whoever comes when that time has passed waits half as long as those stops and loads take:
 *    an instance that is busy now may be idle soon. So where models on one place have work all the
 *    time, at most 1 / (1 + 2 * `turn`) of it is spent on stops and loads, if `max_wait_ms` allows
 *    turns of that length. No turn lasts longer than `max_wait_ms` after its load and somebody's
 *    arrival.
 *  - Eviction. Room is made by stopping instances that are READY or YIELDING, idle and not pinned,
 *    and that are in a pause only if their turn is over: those of the lowest priority that suffice,
 *    and among these the set that does the least harm: the cost to bring a model back (its load
 *    time) by the time it was not used. The set is minimal: no member could be left out.
 *  - Pauses. An idle instance is in a pause while its last use is less than a quarter of a load time
 *    ago (SCHED_PAUSE_MIN_MS at least), if one of the last two pauses in the model's use for which
 *    others could have waited was as short. A pause keeps no place from a model for which an
 *    instance of a higher priority would be stopped otherwise.
 *  - Gaps. A model for which there is no room yet does not hold up others that fit into what is
 *    left, but these take no room from the models before them for which room is being made.
 *  - Yielding. When idle instances do not suffice, busy ones whose turn is over yield: they get no
 *    new leases, finish the leases they have, and are stopped. They yield to models of their own
 *    priority and of higher ones, and to all that are overdue. New requests for a yielding model
 *    wait like any other's. When the need ends, the instance is READY again.
 *  - Too large. A model that can never fit is rejected; so is one that did not fit for
 *    `hopeless_ms` even with every instance gone that may be stopped; at once where pinned ones have all places.
 *  - Timeout. A request that has waited `wait_timeout_ms` is rejected (0: never), also while its
 *    model loads.
 *  - Shortage. When the host runs short of memory, whoever takes it, idle instances that are not
 *    pinned are stopped one after the other, until the caller says no more that it is short: the
 *    lowest priority first, and among equals the one whose absence does the least harm.
 *  - Saving. Between its last lease and its stop, an instance that has prompts to save (`save_gain_ms`) is
 *    SAVING: its engine runs, gets no lease, and counts as one that is being stopped. It is stopped when SCHED_EV_SAVED comes or
 *    `save_ms` have passed, and by force at the deadline of its drain. This is so for every reason
 *    to stop; but nothing is saved of one that is stopped by force, is broken, loads or crashed. Nobody waits for
 *    longer than it gains: while a model of a higher priority waits for room, or an overdue one, at most `save_gain_ms` are
 *    allowed from then on; and nothing is saved if somebody waits and saving takes longer (`save_cost_ms`) than it gains.
 *  - Resuming. A SAVING instance that was evicted, or idle for its ttl, is READY again when its model
 *    is wanted, no other model waits for room, and none was given its place: at once, whether or not the save
 *    is over. What an operator ordered, and a stop for want of memory, is carried out.
 *  - ttl. A READY instance that is idle for its model's `ttl_ms` is stopped (0, or pinned: never). An operator's load
 *    request for it begins that time anew.
 *  - Hold. A held model is not loaded: its requests are rejected, those waiting already too, and an
 *    operator's load request is dropped. An instance that runs when the hold comes, LOADING or
 *    READY, goes on serving, also those who wait for that load, until it is unloaded.
 *  - Failure. After an instance ended by itself the model is loaded again at once, the next time
 *    after `back_off_ms`, then after times that double; after `max_failures` in a row (0: never)
 *    the model is failed until an operator loads it or its arguments change. A request that was
 *    served ends the row. A load that failed for want of memory is tried once more, at once, with
 *    the footprint that the caller knows then.
 *  - Own failure. An engine that could not be started because the daemon lacked descriptors,
 *    processes or memory (SCHED_EV_GONE with `ours`) is no failure of the model: its waiters stay
 *    in the queue, and the start is tried again after SCHED_RETRY_MS, doubling to
 *    SCHED_RETRY_MAX_MS, until `wait_timeout_ms`.
 *  - A request that may not load is rejected whenever it would need another load than the one
 *    going on.
 *  - Of several reasons to reject, the first of: shutdown, removed, held, failed, not loaded, queue
 *    full.
 *
 * Replacement (SCHED_EV_REPLACE: the model's arguments changed):
 *  - The running instances are outdated. A LOADING one is stopped, and loaded anew for those who
 *    waited for it. An idle one is stopped; the next request loads the model with the new
 *    arguments.
 *  - A READY one that is in use goes on serving, also new requests, while the new instance loads
 *    beside it. When the new one is READY it gets all new requests; the old one drains, without a
 *    deadline, and is stopped (`replaced`). Nobody waits. In use: it has leases (those that
 *    are passive or lapsed aside), or requests wait for one, or its last use is less than a quarter
 *    of its load time ago and loads take SCHED_RECENT_MS or longer.
 *  - While the old one is to be unloaded when it is idle, it serves on and nothing is loaded beside
 *    it. When that unload is withdrawn, its replacement is due again.
 *  - Beside is allowed only where memory is known (`overlap`, and neither is `apart`) and the new
 *    one fits into free memory with `spare` left on each device. Nobody is evicted or yields for
 *    it, and models that wait for room come first. The new instance takes over the place of the old
 *    one, which is then `surplus`: it counts for memory, not among `models_max`. So models_max is
 *    exceeded by at most one draining instance a model, and with models_max 1 a replacement needs
 *    no second place. A model has at most one surplus instance.
 *  - Where beside is not possible (or the model is held) the old one drains at once, new requests
 *    wait, and the new one loads for them when the old one is gone, or earlier if memory becomes
 *    free and beside becomes possible.
 *  - When the new instance fails to load while the old one serves, the new arguments are taken to
 *    be broken: the old one goes on serving, `outdated`, and is not drained. The failure counts for
 *    the model. The next SCHED_EV_REPLACE or SCHED_EV_LOAD tries again; so does the next request
 *    once the old one is gone for another reason. A load that failed for want of memory did not fit
 *    beside: the old one drains and the load is tried once more when it is gone.
 *
 * Where later work goes: a state before the first grant is one between LOADING and READY; replicas
 * are a model that wants more than one READY instance (see queue_update() in queue.c); fairness
 * within a model is the order of its queue.
 */
#ifndef HOSTLER_SCHED_SCHED_H
#define HOSTLER_SCHED_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define SCHED_NEVER UINT64_MAX
#define SCHED_DEVICES 17    /* device 0 is the host */
#define SCHED_QUICK_MS 1000 /* the cost of a faster load is not taken into account */
#define SCHED_RECENT_MS 4000
#define SCHED_TURN_MIN_MS 500 /* of a turn: loads that cost next to nothing are not free, either */
#define SCHED_PAUSE_MIN_MS 50 /* of a pause that is waited for: a program's, between two requests */
#define SCHED_RETRY_MS 250
#define SCHED_RETRY_MAX_MS 5000
#define SCHED_UNLIMITED ((uint64_t)INT64_MAX / 4)

/* Of an instance; sched_model_state() is a model's. Changed by sched_instance_set_state() alone. */
enum sched_state {
    SCHED_UNLOADED, /* no process: not spawned yet, or gone */
    SCHED_LOADING,  /* SCHED_ACT_SPAWN was given, SCHED_EV_READY has not come */
    SCHED_READY,    /* gets requests */
    SCHED_YIELDING, /* no new leases; is stopped when its last lease ends, because other models
                       wait, or is READY again when they need its room no more */
    SCHED_DRAINING, /* no new leases; is stopped when its last lease ends or at `drain_until` */
    SCHED_SAVING, /* no new leases; SCHED_ACT_SAVE was given or is due; is stopped at SCHED_EV_SAVED, at
                       `save_until` or at `drain_until` */
    SCHED_STOPPING, /* SCHED_ACT_STOP was given or is due, SCHED_EV_GONE has not come */
};

/* Why an instance is stopped. The names are those of `status.reason` in the API. When a drain has
 * several reasons, the last one of this list counts; while it is SAVING, an order to drain replaces
 * EVICTED, MEMORY and IDLE, which nobody ordered. */
enum sched_stop_reason {
    SCHED_STOP_UNLOADED, /* an operator asked */
    SCHED_STOP_EVICTED,  /* another model needed its room */
    SCHED_STOP_MEMORY,   /* the host ran short of memory */
    SCHED_STOP_IDLE,     /* ttl */
    SCHED_STOP_REPLACED, /* its arguments changed */
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
    SCHED_REJECT_NO_ROOM,      /* what is pinned, or other programs use, leaves no room for it */
    SCHED_REJECT_UNLOADED,     /* an operator unloaded the model while the request waited */
    SCHED_REJECT_REMOVED,      /* the model is no longer in the catalog */
    SCHED_REJECT_SHUTDOWN,     /* the daemon ends */
};

enum sched_request_state {
    SCHED_REQUEST_NEW,     /* not given to the scheduler, or finished there */
    SCHED_REQUEST_WAITING, /* in its model's queue */
    SCHED_REQUEST_GRANTED, /* holds a lease (or SCHED_ACT_GRANT is about to be pulled: then it can
                              still be waiting or rejected again, if the instance goes) */
    SCHED_REQUEST_REJECTED /* SCHED_ACT_REJECT is about to be pulled */
};

struct sched_model;
struct sched_instance;

/* Embedded by the caller; zero it, then set the first part before SCHED_EV_REQUEST. */
struct sched_request {
    struct sched_model *model;
    bool may_load; /* false: only if the model is loaded or loading already */
    bool passive;  /* its lease is no use of the model, for eviction and ttl (metrics, slots) */

    /* The scheduler's own, readable by anybody. */
    enum sched_request_state state;
    bool caused_load;                  /* the SPAWN that served it was given because of it */
    bool grant_due;                    /* is in sched.granted */
    bool unread;                       /* nobody reads its answer, */
    bool lapsed;                       /* and has not for unread_ms */
    uint64_t lapses_at;                /* while it is unread and not lapsed: is in sched.unread */
    struct sched_instance *instance;   /* GRANTED: whose lease it holds; NULL otherwise */
    uint64_t since;                    /* ms: when it arrived */
    uint64_t number;                   /* of all requests, in the order of their arrival */
    enum sched_reject_reason rejected; /* when REJECTED */
    TAILQ_ENTRY(sched_request) link;
    TAILQ_ENTRY(sched_request) unread_link;
};
TAILQ_HEAD(sched_requests, sched_request);

/* A file whose weights engines map: the host's memory holds them once. Owned by the caller; zero
 * it, set `bytes`. */
struct sched_weights {
    uint64_t bytes;
    /* Scratch of the scheduler: how many map it in each room of a probe, see room.h. */
    uint64_t probe;
    unsigned users[5];
};

/* What an engine takes. */
struct sched_footprint {
    uint64_t bytes[SCHED_DEVICES]; /* without: */
    struct sched_weights *weights; /* what it maps; NULL: nothing */
    bool apart; /* figures may be incomplete: its load and its end overlap with no other's */
};

/*
 * One running engine of a model. Embedded by the caller, who hands a record to the scheduler in
 * sched.spare; SCHED_ACT_SPAWN fills it in. The caller may free it when it is UNLOADED (after
 * SCHED_EV_GONE), has no leases, and sched_next() has returned false since.
 */
struct sched_instance {
    /* What it takes: model->next as of its SPAWN. The caller may set it to what was measured. */
    struct sched_footprint footprint;
    /* ms that the users of its prompts would wait to have them computed anew; 0: there is nothing to
     * save. And how long saving them may take. The caller may set both at any time, while it is SAVING
     * to what is left; SCHED_EV_TICK makes the scheduler take note. */
    uint64_t save_gain_ms, save_cost_ms;

    /* The scheduler's own, readable by anybody. */
    struct sched_model *model;
    enum sched_state state;
    bool outdated;        /* the model's arguments have changed since its SPAWN */
    bool replacement_due; /* outdated; serves, and its replacement waits to be loaded: for memory,
                             or for an unload when it is idle to be withdrawn */
    bool surplus;         /* its replacement has taken over its place: only its memory counts */
    bool cold;            /* LOADING: its load reads from the disk */
    bool unload_due;      /* READY or YIELDING: an operator wants it unloaded when it is idle */
    bool stop_due;        /* SCHED_ACT_SAVE or SCHED_ACT_STOP is due: is in sched.stops */
    bool force;           /* that stop does not wait for leases */
    bool chosen;          /* scratch of place(): to yield */
    bool spared;          /* scratch of place(): not for models of a lower priority */
    uint64_t rival_cost; /* ms, scratch of place(): stop and load of the model that waits for it, */
    uint64_t rival_since;               /* and since when that waits; SCHED_NEVER: none does */
    enum sched_stop_reason stop_reason; /* DRAINING, SAVING, STOPPING, and after */
    uint64_t drain_until;               /* DRAINING, SAVING */
    uint64_t save_until;                /* SAVING */
    unsigned saves;  /* SCHED_ACT_SAVEs given: the end of an earlier save must not be reported */
    unsigned leases; /* requests granted and not finished, also after it is gone */
    unsigned active; /* those of them that are not passive: these count for max_leases */
    unsigned lapsed; /* leases that lapsed: the others keep it in service */
    unsigned users;  /* leases that are neither passive nor lapsed: with one it is in use */
    uint64_t
        wanted_since;    /* the operator's load request that it is loaded for; SCHED_NEVER: none */
    uint64_t spawned_at; /* when its load began */
    uint64_t loaded_at;  /* when it became READY: its turn begins */
    uint64_t stop_at;    /* when its stop was decided */
    uint64_t last_granted; /* when it was last given a lease (loaded_at before the first), and */
    uint64_t last_used; /* when its last lease ended; loaded_at before the first. No passive ones */
    const struct sched_model *stop_for;    /* EVICTED: who needs the room, until that is pulled */
    TAILQ_ENTRY(sched_instance) link;      /* in sched.instances, unless UNLOADED */
    LIST_ENTRY(sched_instance) of_model;   /* in sched_model.instances, unless UNLOADED */
    TAILQ_ENTRY(sched_instance) stop_link; /* in sched.stops, while stop_due */
};
TAILQ_HEAD(sched_instances, sched_instance);
LIST_HEAD(sched_model_instances, sched_instance);

/* What a model's queue waits for. */
enum sched_waits {
    SCHED_WAITS_NOT,    /* nobody waits, or for a load or a stop that is under way */
    SCHED_WAITS_PLACE,  /* for room: is in sched.waiting_models */
    SCHED_WAITS_BESIDE, /* for free memory beside an outdated instance: is in sched.replacements */
};

/*
 * Embedded by the caller; zero it, set the first part, then SCHED_EV_ADD. The first part may change
 * at any time; SCHED_EV_TICK makes the scheduler take note.
 */
struct sched_model {
    uint64_t ttl_ms;     /* 0: never unloaded for being idle */
    bool pinned;         /* never evicted, never made to yield, never idle */
    bool cold;           /* its next load reads from the disk: one such load at a time, since two
                            would only take turns there */
    bool unsure;         /* `next` is being found out: it is not loaded yet */
    int priority;        /* higher first */
    unsigned max_leases; /* at once by instance, passive ones aside; 0: no limit */
    uint64_t load_ms;    /* what a load takes; 0: not known */
    struct sched_footprint next; /* what its next instance takes */

    /* The scheduler's own, readable by anybody. */
    bool listed;      /* between SCHED_EV_ADD and SCHED_EV_REMOVE */
    bool wanted;      /* an operator asked to load it: it waits for room even without a request */
    bool failed;      /* too many failures: not loaded any more */
    bool oom_retried; /* its load is tried again, with the footprint that the last one showed */
    bool drop_due;    /* is in sched.drops */
    enum sched_waits waits;
    enum sched_reject_reason drop_reason;
    unsigned failures;     /* instances that ended by themselves, in a row */
    unsigned retries;      /* starts that failed for want of our own resources, in a row */
    unsigned leases;       /* of all its instances, also of those gone */
    unsigned waiting;      /* requests in `queue` */
    uint64_t held_until;   /* held while this is later than now; SCHED_NEVER: until released */
    uint64_t wanted_since; /* when the operator asked */
    uint64_t
        waiting_since; /* the oldest of request and operator's request that wait; SCHED_NEVER */
    uint64_t retry_at; /* not loaded before */
    uint64_t hopeless_since; /* since when there was no room for it in any case; SCHED_NEVER */
    uint64_t last_used;      /* when a lease of any instance ended, or an instance became READY */
    uint64_t stop_ms; /* what its last stop without force took, saving included; 0: not known */
    /* ms: the last two pauses in its use for which others could have waited, the newest first;
     * SCHED_NEVER: one that no waiting would have outlasted. */
    uint64_t pauses[2];
    struct sched_requests queue;
    struct sched_model_instances instances; /* that are not UNLOADED, newest first */
    TAILQ_ENTRY(sched_model) queue_link;    /* in the list that `waits` says */
    TAILQ_ENTRY(sched_model) drop_link;     /* in sched.drops, while drop_due */
};
TAILQ_HEAD(sched_models, sched_model);

struct sched_config {
    unsigned models_max;      /* instances at once; 0: no limit */
    unsigned loads_max;       /* of them LOADING; 0: no limit */
    unsigned max_queue;       /* waiting requests over all models; 0: no limit */
    unsigned devices;         /* of which footprints count: 0 to SCHED_DEVICES */
    uint64_t max_wait_ms;     /* when a waiting model is overdue (0: at once); no turn is longer */
    uint64_t wait_timeout_ms; /* 0: none */
    uint64_t unread_ms;       /* how long a request that nobody reads keeps its instance */
    unsigned turn;    /* a turn lasts so many times what changing places and back takes; 0: until a
                      model is overdue */
    uint64_t save_ms; /* how long an instance may be SAVING; 0: nothing is saved */
    uint64_t hopeless_ms;  /* how long other programs are given to free memory */
    unsigned max_failures; /* in a row; 0: no limit */
    uint64_t back_off_ms;  /* after the second failure in a row; 0: none */
    bool overlap; /* memory figures are complete: a load may begin beside an instance that leaves */
    uint64_t spare; /* bytes on each device that must be left then */
    /* What all instances together could ever have on a device. */
    uint64_t ceiling[SCHED_DEVICES];
};

enum sched_event_type {
    SCHED_EV_ADD,     /* model: it is in the catalog now. A drain that its removal began goes on, a
                         hold from before is kept */
    SCHED_EV_REMOVE,  /* model: no longer; waiters are rejected, its instances drained (REMOVED) for
                         as long as it takes. The model may be freed when it has no instances, no
                         leases, and sched_next() has returned false since */
    SCHED_EV_REQUEST, /* request: wants a lease; a no-op unless it is NEW */
    SCHED_EV_CANCEL,  /* request: its client left, waiting or granted; a no-op when it is NEW.
                         A pending GRANT or REJECT for it is not given any more */
    SCHED_EV_DONE,    /* request: granted, its last byte went out; a no-op unless it is GRANTED */
    SCHED_EV_UNREAD,  /* request: its client left, and it goes on. A no-op unless it waits or is
                         granted. Again after READ: its time begins anew */
    SCHED_EV_READ,    /* request: somebody reads its answer again */
    SCHED_EV_LOAD,    /* model: an operator wants it loaded. Ends no hold: with a hold nothing
                         happens, now or later. While no instance loads or is READY it is about the
                         next load. If an outdated instance serves, it is about its replacement.
                         Withdraws an UNLOAD_IDLE that is not over */
    SCHED_EV_UNLOAD,  /* model, drain_until: stop its instances when idle or at that time (0, or any
                         time that has passed: at once, by force). A LOADING one is stopped at once.
                         Those who wait then are rejected; those who come later wait for the next
                         load. Of several deadlines for one drain the earliest counts, of several
                         reasons the one that comes last in enum sched_stop_reason. For a STOPPING
                         instance only a deadline that has passed adds something: force */
    /* model: as UNLOAD with drain_until SCHED_NEVER, but an instance that is READY goes on serving,
     * also new requests, and is stopped (UNLOADED) as soon as it has no lease that keeps it in
     * service. KEEP and LOAD withdraw it */
    SCHED_EV_UNLOAD_IDLE,
    SCHED_EV_REPLACE, /* model: its next instance will be started with other arguments: see
                         Replacement above. Set `next`, or `unsure`, before */
    SCHED_EV_KEEP,  /* model: the operator calls UNLOAD and UNLOAD_IDLE off. An instance that drains
                         because of an UNLOAD is READY again, one that was to be unloaded when idle
                         stays. One that drains for another reason drains on. While it is SAVING as
                         while it drains, unless its place was given to another model */
    SCHED_EV_READY, /* instance: it can serve. Ignored unless LOADING */
    SCHED_EV_GONE,  /* instance: its process is gone and reaped, for whatever reason; once a SPAWN,
                         ignored when UNLOADED. LOADING before: waiters are rejected (LOAD_FAILED),
                         unless another instance serves. READY before: it crashed; its leases stay
                         until their DONE or CANCEL; waiters wait for the next load, and with them
                         whoever's GRANT was not yet pulled (if it drained or is held they are
                         rejected).
                         LOADING before and `oom`: it ended for want of memory; set `next` before.
                         LOADING before and `ours`: no process was started, for want of our own
                         descriptors, processes or memory */
    SCHED_EV_BROKEN, /* instance: it does not answer, which is as good as a crash: it is stopped at
                         once, by force. Waiters, and whoever's GRANT was not yet pulled, as when it
                         crashed. Ignored unless READY, YIELDING, DRAINING or SAVING */
    SCHED_EV_SAVED, /* instance: its last SAVE (sched_instance.saves) is over, whatever came of it. Ignored unless
                         SAVING */
    SCHED_EV_HOLD,     /* model, hold_until (SCHED_NEVER: until released); the last one counts */
    SCHED_EV_RELEASE,  /* model */
    SCHED_EV_SHUTDOWN, /* drain_until: waiters are rejected, nothing is loaded any more, every
                          instance is drained. Again with an earlier drain_until to hurry */
    SCHED_EV_SHORT, /* the host is short of memory as of now: an idle instance is stopped (MEMORY),
                       unless one stops already. Again while it is short */
    SCHED_EV_TICK,  /* time passed */
};

struct sched_event {
    enum sched_event_type type;
    struct sched_model *model;       /* ADD, REMOVE, LOAD, UNLOAD, UNLOAD_IDLE, REPLACE, KEEP,
                                        HOLD, RELEASE */
    struct sched_instance *instance; /* READY, GONE, BROKEN, SAVED */
    struct sched_request *request;   /* REQUEST, CANCEL, DONE, UNREAD, READ */
    uint64_t drain_until;            /* UNLOAD, SHUTDOWN: ms; SCHED_NEVER: as long as it takes */
    uint64_t hold_until;             /* HOLD */
    bool oom, ours;                  /* GONE */
};

enum sched_action_type {
    SCHED_ACT_GRANT,  /* request, instance: send it there */
    SCHED_ACT_REJECT, /* request, reject: answer it with an error. It is NEW again */
    SCHED_ACT_SPAWN,  /* instance (the record that was in sched.spare; set another one there),
                        request (who caused it; NULL: an operator, or it replaces another one) */
    SCHED_ACT_DROP,   /* reject: an operator's load request is given up, and no request waits; or a
                        replacement is, since it can never fit (TOO_LARGE) */
    SCHED_ACT_SAVE, /* instance, stop, cause: save its prompts, then feed SCHED_EV_SAVED. At most one for
                         each stop; a STOP follows, unless the instance is READY again: then
                         SCHED_EV_SAVED is not needed any more, and the save may go on or not */
    SCHED_ACT_STOP, /* instance, stop, force, cause: end the process. Given once, and again with
                       `force` when an operator hurries a drain after the stop was given */
};

struct sched_action {
    enum sched_action_type type;
    struct sched_model *model; /* always */
    struct sched_instance *instance;
    struct sched_request *request;
    enum sched_reject_reason reject;
    enum sched_stop_reason stop;
    bool force;                      /* STOP: leases are cut off; kill */
    const struct sched_model *cause; /* SAVE, or STOP without one before, when EVICTED: who needs
                                        the room; else NULL */
};

/* Embedded by the caller. Its fields are the scheduler's own, but for the first three. */
struct sched {
    /* What all instances together may have on a device now: the caller sets it as other programs
     * take memory and free it; SCHED_EV_TICK makes the scheduler take note. */
    uint64_t capacity[SCHED_DEVICES];
    /* `capacity` is being read anew: nothing is placed, and nobody is stopped for it, until the
     * caller clears this and feeds SCHED_EV_TICK. The caller's. */
    bool capacity_pending;
    /* The record for the next SPAWN, set by the caller; while it is NULL nothing is loaded. */
    struct sched_instance *spare;
    struct sched_config config;
    uint64_t now;
    uint64_t placed_at; /* when room was last handed out */
    uint64_t ready_at;  /* when an instance last became READY */
    uint64_t probes;    /* how often */
    bool dirty;         /* something changed since: it must be done again */
    bool shutdown;
    uint64_t requests;                  /* that arrived so far */
    unsigned running;                   /* instances that are not UNLOADED */
    unsigned loading;                   /* those of them that are LOADING */
    unsigned yielding;                  /* those of them that are YIELDING */
    unsigned saving;                    /* those of them that are SAVING */
    unsigned queued;                    /* models in waiting_models */
    unsigned waiting;                   /* requests in all queues */
    struct sched_instances instances;   /* not UNLOADED, in the order of their SPAWN */
    struct sched_models waiting_models; /* that wait for room, oldest first */
    struct sched_models
        replacements; /* that wait for memory beside an outdated instance, oldest first */
    struct sched_instances stops;   /* SAVE or STOP due */
    struct sched_models drops;      /* DROP due */
    struct sched_requests granted;  /* GRANT due */
    struct sched_requests rejected; /* REJECT due */
    struct sched_requests unread;   /* by unread_link: unread and not lapsed, in order of time */
};

/* Set `spare` after it. */
void sched_init(struct sched *s, const struct sched_config *config);
void sched_event(struct sched *s, const struct sched_event *event, uint64_t now);
/* The next thing to do; false when there is none. The state already reflects it. */
bool sched_next(struct sched *s, uint64_t now, struct sched_action *action);
/*
 * When SCHED_EV_TICK is wanted at the latest, in ms; SCHED_NEVER when not at all. Ask when
 * sched_next() has returned false. O(instances + waiting models).
 */
uint64_t sched_deadline(const struct sched *s);

/* The instance that a request would be granted to now; NULL: none is READY. O(1). */
struct sched_instance *sched_model_serving(const struct sched_model *m);
/* The instance that stands for the model: the one that serves, else the one that loads, else the
 * newest of those that yield, drain, are saved or stop, in this order; NULL: there is none. O(1). */
struct sched_instance *sched_model_instance(const struct sched_model *m);
/* Its stop is decided, it may be SAVING before that: what it holds counts as about to be free. */
static inline bool sched_instance_is_stopping(const struct sched_instance *i)
{
    return i->state == SCHED_SAVING || i->state == SCHED_STOPPING;
}
/* The state of sched_model_instance(); UNLOADED when there is none. */
enum sched_state sched_model_state(const struct sched_model *m);

/*
 * How many waiting requests would be served before `request`: 0 is next, also for one that does not
 * wait. Those of models that are loading come before those that still need room.
 */
unsigned sched_position(const struct sched *s, const struct sched_request *request);
/* Of all instances. O(instances). */
unsigned sched_leases(const struct sched *s);
/* Of the models that wait for room the one that is served first; NULL when none waits. */
struct sched_model *sched_first_waiting(const struct sched *s);
/* In how many ms the model will be ready, if who is in use goes on to be used: by what stops and loads took before, and the turns
 * of the models before it. What they finish after their turns is not counted: with N models before it, itself included, the longest
 * request of each comes on top, at most. Of models that need the room of several instances the first counts. SCHED_NEVER when a load
 * time is not known. O(models before it × instances), at most 64 of each. */
uint64_t sched_eta(const struct sched *s, const struct sched_model *m);
/*
 * Whether an instance of that footprint could be loaded now, at once or after stopping the
 * instances in `victims` (at most `max` are stored; `*n`), as if `without` (NULL: none) were gone.
 * Changes nothing but scratch fields of weights. Time is that of the last event or sched_next():
 * feed SCHED_EV_TICK before when that may be long ago.
 */
bool sched_would_fit(const struct sched *s, const struct sched_footprint *footprint,
                     const struct sched_instance *without, struct sched_instance **victims,
                     unsigned max, unsigned *n);
/* Whether a replacement of that footprint would be loaded now, or when the SAVING and STOPPING instances
 * are gone, beside the outdated instance of `m` (Replacement). Otherwise as sched_would_fit(). */
bool sched_would_fit_beside(const struct sched *s, const struct sched_model *m,
                            const struct sched_footprint *footprint);
/* Whether it could be loaded if nothing else was, and other programs used no memory. */
bool sched_could_ever_fit(const struct sched *s, const struct sched_footprint *footprint);

/* `unloaded`, `evicted`, `idle`, `replaced`, `removed`, `broken`, `shutdown`. */
const char *sched_stop_name(enum sched_stop_reason reason);
/* `not_loaded`, `held`, `queue_full`, `wait_timeout`, `load_failed`, `unloaded`, … */
const char *sched_reject_name(enum sched_reject_reason reason);

#endif
