/* SPDX-License-Identifier: MIT */
/* Times and durations in ms, where SCHED_NEVER is later than any other. */
#ifndef HOSTLER_SCHED_MS_H
#define HOSTLER_SCHED_MS_H

#include "sched/sched.h"

static inline uint64_t ms_earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* `t` plus `ms`; SCHED_NEVER where that is too far away. */
static inline uint64_t ms_after(uint64_t t, uint64_t ms)
{
    return ms > SCHED_NEVER - t ? SCHED_NEVER : t + ms;
}

#endif
