/* SPDX-License-Identifier: MIT */
/* Who gets room, who is evicted, who yields. Internal to sched/. */
#ifndef HOSTLER_SCHED_PLACE_H
#define HOSTLER_SCHED_PLACE_H

#include "sched/sched.h"
#include "sched/victims.h"

enum place_result {
    PLACE_NOTHING, /* nothing can be done as things are; who yields is settled */
    PLACE_CHANGED, /* stops, drains, drops or rejections are due: to be called again after them */
    PLACE_SPAWN,   /* `*action` is one */
};
/* One pass over the models that wait, in their order. */
enum place_result place(struct sched *s, struct sched_action *action);
/* See sched_would_fit(). */
bool place_would_fit(const struct sched *s, const struct sched_footprint *footprint,
                     const struct sched_instance *without, struct victims *out);
/* See sched_would_fit_beside(). */
bool place_would_fit_beside(const struct sched *s, const struct sched_model *m,
                            const struct sched_footprint *footprint);
/* When the pass must be repeated though nothing happens; SCHED_NEVER. */
uint64_t place_deadline(const struct sched *s);
/* Whether `a` is served before `b`; both wait for a place. */
bool place_is_before(const struct sched *s, const struct sched_model *a,
                     const struct sched_model *b);

#endif
