/* SPDX-License-Identifier: MIT */
/*
 * Jobs in libuv's thread pool, one at a time, in the order in which they were added. On the loop alone; a job is
 * embedded in what it needs, and belongs to its lane until `end`.
 */
#ifndef HOSTLER_SERVER_POOL_LANE_H
#define HOSTLER_SERVER_POOL_LANE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

struct pool_job {
    void (*begin)(struct pool_job *job); /* on the loop, when its turn comes; may be NULL */
    void (*run)(struct pool_job *job);   /* in the pool */
    void (*end)(struct pool_job *job);   /* on the loop; frees it */
    struct pool_lane *lane;
    uv_work_t work;
    TAILQ_ENTRY(pool_job) link;
};

struct pool_lane {
    uv_loop_t *loop;
    TAILQ_HEAD(pool_jobs, pool_job) waiting;
    bool running;
    uint64_t begun_at;                       /* uv_now(), ms, of the one that runs */
    void (*on_idle)(struct pool_lane *lane); /* after the last job's end; may take the lane away */
};

void pool_lane_init(struct pool_lane *lane, uv_loop_t *loop,
                    void (*on_idle)(struct pool_lane *lane));
void pool_lane_add(struct pool_lane *lane, struct pool_job *job);
/* How long the running job has been running, ms; 0: there is none. */
uint64_t pool_lane_busy_ms(const struct pool_lane *lane);

#endif
