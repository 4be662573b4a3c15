/* SPDX-License-Identifier: MIT */
#include "server/cache_probe.h"

#include <stdlib.h>
#include <string.h>

/* Outlives its probe, when that is finished while the pool reads. */
struct cache_reading {
    struct cache_probe *probe; /* NULL: nobody wants the result any more */
    uv_work_t work;
    cache_reader *reader;
    void (*done)(double share, void *ctx);
    void *ctx;
    double share;
    char path[];
};

static void read_share(uv_work_t *work)
{
    struct cache_reading *r = work->data;
    r->share = r->reader(r->path);
}

static void on_read(uv_work_t *work, int status)
{
    struct cache_reading *r = work->data;
    (void)status; /* nobody cancels it */
    if (r->probe) {
        r->probe->reading = NULL;
        r->probe->known = true;
        r->done(r->share, r->ctx);
    }
    free(r);
}

bool cache_probe_start(struct cache_probe *p, uv_loop_t *loop, const char *path,
                       cache_reader *reader, void (*done)(double share, void *ctx), void *ctx)
{
    if (p->reading)
        return true;
    size_t size = strlen(path) + 1;
    struct cache_reading *r = malloc(sizeof *r + size);
    if (!r)
        return false;
    *r = (struct cache_reading){.probe = p, .reader = reader, .done = done, .ctx = ctx};
    memcpy(r->path, path, size);
    r->work.data = r;
    p->asked_at = uv_now(loop);
    p->reading = r;
    uv_queue_work(loop, &r->work, read_share, on_read);
    return true;
}

void cache_probe_finish(struct cache_probe *p)
{
    if (p->reading)
        p->reading->probe = NULL;
    p->reading = NULL;
}
