/* SPDX-License-Identifier: MIT */
#include "server/pool_lane.h"

#include <stddef.h>

void pool_lane_init(struct pool_lane *lane, uv_loop_t *loop,
                    void (*on_idle)(struct pool_lane *lane))
{
    *lane = (struct pool_lane){.loop = loop, .on_idle = on_idle};
    TAILQ_INIT(&lane->waiting);
}

static void begin_next(struct pool_lane *lane);

static void run(uv_work_t *work)
{
    struct pool_job *job = work->data;
    job->run(job);
}

/* The next job begins once this one has ended, since it may depend on that. */
static void on_run(uv_work_t *work, int status)
{
    struct pool_job *job = work->data;
    struct pool_lane *lane = job->lane;
    (void)status; /* nobody cancels it */
    job->end(job);
    lane->running = false;
    if (!TAILQ_EMPTY(&lane->waiting))
        begin_next(lane);
    else
        lane->on_idle(lane);
}

static void begin_next(struct pool_lane *lane)
{
    struct pool_job *job = TAILQ_FIRST(&lane->waiting);
    TAILQ_REMOVE(&lane->waiting, job, link);
    lane->running = true;
    lane->begun_at = uv_now(lane->loop);
    if (job->begin)
        job->begin(job);
    uv_queue_work(lane->loop, &job->work, run, on_run);
}

void pool_lane_add(struct pool_lane *lane, struct pool_job *job)
{
    job->lane = lane;
    job->work.data = job;
    TAILQ_INSERT_TAIL(&lane->waiting, job, link);
    if (!lane->running)
        begin_next(lane);
}

uint64_t pool_lane_busy_ms(const struct pool_lane *lane)
{
    return lane->running ? uv_now(lane->loop) - lane->begun_at : 0;
}
