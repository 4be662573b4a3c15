/* SPDX-License-Identifier: MIT */
#include "server/timeline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

#define SPANS 2
#define CAUSE_MAX 160
#define UNKNOWN UINT64_MAX

/* Values by step, at step % TIMELINE_STEPS; NAN: unknown. */
typedef float values[TIMELINE_STEPS];

struct ring {
    uint64_t newest;  /* step; UNKNOWN: there is none */
    uint64_t sampled; /* the last step with a sample; UNKNOWN */
    unsigned samples; /* in that step */
    values *engines[MEMORY_DEVICES_MAX], *others[MEMORY_DEVICES_MAX]; /* NULL: no such device */
    values tokens, waiting, running;                                  /* tokens: their number */
};

struct timeline {
    struct ring *rings[SPANS]; /* NULL: no figures came yet */
    struct timeline_mark marks[TIMELINE_MARKS];
    size_t n_marks; /* that there ever were */
};

static const uint64_t steps_ms[SPANS] = {[TIMELINE_HOUR] = 5000, [TIMELINE_DAY] = 120000};

struct timeline *timeline_create(void)
{
    return mem_zalloc(sizeof(struct timeline));
}

static void destroy_ring(struct ring *r)
{
    for (size_t d = 0; r && d < MEMORY_DEVICES_MAX; d++) {
        free(r->engines[d]);
        free(r->others[d]);
    }
    free(r);
}

void timeline_destroy(struct timeline *t)
{
    for (size_t i = 0; i < TIMELINE_MARKS; i++) {
        free(t->marks[i].model);
        free(t->marks[i].cause);
    }
    for (size_t i = 0; i < SPANS; i++)
        destroy_ring(t->rings[i]);
    free(t);
}

/* --- rings --------------------------------------------------------------------------------------
 */

static void forget(values v)
{
    for (size_t i = 0; i < TIMELINE_STEPS; i++)
        v[i] = NAN;
}

static struct ring *ring_of(struct timeline *t, enum timeline_span span)
{
    struct ring *r = t->rings[span];
    if (r)
        return r;
    r = t->rings[span] = mem_zalloc(sizeof *r);
    r->newest = r->sampled = UNKNOWN;
    forget(r->tokens);
    forget(r->waiting);
    forget(r->running);
    return r;
}

static values *of_device(values **v)
{
    if (!*v) {
        *v = mem_zalloc(sizeof **v);
        forget(**v);
    }
    return *v;
}

static void forget_step(struct ring *r, uint64_t step)
{
    const size_t i = step % TIMELINE_STEPS;
    r->tokens[i] = r->waiting[i] = r->running[i] = NAN;
    for (size_t d = 0; d < MEMORY_DEVICES_MAX; d++) {
        if (r->engines[d])
            (*r->engines[d])[i] = NAN;
        if (r->others[d])
            (*r->others[d])[i] = NAN;
    }
}

/* From now on `step` is the newest; those between are unknown. */
static void advance(struct ring *r, uint64_t step)
{
    if (r->newest != UNKNOWN && step <= r->newest)
        return;
    uint64_t first = r->newest == UNKNOWN || step - r->newest > TIMELINE_STEPS
                         ? step - (step < TIMELINE_STEPS ? step : TIMELINE_STEPS - 1)
                         : r->newest + 1;
    for (uint64_t s = first; s <= step; s++)
        forget_step(r, s);
    r->newest = step;
}

/* The mean of the samples, of which `n` came before. */
static void average(float *value, double sample, unsigned n)
{
    *value = (float)(n ? ((double)*value * n + sample) / (n + 1) : sample);
}

static void at_least(float *value, double sample)
{
    if (isnan(*value) || *value < sample)
        *value = (float)sample;
}

static void put(struct ring *r, uint64_t step, const struct timeline_sample *s, unsigned before)
{
    const size_t i = step % TIMELINE_STEPS;
    for (size_t d = 0; d < s->devices && d < MEMORY_DEVICES_MAX; d++) {
        average(&(*of_device(&r->engines[d]))[i], s->engines[d], before);
        average(&(*of_device(&r->others[d]))[i], s->others[d], before);
    }
    at_least(&r->waiting[i], s->waiting);
    at_least(&r->running[i], s->running);
    at_least(&r->tokens[i], 0);
}

/* Samples come about once a step: one that just missed its step by the clock's jitter counts for it, too. */
static void sample_ring(struct ring *r, uint64_t step, const struct timeline_sample *s)
{
    advance(r, step);
    if (r->sampled != UNKNOWN && step == r->sampled + 2)
        put(r, step - 1, s, 0);
    r->samples = step == r->sampled ? r->samples : 0;
    put(r, step, s, r->samples++);
    r->sampled = step;
}

void timeline_sample(struct timeline *t, uint64_t now, const struct timeline_sample *sample)
{
    for (unsigned i = 0; i < SPANS; i++)
        sample_ring(ring_of(t, (enum timeline_span)i), now / steps_ms[i], sample);
}

static void add_to_ring(struct ring *r, uint64_t step_ms, uint64_t from, uint64_t to, double n)
{
    const uint64_t last = to / step_ms;
    uint64_t first = from / step_ms;
    if (first + TIMELINE_STEPS <= last)
        first = last - TIMELINE_STEPS + 1;
    advance(r, last);
    for (uint64_t s = first; s <= last; s++) {
        uint64_t begin = s * step_ms > from ? s * step_ms : from;
        uint64_t end = (s + 1) * step_ms < to ? (s + 1) * step_ms : to;
        double part = to > from ? (double)(end - begin) / (double)(to - from) : 1;
        float *value = &r->tokens[s % TIMELINE_STEPS];
        *value = (float)((isnan(*value) ? 0 : *value) + n * part);
    }
}

void timeline_add_tokens(struct timeline *t, uint64_t from, uint64_t to, double n)
{
    for (unsigned i = 0; i < SPANS && n > 0 && from <= to; i++)
        add_to_ring(ring_of(t, (enum timeline_span)i), steps_ms[i], from, to, n);
}

/* --- marks --------------------------------------------------------------------------------------
 */

void timeline_mark(struct timeline *t, double at, const char *model, const char *event,
                   const char *cause)
{
    struct timeline_mark *m = &t->marks[t->n_marks++ % TIMELINE_MARKS];
    char text[CAUSE_MAX];
    free(m->model);
    free(m->cause);
    if (cause)
        text_copy(text, sizeof text, cause, strcspn(cause, "\n"));
    *m = (struct timeline_mark){.at = at,
                                .model = mem_strdup(model),
                                .event = event,
                                .cause = cause ? mem_strdup(text) : NULL};
}

const struct timeline_mark *timeline_mark_at(const struct timeline *t, size_t index)
{
    return index < t->n_marks && index < TIMELINE_MARKS
               ? &t->marks[(t->n_marks - 1 - index) % TIMELINE_MARKS]
               : NULL;
}

/* --- reading ------------------------------------------------------------------------------------
 */

uint64_t timeline_step(enum timeline_span span)
{
    return steps_ms[span];
}

/* Whether the ring has that step. */
static bool is_kept(const struct ring *r, uint64_t step)
{
    return r && r->newest != UNKNOWN && step <= r->newest && r->newest - step < TIMELINE_STEPS;
}

static const values *series_of(const struct ring *r, enum timeline_series series, size_t device)
{
    switch (series) {
    case TIMELINE_ENGINES:
        return r->engines[device];
    case TIMELINE_OTHERS:
        return r->others[device];
    case TIMELINE_TOKENS:
        return &r->tokens;
    case TIMELINE_WAITING:
        return &r->waiting;
    case TIMELINE_RUNNING:
        return &r->running;
    }
    return NULL;
}

/* How long the step has lasted so far, in seconds; a second at least, so that one that has just begun shows no peak. */
static double lasted(uint64_t step_ms, uint64_t step, uint64_t now)
{
    uint64_t begin = step * step_ms, end = begin + step_ms < now ? begin + step_ms : now;
    return fmax((double)(end - begin) / 1000, 1);
}

double timeline_value(const struct timeline *t, enum timeline_span span,
                      enum timeline_series series, size_t device, uint64_t step, uint64_t now)
{
    const struct ring *r = t->rings[span];
    const values *v = is_kept(r, step) ? series_of(r, series, device) : NULL;
    if (!v)
        return NAN;
    double value = (*v)[step % TIMELINE_STEPS];
    return series == TIMELINE_TOKENS ? value / lasted(steps_ms[span], step, now) : value;
}

uint64_t timeline_first(const struct timeline *t, enum timeline_span span, uint64_t now)
{
    const struct ring *r = t->rings[span];
    const uint64_t last = now / steps_ms[span];
    uint64_t step = last < TIMELINE_STEPS ? 0 : last - TIMELINE_STEPS + 1;
    while (step < last && (!is_kept(r, step) || isnan(r->tokens[step % TIMELINE_STEPS])))
        step++;
    return step;
}
