/* SPDX-License-Identifier: MIT */
#include "server/sampler.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"

/* One reading. The pool's thread uses it until on_read(); it outlives a sampler that is closed while it
 * hangs. */
struct reading {
    struct sampler *sampler;
    const struct sampler_source *source;
    uv_work_t work;
    struct snapshot *snapshot;    /* being filled in; NULL: it only lets go (rest) */
    bool rests_first;             /* lets go before */
    uint64_t began_at;            /* ms */
    struct memory_use *use;       /* scratch for one call of the source */
    struct memory_engine *engine; /* likewise */
    struct reading_process {
        struct memory_engine engine;
        bool ending;
    } process[]; /* index for index with snapshot->process */
};

struct sampler {
    uv_loop_t *loop;
    const struct sampler_source *source;
    const struct sampler_events *events;
    void *ctx;
    struct snapshot *snapshot;
    struct reading *reading; /* in flight; NULL: none */
    uint64_t readings;       /* begun so far, which numbers them */
    uint64_t wanted;         /* the number up to which readings are asked for */
    uint64_t numbers;        /* of processes, given so far */
    bool paced;              /* the timer is armed for a change */
    bool rests;              /* rest() was called since the last reading */
    bool rest_due;           /* the next reading begins with it */
    bool wakes;              /* the reading in flight is the first one after that */
    bool wakes_slowly;       /* so it does not rest any more */
    bool changed;            /* sampler_note_change() since the last reading began */
    bool hangs;              /* the reading in flight has passed its limit */
    bool warned;             /* the log says so; false again after a reading within its limit */
    bool tell_end;           /* and shall say when that reading has ended */
    uv_timer_t timer;        /* with a reading in flight its limit, else the next one or the rest */
    TAILQ_HEAD(, sampler_process) processes;  /* by number */
    TAILQ_HEAD(, sampler_question) questions; /* by reading */
    void (*closed)(bool stuck, void *ctx);    /* set: it is being closed */
};

const struct sampler_source sampler_machine = {.devices = memory_read,
                                               .engines = memory_of_engines,
                                               .oom_kills = memory_oom_kills,
                                               .stalled = memory_stalled,
                                               .rest = memory_rest};

/* --- in the pool --------------------------------------------------------------------------------
 */

static void read_processes(struct reading *r, bool ending)
{
    size_t n = 0, next = 0;
    for (size_t i = 0; i < r->snapshot->n; i++)
        if (r->process[i].ending == ending)
            r->engine[n++] = r->process[i].engine;
    if (n)
        r->source->engines(r->engine, n, r->use);
    for (size_t i = 0; i < r->snapshot->n; i++)
        if (r->process[i].ending == ending)
            r->snapshot->process[i].use = r->use[next++];
}

/*
 * Figures of processes and devices are added up (memory_capacity()), and memory moves from the one
 * to the other between the two calls. So that no byte is counted twice, a process that may grow is
 * read before the devices, and one that only shrinks after them.
 */
static void read_all(struct reading *r)
{
    read_processes(r, false);
    r->source->devices(&r->snapshot->figures);
    read_processes(r, true);
    r->snapshot->oom_kills = r->source->oom_kills();
    r->snapshot->stalled = r->source->stalled();
}

static void on_work(uv_work_t *work)
{
    struct reading *r = work->data;
    if (!r->snapshot || r->rests_first)
        r->source->rest();
    if (r->snapshot)
        read_all(r);
}

/* --- readings -----------------------------------------------------------------------------------
 */

static void reading_free(struct reading *r)
{
    if (!r)
        return;
    free(r->snapshot);
    free(r->use);
    free(r->engine);
    free(r);
}

static struct reading *reading_create(const struct sampler_source *source, size_t n)
{
    struct reading *r = calloc(1, sizeof *r + n * sizeof *r->process);
    if (!r)
        return NULL;
    r->source = source;
    r->work.data = r;
    r->snapshot = calloc(1, sizeof *r->snapshot + n * sizeof *r->snapshot->process);
    r->use = calloc(n + 1, sizeof *r->use);
    r->engine = calloc(n + 1, sizeof *r->engine);
    if (!r->snapshot || !r->use || !r->engine) {
        reading_free(r);
        return NULL;
    }
    r->snapshot->n = n;
    return r;
}

/* What the sampler's processes are now; NULL for want of memory. */
static struct reading *reading_of(struct sampler *s)
{
    size_t n = 0;
    struct sampler_process *p;
    TAILQ_FOREACH (p, &s->processes, link)
        n += s->events->is_running(p);
    struct reading *r = reading_create(s->source, n);
    if (!r)
        return NULL;
    n = 0;
    TAILQ_FOREACH (p, &s->processes, link)
        if (s->events->is_running(p)) {
            r->process[n] = (struct reading_process){.engine = p->engine, .ending = p->ending};
            r->snapshot->process[n++].number = p->number;
        }
    r->sampler = s;
    r->began_at = r->snapshot->began_at = uv_now(s->loop);
    r->rests_first = s->rest_due && s->source->rest;
    return r;
}

static void on_read(uv_work_t *work, int status);
static void on_rested(uv_work_t *work, int status);
static void on_limit(uv_timer_t *timer);

/* With none in flight. False when it cannot begin, for want of memory. */
static bool begin(struct sampler *s)
{
    struct reading *r = reading_of(s);
    if (!r || uv_queue_work(s->loop, &r->work, on_work, on_read)) {
        reading_free(r);
        return false;
    }
    s->reading = r;
    s->readings++;
    s->wakes = s->rests || r->rests_first;
    s->changed = s->rests = s->rest_due = false;
    uv_timer_start(&s->timer, on_limit, s->wakes ? SAMPLER_WAKE_LIMIT_MS : SAMPLER_LIMIT_MS, 0);
    return true;
}

/* Those that reading number `last` answers. Who asks again meanwhile waits for the next turn. */
static void answer(struct sampler *s, uint64_t last)
{
    size_t n = 0;
    struct sampler_question *q;
    TAILQ_FOREACH (q, &s->questions, link)
        n += q->reading <= last;
    while (n-- && (q = TAILQ_FIRST(&s->questions)) && q->reading <= last) {
        sampler_cancel(s, q);
        q->answered(q);
    }
}

/* When memory is short, those who ask get the last snapshot. */
static void on_turn(uv_timer_t *timer)
{
    struct sampler *s = timer->data;
    s->paced = false;
    if (begin(s))
        return;
    s->wanted = s->readings;
    s->changed = false;
    answer(s, s->readings + 1);
}

/* Rests as if it was a reading, since the source is never asked by two threads at once. */
static void on_rest(uv_timer_t *timer)
{
    struct sampler *s = timer->data;
    struct reading *r = TAILQ_EMPTY(&s->processes) ? calloc(1, sizeof *r) : NULL;
    if (!r)
        return;
    *r = (struct reading){
        .sampler = s, .source = s->source, .work.data = r, .began_at = uv_now(s->loop)};
    if (uv_queue_work(s->loop, &r->work, on_work, on_rested)) {
        reading_free(r);
        return;
    }
    s->reading = r;
    s->rests = true;
    uv_timer_start(&s->timer, on_limit, SAMPLER_LIMIT_MS, 0);
}

static bool may_rest(const struct sampler *s)
{
    return !s->changed && !s->rests && !s->wakes_slowly && TAILQ_EMPTY(&s->processes) &&
           s->source->rest;
}

/* Arms the timer for the next reading, if there is to be one. One that is asked for begins in the loop's
 * next turn, so that it answers all who ask in this one. */
static void schedule(struct sampler *s)
{
    if (s->reading || s->closed)
        return;
    if (s->wanted > s->readings)
        uv_timer_start(&s->timer, on_turn, 0, 0);
    else if (s->changed && !s->paced) {
        s->paced = true;
        uv_timer_start(&s->timer, on_turn, SAMPLER_PACE_MS, 0);
    } else if (may_rest(s))
        uv_timer_start(&s->timer, on_rest, SAMPLER_REST_MS, 0);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct sampler *s = handle->data;
    bool stuck = s->reading;
    void (*closed)(bool, void *) = s->closed;
    void *ctx = s->ctx;
    if (s->reading)
        s->reading->sampler = NULL;
    free(s->snapshot);
    free(s);
    closed(stuck, ctx);
}

/* --- results ------------------------------------------------------------------------------------
 */

/* Leaves out the processes that have ended since the reading began. */
static void drop_ended(struct sampler *s, struct snapshot *snapshot)
{
    size_t kept = 0;
    const struct sampler_process *p = TAILQ_FIRST(&s->processes);
    for (size_t i = 0; i < snapshot->n; i++) {
        while (p && p->number < snapshot->process[i].number)
            p = TAILQ_NEXT(p, link);
        if (p && p->number == snapshot->process[i].number && s->events->is_running(p))
            snapshot->process[kept++] = snapshot->process[i];
    }
    snapshot->n = kept;
}

static void add_up(struct snapshot *s)
{
    for (size_t i = 0; i < s->n; i++)
        for (size_t d = 0; d < s->process[i].use.n; d++)
            s->held[d] += s->process[i].use.bytes[d];
}

static void publish(struct sampler *s, struct snapshot *snapshot)
{
    drop_ended(s, snapshot);
    add_up(snapshot);
    snapshot->version = s->snapshot->version + 1;
    free(s->snapshot);
    s->snapshot = snapshot;
    s->events->published(s->ctx);
}

static void note_end_of_reading(struct sampler *s)
{
    uint64_t took = uv_now(s->loop) - s->reading->began_at;
    if (s->tell_end)
        log_info("the memory figures have come after %llu ms", (unsigned long long)took);
    if (s->wakes && took > SAMPLER_SLOW_MS)
        s->wakes_slowly = true;
    if (!s->hangs)
        s->warned = false;
    s->hangs = s->tell_end = false;
}

static void close_timer(struct sampler *s)
{
    if (!uv_is_closing((uv_handle_t *)&s->timer))
        uv_close((uv_handle_t *)&s->timer, on_timer_closed);
}

static void on_read(uv_work_t *work, int status)
{
    struct reading *r = work->data;
    struct sampler *s = r->sampler;
    (void)status; /* nobody cancels it */
    if (!s) {
        reading_free(r);
        return;
    }
    uv_timer_stop(&s->timer);
    note_end_of_reading(s);
    s->reading = NULL;
    struct snapshot *snapshot = r->snapshot;
    r->snapshot = NULL;
    reading_free(r);
    if (s->closed) {
        free(snapshot);
        close_timer(s);
        return;
    }
    uint64_t number = s->readings; /* does not answer what published() asks */
    publish(s, snapshot);
    answer(s, number);
    schedule(s);
}

static void on_rested(uv_work_t *work, int status)
{
    struct reading *r = work->data;
    struct sampler *s = r->sampler;
    (void)status; /* nobody cancels it */
    if (s && s->tell_end)
        log_info("the drivers have let go of the cards after %llu ms",
                 (unsigned long long)(uv_now(s->loop) - r->began_at));
    reading_free(r);
    if (!s)
        return;
    uv_timer_stop(&s->timer);
    s->hangs = s->tell_end = false;
    s->reading = NULL;
    if (s->closed)
        close_timer(s);
    else
        schedule(s);
}

static void warn_of_hang(const struct sampler *s)
{
    if (!s->reading->snapshot)
        log_warn("a driver has not let go of the cards, so that they may sleep, within %d s: until "
                 "it does, decisions are made with the last memory figures",
                 SAMPLER_LIMIT_MS / 1000);
    else
        log_warn(
            "the kernel or a driver has not told the memory figures within %d s: decisions are "
            "made with the last ones, until it does",
            (s->wakes ? SAMPLER_WAKE_LIMIT_MS : SAMPLER_LIMIT_MS) / 1000);
}

static void on_limit(uv_timer_t *timer)
{
    struct sampler *s = timer->data;
    s->hangs = true;
    if (s->closed) {
        close_timer(s);
        return;
    }
    s->tell_end = !s->warned;
    if (!s->warned)
        warn_of_hang(s);
    s->warned = true;
    answer(s, UINT64_MAX);
}

/* --- the sampler --------------------------------------------------------------------------------
 */

struct snapshot *sampler_read_first(const struct sampler_source *source)
{
    struct reading *r;
    while (!(r = reading_create(source, 0)))
        mem_use_reserve();
    read_all(r);
    struct snapshot *first = r->snapshot;
    first->version = 1;
    r->snapshot = NULL;
    reading_free(r);
    return first;
}

struct sampler *sampler_create(uv_loop_t *loop, const struct sampler_source *source,
                               struct snapshot *first, const struct sampler_events *events,
                               void *ctx)
{
    struct sampler *s = mem_zalloc(sizeof *s);
    s->loop = loop;
    s->source = source;
    s->events = events;
    s->ctx = ctx;
    s->snapshot = first;
    first->began_at = uv_now(loop);
    TAILQ_INIT(&s->processes);
    TAILQ_INIT(&s->questions);
    uv_timer_init(loop, &s->timer);
    s->timer.data = s;
    schedule(s);
    return s;
}

void sampler_close(struct sampler *s, void (*closed)(bool stuck, void *ctx))
{
    struct sampler_question *q;
    while ((q = TAILQ_FIRST(&s->questions)))
        sampler_cancel(s, q);
    s->closed = closed;
    if (!s->reading || s->hangs)
        close_timer(s);
}

const struct snapshot *sampler_snapshot(const struct sampler *s)
{
    return s->snapshot;
}

static bool finds_cards(const struct sampler *s)
{
    return s->rest_due || (s->reading && s->reading->rests_first);
}

bool sampler_is_fresh(const struct sampler *s)
{
    return !finds_cards(s) && uv_now(s->loop) - s->snapshot->began_at < SAMPLER_FRESH_MS;
}

bool sampler_is_current(const struct sampler *s)
{
    return sampler_is_fresh(s) && !s->changed && !s->reading && s->wanted <= s->readings;
}

bool sampler_ask(struct sampler *s, struct sampler_question *q,
                 void (*answered)(struct sampler_question *q))
{
    if (s->hangs || s->closed)
        return false;
    q->answered = answered;
    q->reading = s->wanted = s->readings + 1;
    q->waits = true;
    TAILQ_INSERT_TAIL(&s->questions, q, link);
    schedule(s);
    return true;
}

void sampler_cancel(struct sampler *s, struct sampler_question *q)
{
    if (q->waits)
        TAILQ_REMOVE(&s->questions, q, link);
    q->waits = false;
}

void sampler_refresh(struct sampler *s)
{
    s->wanted = s->readings + 1;
    schedule(s);
}

void sampler_find_cards(struct sampler *s)
{
    s->rest_due = true;
    sampler_refresh(s);
}

void sampler_note_change(struct sampler *s)
{
    if (s->changed)
        return;
    s->changed = true;
    schedule(s);
}

void sampler_watch(struct sampler *s, struct sampler_process *p, const struct memory_engine *engine)
{
    *p = (struct sampler_process){.number = ++s->numbers, .engine = *engine};
    TAILQ_INSERT_TAIL(&s->processes, p, link);
}

void sampler_unwatch(struct sampler *s, struct sampler_process *p)
{
    if (p->number)
        TAILQ_REMOVE(&s->processes, p, link);
    p->number = 0;
    schedule(s);
}
