/* SPDX-License-Identifier: MIT */
#include "server/cache_probe.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define READINGS_MAX 2 /* at once: the pool has other things to do */
#define HANGS_MS 2000  /* of the readings in flight, until nobody waits for their end */

/* Outlives its probe, when that is finished while the pool reads. */
struct cache_reading {
    struct cache_probe *probe; /* NULL: nobody wants the result any more */
    uv_work_t work;
    cache_reader *reader;
    void (*done)(double share, void *ctx);
    void *ctx;
    double share;
    TAILQ_ENTRY(cache_reading) link; /* in `waiting` or `in_flight` */
    bool begun;
    uint64_t begun_at; /* uv_now(), ms */
    char path[];
};
TAILQ_HEAD(readings, cache_reading);

/* Of the process, as the pool is; used on the loop alone. Oldest first. */
static struct readings waiting = TAILQ_HEAD_INITIALIZER(waiting);
static struct readings in_flight = TAILQ_HEAD_INITIALIZER(in_flight);
static unsigned n_in_flight;

static void begin_next(uv_loop_t *loop);

static void read_share(uv_work_t *work)
{
    struct cache_reading *r = work->data;
    r->share = r->reader(r->path);
}

static void on_read(uv_work_t *work, int status)
{
    struct cache_reading *r = work->data;
    (void)status; /* nobody cancels it */
    TAILQ_REMOVE(&in_flight, r, link);
    n_in_flight--;
    begin_next(work->loop);
    if (r->probe) {
        r->probe->reading = NULL;
        r->probe->known = true;
        r->done(r->share, r->ctx);
    }
    free(r);
}

static void begin(struct cache_reading *r, uv_loop_t *loop)
{
    TAILQ_REMOVE(&waiting, r, link);
    TAILQ_INSERT_TAIL(&in_flight, r, link);
    n_in_flight++;
    r->begun = true;
    r->begun_at = uv_now(loop);
    uv_queue_work(loop, &r->work, read_share, on_read);
}

static void begin_next(uv_loop_t *loop)
{
    struct cache_reading *r;
    while (n_in_flight < READINGS_MAX && (r = TAILQ_FIRST(&waiting)))
        begin(r, loop);
}

/* A new reading would not have its turn soon. */
static bool are_hanging(const uv_loop_t *loop)
{
    const struct cache_reading *last = TAILQ_LAST(&in_flight, readings);
    return n_in_flight == READINGS_MAX && uv_now(loop) - last->begun_at >= HANGS_MS;
}

bool cache_probe_start(struct cache_probe *p, uv_loop_t *loop, const char *path,
                       cache_reader *reader, void (*done)(double share, void *ctx), void *ctx)
{
    bool hang = are_hanging(loop);
    if (p->reading && (p->reading->begun || !hang))
        return true;
    cache_probe_finish(p);
    if (hang)
        return false;
    size_t size = strlen(path) + 1;
    struct cache_reading *r = malloc(sizeof *r + size);
    if (!r)
        return false;
    *r = (struct cache_reading){.probe = p, .reader = reader, .done = done, .ctx = ctx};
    memcpy(r->path, path, size);
    r->work.data = r;
    p->asked_at = uv_now(loop);
    p->reading = r;
    TAILQ_INSERT_TAIL(&waiting, r, link);
    begin_next(loop);
    return true;
}

void cache_probe_finish(struct cache_probe *p)
{
    struct cache_reading *r = p->reading;
    p->reading = NULL;
    if (!r)
        return;
    r->probe = NULL;
    if (r->begun)
        return;
    TAILQ_REMOVE(&waiting, r, link);
    free(r);
}
