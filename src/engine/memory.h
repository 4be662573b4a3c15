/* SPDX-License-Identifier: MIT */
/*
 * Memory by device: `host`, and `gpu0`, `gpu1`, … as NVML numbers them. NVML (libnvidia-ml.so.1) is
 * loaded at run time when it is there. HOSTLER_NVML names another library (tests).
 */
#ifndef HOSTLER_ENGINE_MEMORY_H
#define HOSTLER_ENGINE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MEMORY_DEVICES_MAX 17 /* the host and 16 GPUs */

struct memory_device {
    char name[16]; /* `host`, `gpu0`, … */
    uint64_t total;
    uint64_t available; /* host: MemAvailable; GPU: free as NVML says */
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

/* Loads NVML if there is one. To be called once before the others; memory_finish() undoes it. */
void memory_init(void);
void memory_finish(void);
bool memory_has_gpu(void);

void memory_read(struct memory_figures *out);
/*
 * Host: what would come back if the process ended: its resident pages that no file backs, as
 * /proc/PID/status counts them, and of those that a file backs what it has locked (mlock). Pages
 * mapped from files otherwise stay in the page cache and count as available anyway. Not Pss of
 * smaps_rollup: that walks every page, some 10 ms a GiB, and this runs on the loop.
 *
 * GPU: as NVML lists for that pid. In a container NVML may know the host's pids only: then 0.
 *
 * Zeroes for a process that is gone.
 */
void memory_of_process(pid_t pid, struct memory_use *out);

#endif
