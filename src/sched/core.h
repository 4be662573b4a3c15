/* SPDX-License-Identifier: MIT */
/* What sched.c and place.c share: changes of state that keep the scheduler's lists right. Internal
 * to sched/. */
#ifndef HOSTLER_SCHED_CORE_H
#define HOSTLER_SCHED_CORE_H

#include "sched/sched.h"

static inline uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* `t` plus `ms`, where SCHED_NEVER stays what it is. */
static inline uint64_t after(uint64_t t, uint64_t ms)
{
    return ms > SCHED_NEVER - t ? SCHED_NEVER : t + ms;
}

/* Has leases at the engine that runs; those at one that crashed do not keep its successor. */
static inline bool core_is_busy(const struct sched_model *m)
{
    return m->leases > m->stale;
}

static inline bool core_is_overdue(const struct sched *s, const struct sched_model *m)
{
    return after(m->waiting_since, s->config.max_wait_ms) <= s->now;
}

/*
 * Until when an idle engine stays for the sake of its load. Who asks again and again leaves pauses,
 * in which others that wait would take its place, and soon wait themselves. A pause of a quarter of
 * a load is worth waiting for if its pauses are like that: one of the last two, since between two
 * bursts there is a long one. And who waits is not held up for longer than two loads, which is what
 * changing places and back takes. bench/traces.c shows what it is good for.
 */
static inline uint64_t core_resident_until(const struct sched *s, const struct sched_model *m)
{
    uint64_t pause = m->load_ms / 4;
    uint64_t resident = earlier(2 * m->load_ms, s->config.residence_ms);
    if (m->load_ms < SCHED_QUICK_MS || earlier(m->pauses[0], m->pauses[1]) > pause)
        return m->loaded_at;
    return earlier(after(m->loaded_at, resident), after(m->last_used, pause));
}

/* Begins to load it, for its oldest wish: `*cause`, NULL for an operator's. */
void core_spawn(struct sched *s, struct sched_model *m, struct sched_request **cause);
/* Again for one that is STOPPING already: then `force` is what is new. */
void core_stop(struct sched *s, struct sched_model *m, enum sched_stop_reason reason, bool force);
void core_set_yielding(struct sched *s, struct sched_model *m, bool yielding);
/* It yields no more: whoever waits for it is granted what it has. */
void core_resume(struct sched *s, struct sched_model *m);
/* Ends all wishes for it; an operator's as a DROP when that is not the operator's own doing. */
void core_give_up(struct sched *s, struct sched_model *m, enum sched_reject_reason why);

/* --- place.c ------------------------------------------------------------------------------------
 */
enum place_result {
    PLACE_NOTHING, /* nobody can be helped as things are; who yields is settled */
    PLACE_CHANGED, /* stops or rejections are due: look again after them */
    PLACE_SPAWN,   /* `*action` is one */
};
/* One look at who waits, in their order. */
enum place_result place(struct sched *s, struct sched_action *action);
struct victims;
/* Whether `m`, which does not run, would fit now, and who would be stopped for it. */
bool place_would_fit(struct sched *s, const struct sched_model *m, struct victims *out);
/* When the look must be repeated though nothing happens; SCHED_NEVER. */
uint64_t place_deadline(const struct sched *s);
/* Whether `a` is served before `b`; both wait for a place. */
bool place_is_before(const struct sched *s, const struct sched_model *a,
                     const struct sched_model *b);

#endif
