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

/* An operator's request to hold models: one record for all of them. */
struct hold_order {
    uint64_t until; /* uv_now() milliseconds, or SCHED_NEVER */
    char *reason;   /* NULL: none was given */
    char *by;       /* NULL */
    unsigned users; /* who points to it; the last one frees it */
};

/* Has one user, its creator. Texts are copied; may be NULL. */
struct hold_order *hold_order_create(uint64_t until, const char *reason, const char *by);
/* One user less. `order` may be NULL. */
void hold_order_release(struct hold_order *order);

/* Of one model; embedded by it and changed by intent.c alone. Until when it is held is the scheduler's
 * (sched_model.held_until). */
struct intent {
    enum pin pin;            /* goes before the preset's */
    struct hold_order *hold; /* NULL: it is not held. It may be over: intent_is_held() */
    char *load_by;           /* who asked for the next load; NULL: nobody but requests */
    char *unload_by;         /* who asked for the unload that is under way; NULL */
    unsigned unloads;        /* operations (unload.h) that wait for its end */
};

/* Loads the model; releases a hold on it. If it was to be unloaded when idle, it stays. `by` is copied. */
void intent_load(struct model *m, const char *by);
/* `drain_until`: uv_now() milliseconds, 0 at once, SCHED_NEVER as long as it takes. `reason` may be
 * NULL. */
void intent_unload(struct model *m, uint64_t drain_until, const char *reason, const char *by);
/* The same, but while requests are in flight the model goes on serving, new ones too. */
void intent_unload_when_idle(struct model *m, const char *reason, const char *by);
/* Ends one of these that was begun and is not over: the model goes on serving. */
void intent_cancel_unload(struct model *m);
/* `until`: uv_now() milliseconds or SCHED_NEVER. Texts are copied; may be NULL. */
void intent_hold(struct model *m, uint64_t until, const char *reason, const char *by);
/*
 * The same in three steps, for many models: all are held in one turn of the loop, so that no request can load
 * one of them while the others are still being held, and what takes time follows in slices.
 *   begin    O(1), some 0.1 µs: the scheduler knows, and clients may read why
 *   perform  once: requests that waited for them are rejected
 *   record   log, state folder, history, listeners. Nothing when `order` is not the model's any more.
 */
void intent_begin_hold(struct model *m, struct hold_order *order);
void intent_perform_holds(struct host *host);
void intent_record_hold(struct model *m, const struct hold_order *order);
/* Its record goes: a hold that is not recorded yet is kept for the next record of that name. */
void intent_leave(struct model *m);
/* NULL: none was given, or it is not held. */
const char *intent_hold_reason(const struct model *m);
const char *intent_hold_by(const struct model *m);
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
