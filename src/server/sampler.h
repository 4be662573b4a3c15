/* SPDX-License-Identifier: MIT */
/*
 * Reads the machine's figures (memory of devices and of engines, the kernel's OOM kills) in libuv's
 * thread pool and publishes each reading as a snapshot on the loop. The kernel and the drivers may
 * answer late or never; nothing else in the daemon asks them after its start (scripts/layers).
 *
 *  - One reading at a time. It begins as soon as somebody asks, and otherwise at most once each
 *    SAMPLER_PACE_MS after something changed. Without questions and changes there is no timer, but one that once lets
 *    go of the cards when no engine runs: a card that somebody holds open does not sleep.
 *  - A question is answered by a snapshot whose reading began after the question. When a reading
 *    takes longer than SAMPLER_LIMIT_MS, questions are answered with the last snapshot: at once,
 *    until the reading ends. The log says so once.
 *  - A process that ended while it was read is not in the snapshot: its pid may be another's.
 */
#ifndef HOSTLER_SERVER_SAMPLER_H
#define HOSTLER_SERVER_SAMPLER_H

#include <stdbool.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <uv.h>

#include "server/snapshot.h"

#define SAMPLER_FRESH_MS 250 /* how long a snapshot serves for a decision */
#define SAMPLER_PACE_MS 1000 /* from a change to the reading that nobody asked for */
#define SAMPLER_REST_MS 5000 /* from the last reading to rest(), when no engine runs */
#define SAMPLER_LIMIT_MS                                                                           \
    2000 /* of a reading, or of rest(), until questions are answered without it */
#define SAMPLER_WAKE_LIMIT_MS                                                                      \
    10000                    /* of the one after rest(): a card that slept may take 2 s to wake */
#define SAMPLER_SLOW_MS 1000 /* who takes longer to wake rests no more */

struct sampler;

/* Where the figures come from. Called from the pool, never by two threads at once; may block. */
struct sampler_source {
    void (*devices)(struct memory_figures *out);
    /* What `n` engines hold, index for index. */
    void (*engines)(const struct memory_engine *engines, size_t n, struct memory_use *out);
    uint64_t (*oom_kills)(void);
    uint64_t (*stalled)(void); /* memory_stalled() */
    void (*rest)(void); /* lets go of what is held between readings: the next one finds new cards */
};
/* This machine, by engine/memory. Between memory_init() and memory_finish(). */
extern const struct sampler_source sampler_machine;

/* An engine whose memory is read, with all its processes. Embedded by its owner, zeroed. */
struct sampler_process {
    uint64_t number; /* set by sampler_watch(); 0: not watched */
    struct memory_engine engine;
    bool ending; /* it only frees memory from now on: is read after the devices (sampler.c) */
    TAILQ_ENTRY(sampler_process) link;
};

/* Embedded by whoever asks, zeroed. */
struct sampler_question {
    void (*answered)(struct sampler_question *q); /* may ask again, and free `q` */
    uint64_t reading;                             /* the number of the reading that answers it */
    bool waits;
    TAILQ_ENTRY(sampler_question) link;
};

struct sampler_events {
    /* A snapshot was published; before the questions that it answers. */
    void (*published)(void *ctx);
    /* Whether any of its processes still runs, so that the leader's pid is its own. */
    bool (*is_running)(const struct sampler_process *p);
};

/* Reads the first snapshot, which blocks. The caller frees it, or gives it to sampler_create(). */
struct snapshot *sampler_read_first(const struct sampler_source *source);
struct sampler *sampler_create(uv_loop_t *loop, const struct sampler_source *source,
                               struct snapshot *first, const struct sampler_events *events,
                               void *ctx);
/* Questions are dropped. `closed` is called on the loop when the reading in flight has ended, or has
 * passed its limit: then `stuck` is set, a thread of the pool still uses the source, and the process
 * must end by _exit(). */
void sampler_close(struct sampler *s, void (*closed)(bool stuck, void *ctx));

/* The last one, never NULL; valid until the loop's next turn. */
const struct snapshot *sampler_snapshot(const struct sampler *s);
/* Whether that is young enough for a decision, and no cards are being looked for. */
bool sampler_is_fresh(const struct sampler *s);
/* The same, and nothing that sampler_note_change() or sampler_refresh() told came after it. */
bool sampler_is_current(const struct sampler *s);
/* Calls `answered` once from the loop; those who ask first are answered first. False, and no call, when
 * no newer snapshot is to be expected soon, since a reading hangs: the last one must do. */
bool sampler_ask(struct sampler *s, struct sampler_question *q,
                 void (*answered)(struct sampler_question *q));
/* No-op when it does not wait. */
void sampler_cancel(struct sampler *s, struct sampler_question *q);
/* A reading begins as if somebody asked. */
void sampler_refresh(struct sampler *s);
/* The same, and it begins with rest(), so that it finds cards that have come. */
void sampler_find_cards(struct sampler *s);
/* Figures may have changed: a reading begins within SAMPLER_PACE_MS. */
void sampler_note_change(struct sampler *s);

/* From the next reading on it is in the snapshots. */
void sampler_watch(struct sampler *s, struct sampler_process *p,
                   const struct memory_engine *engine);
/* No-op when it is not watched. */
void sampler_unwatch(struct sampler *s, struct sampler_process *p);

#endif
