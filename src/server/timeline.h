/* SPDX-License-Identifier: MIT */
/*
 * What the machine and the server did over the last hour (720 steps of 5 s) and day (720 of 120 s): memory by device, tokens,
 * requests; and the last TIMELINE_MARKS loads and ends of engines. Rings of fixed size, made when the first figures come. It has no timer: whoever
 * has figures hands them in, and a step without any stays unknown.
 */
#ifndef HOSTLER_SERVER_TIMELINE_H
#define HOSTLER_SERVER_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/memory.h"

#define TIMELINE_STEPS 720
#define TIMELINE_MARKS 512

struct timeline;

enum timeline_span { TIMELINE_HOUR, TIMELINE_DAY };

/* One reading. */
struct timeline_sample {
    size_t devices;
    double engines[MEMORY_DEVICES_MAX], others[MEMORY_DEVICES_MAX]; /* MiB */
    unsigned waiting, running;                                      /* requests */
};

/* An engine's load began (`load`, `ready`) or it ended (`evicted`, …). */
struct timeline_mark {
    double at; /* Unix time */
    char *model;
    const char *event; /* static */
    char *cause;       /* at most 160 bytes; NULL */
};

enum timeline_series {
    TIMELINE_ENGINES,
    TIMELINE_OTHERS,
    TIMELINE_TOKENS,
    TIMELINE_WAITING,
    TIMELINE_RUNNING
};

struct timeline *timeline_create(void);
void timeline_destroy(struct timeline *t);
/* `now`: ms, of a clock that does not go back. Of several samples in one step the memory is averaged, of requests the most counts. */
void timeline_sample(struct timeline *t, uint64_t now, const struct timeline_sample *sample);
/* `n` tokens came in that time, evenly. O(steps in it), at most TIMELINE_STEPS. */
void timeline_add_tokens(struct timeline *t, uint64_t from, uint64_t to, double n);
/* Copies the texts, of the cause its beginning; `event` is static. */
void timeline_mark(struct timeline *t, double at, const char *model, const char *event,
                   const char *cause);

/* ms */
uint64_t timeline_step(enum timeline_span span);
/* The number of the first step of that span, as of `now`, of which anything is known; that of `now` is now / step. */
uint64_t timeline_first(const struct timeline *t, enum timeline_span span, uint64_t now);
/* The series' value in that step, of tokens a second; NAN: unknown. `device` is of no account for the last three. */
double timeline_value(const struct timeline *t, enum timeline_span span,
                      enum timeline_series series, size_t device, uint64_t step, uint64_t now);
/* The newest has index 0; NULL: `index` is after the oldest that is kept. */
const struct timeline_mark *timeline_mark_at(const struct timeline *t, size_t index);

#endif
