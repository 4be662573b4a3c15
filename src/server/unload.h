/* SPDX-License-Identifier: MIT */
/*
 * Unloading several models side by side. Requests in flight may finish first; the operation is complete when
 * the memory is free again, and has a result for each model.
 *
 *  - force: engines are stopped at once; their requests are cut off, with an answer that says so.
 *  - drain given: requests may go on for that long, then they are cut off.
 *  - neither: requests may go on for the server's drain timeout; a model that is busy even then stays
 *    loaded and goes on serving, and its result is BUSY; so does one that an operator loads meanwhile.
 *
 * Whether the models are held meanwhile is the caller's to decide (intent.h), before the start.
 */
#ifndef HOSTLER_SERVER_UNLOAD_H
#define HOSTLER_SERVER_UNLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/memory.h"
#include "server/host.h"
#include "server/prompts.h"

enum unload_result {
    UNLOAD_PENDING,
    UNLOAD_UNLOADED,
    UNLOAD_BUSY,
    UNLOAD_FAILED,
    UNLOAD_SKIPPED, /* it was not loaded */
};

struct unload_target {
    char *id;            /* id, or the unknown name that was asked for */
    struct model *model; /* while PENDING */
    bool drained;        /* drained_ms is set */
    bool begun;          /* while PENDING: counted in model->intent.unloads */
    uint64_t newest; /* number of the newest instance at the start: later ones are not awaited */
    enum unload_result result;
    const char *reason; /* static text: `not_loaded`, `not_found`, …; NULL */
    /* In flight at the start. When the result is BUSY: how many of them were still in flight when the operation
     * gave the model up, at least 1. */
    unsigned requests;
    uint64_t drained_ms, stopped_ms;
    struct memory_use freed;
    struct prompts_saved saved; /* what is kept of its conversations */
};

struct unload_options {
    bool force;
    bool has_drain;
    uint64_t drain_ms;
    /* Used when neither `force` nor `has_drain` is set. Not 0: requests in flight may go on for this long, at most for
     * the server's drain timeout, and the model serves new requests meanwhile. 0: they may go on for the server's
     * drain timeout, and new requests wait. */
    uint64_t patience_ms;
    bool forget;        /* their prompts are not saved */
    const char *reason; /* NULL */
    const char *by;
};

struct unload {
    struct unload_target *targets;
    size_t n;
    struct memory_figures before, after;
    struct memory_use freed; /* over all targets */
    /* For the report: the caller sets them. */
    bool held, forgot;
    uint64_t forgotten_files, forgotten_bytes;
    uint64_t elapsed_ms;
};

/* Called once, never from inside unload_start() or unload_preview(). `u` is the callee's, who destroys it, now
 * or later. */
typedef void unload_done(struct unload *u, void *ctx);

/* An operation without targets yet. */
struct unload *unload_create(struct host *host);
/* `model` NULL: an unknown name, whose result is FAILED. A model named twice counts once. */
void unload_add(struct unload *u, const char *name, struct model *model);
/* Copies what it needs of `options`. O(targets), some 0.2 µs each for those that are not loaded. */
void unload_start(struct unload *u, const struct unload_options *options, unload_done *done,
                  void *ctx);
/* Instead of starting: what it would do, as results; nothing is changed. */
void unload_preview(struct unload *u, const struct unload_options *options, unload_done *done,
                    void *ctx);
/* Not between the start and `done`. */
void unload_destroy(struct unload *u);
/* Whether something that was asked for is still loaded, or was not found. */
bool unload_left_something(const struct unload *u);
const char *unload_result_name(enum unload_result result);

#endif
