/* SPDX-License-Identifier: MIT */
/*
 * Memory by device, and what of it engines may have. Devices are `host`, then `gpu0`, `gpu1`, … as
 * NVML numbers them, then other vendors' cards (drm.h) in the order of their PCI addresses, counted
 * on. NVML (libnvidia-ml.so.1) is loaded at run time when it is there. HOSTLER_NVML names another
 * library (tests).
 */
#ifndef HOSTLER_ENGINE_MEMORY_H
#define HOSTLER_ENGINE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

#define MEMORY_DEVICES_MAX 17 /* the host and 16 GPUs */

struct memory_device {
    char name[16];      /* `host`, `gpu0`, … */
    uint64_t total;     /* 0: the device does not answer now */
    uint64_t available; /* host: MemAvailable; GPU: free as its driver says */
};

struct memory_figures {
    struct memory_device device[MEMORY_DEVICES_MAX];
    size_t n; /* at least 1: device[0] is the host */
};

/* What one process holds, index for index with memory_figures.device. */
struct memory_use {
    uint64_t bytes[MEMORY_DEVICES_MAX];
    size_t n;
};

/* Loads NVML if there is one, finds cards and control groups. To be called once before the others;
 * memory_finish() undoes it. */
void memory_init(void);
/* The same with /proc and /sys taken from a folder (tests); `root` stays the caller's. */
void memory_init_at(const char *root);
void memory_finish(void);
bool memory_has_gpu(void);
/* Whether there is no card whose memory nobody tells: engines may have theirs there unseen. */
bool memory_sees_all(void);

/* The host's figures are those of its control group where that has a limit (cgroup.h). */
void memory_read(struct memory_figures *out);
/*
 * Host: what would come back if the process ended: its resident pages that no file backs, as
 * /proc/PID/status counts them, and of those that a file backs what it has locked (mlock). Pages
 * mapped from files otherwise stay in the page cache and count as available anyway. Not Pss of
 * smaps_rollup: that walks every page, some 10 ms a GiB, and this runs on the loop.
 *
 * GPU: as NVML lists for that pid. In a container NVML may know the host's pids only: then 0. Other
 * vendors': as fdinfo says.
 *
 * Zeroes for a process that is gone.
 */
void memory_of_process(pid_t pid, struct memory_use *out);
/* The processes that NVML lists on any GPU, each once, at most `max`; how many were written. */
size_t memory_gpu_processes(pid_t *out, size_t max);

/* How many processes the kernel has killed for want of memory since it booted (/proc/vmstat); 0 when
 * it does not say. */
uint64_t memory_oom_kills(void);

/* --- budgets */

/* What is left to everybody else: 5 % of the host and at least 512 MiB, 2 % of a GPU and at least
 * 256 MiB. */
uint64_t memory_margin(const struct memory_device *d);
/* What engines could have if they were alone: total - margin, at most `limit` unless that is 0. */
uint64_t memory_ceiling(const struct memory_device *d, uint64_t limit, uint64_t margin);
/* What they may have now, those that run included: available + `ours`, which these hold, - margin;
 * never more than the ceiling. */
uint64_t memory_capacity(const struct memory_device *d, uint64_t ours, uint64_t limit,
                         uint64_t margin);

/* As --memory gives them. */
struct memory_limits {
    struct memory_limit {
        char name[16]; /* of the device; whether there is one, nobody has looked */
        uint64_t bytes;
    } limit[MEMORY_DEVICES_MAX];
    size_t n;
};

/* `host=8G,gpu0=20G`; a size without a name is the host's. 0 or a negative errno with a text, and
 * then `out` is as it was. */
int memory_limits_parse(const char *text, struct memory_limits *out, struct error *err)
    __attribute__((warn_unused_result));
/* 0, which is no limit, for a device that is not named. */
uint64_t memory_limit_of(const struct memory_limits *limits, const char *name);

#endif
