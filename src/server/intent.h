/* SPDX-License-Identifier: MIT */
/*
 * What operators want of a model: loaded or not, held, pinned. Holds and pins belong to the model's
 * name: they survive a replaced file, and a restart of the daemon (state.h).
 */
#ifndef HOSTLER_SERVER_INTENT_H
#define HOSTLER_SERVER_INTENT_H

#include <stdbool.h>
#include <stdint.h>

struct host;
struct model;

enum pin { PIN_AS_CONFIGURED, PIN_ON, PIN_OFF };

/* Of one model; embedded by it and changed by intent.c alone. Until when it is held is the scheduler's
 * (sched_model.held_until). */
struct intent {
    enum pin pin;      /* goes before the preset's */
    char *hold_reason; /* NULL: none was given, or it is not held */
    char *hold_by;
    char *load_by;    /* who asked for the next load; NULL: nobody but requests */
    char *unload_by;  /* who asked for the unload that is under way; NULL */
    unsigned unloads; /* operations (unload.h) that wait for its end */
};

/* Loads the model; releases a hold on it. `by` is copied. */
void intent_load(struct model *m, const char *by);
/* `drain_until`: uv_now() milliseconds, 0 at once, SCHED_NEVER as long as it takes. `reason` may be
 * NULL. */
void intent_unload(struct model *m, uint64_t drain_until, const char *reason, const char *by);
/* Ends a drain that was begun and is not over: the model goes on serving. */
void intent_cancel_unload(struct model *m);
/* `until`: uv_now() milliseconds or SCHED_NEVER. Texts are copied; may be NULL. */
void intent_hold(struct model *m, uint64_t until, const char *reason, const char *by);
void intent_release(struct model *m, const char *by);
bool intent_is_held(const struct model *m);
/* Whatever the preset says, from now on; kept like a hold. */
void intent_pin(struct model *m, bool on, const char *by);
bool intent_is_pinned(const struct model *m);

/* What was kept before this record, or this daemon, began. */
void intent_restore(struct model *m);
/* Ends the holds whose time is over. O(1) when there is none, else O(models). */
void intent_end_holds(struct host *host);
void intent_finish(struct intent *i);

#endif
