/* SPDX-License-Identifier: MIT */
/*
 * Memory by device, and the part of it that engines may use. At the start devices are `host`, then `gpu0`, `gpu1`, …
 * in NVML's numbering (nvml.h; `gpu0.0`, `gpu0.1`, … are the MIG instances of a card), then cards of other
 * vendors (drm.h), numbered on in the order of their PCI addresses. Cards that come later follow
 * (device_table.h): they are looked for when a reading follows memory_rest(), and while a device does not answer.
 *
 * Readings block while the kernel or a driver does not answer. The daemon reads in its thread pool only
 * (server/sampler), one reading at a time: nothing here is locked.
 */
#ifndef HOSTLER_ENGINE_MEMORY_H
#define HOSTLER_ENGINE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "engine/device_table.h"

struct memory_device {
    char name[16];      /* `host`, `gpu0`, `gpu0.1`, … */
    uint64_t total;     /* 0: the device does not report it now */
    uint64_t available; /* host: MemAvailable; GPU: free memory as its driver reports it */
    /* Of a card; `total` is what it had, `available` is 0: */
    bool silent; /* it does not answer now */
    bool gone;   /* there is no such card now */
};

struct memory_figures {
    struct memory_device device[MEMORY_DEVICES_MAX];
    size_t n;    /* at least 1: device[0] is the host. Never less than in an earlier reading */
    bool silent; /* a card does not answer: what processes hold there is not known */
    bool
        complete; /* every card reports its memory. Otherwise engines may hold some that no figure shows */
    uint64_t version;       /* of `cards` and their devices: another one when these are others */
    struct card_list cards; /* whose memory it is, and those that report none */
};

/* What one process holds, index for index with memory_figures.device. */
struct memory_use {
    uint64_t bytes[MEMORY_DEVICES_MAX];
    size_t n;
};

/* Loads NVML if it is installed, finds cards and control groups. Call it once, before the others;
 * memory_finish() undoes it. */
void memory_init(void);
/* The same with /proc and /sys taken from a folder (tests); `root` stays the caller's. */
void memory_init_at(const char *root);
void memory_finish(void);
/* Lets go of the cards until the next reading, so that they may sleep. That one looks for new cards. */
void memory_rest(void);

/* Where a control group limits the host's memory, the host's figures are the group's (cgroup.h). */
void memory_read(struct memory_figures *out);
/*
 * Host: the memory that becomes available when the process ends: its resident pages without a file
 * behind them (/proc/PID/status), and those with a file behind them that it has locked (mlock), each
 * divided by the processes that map it. Other file pages stay in the page cache and count as available
 * already. Not Pss of smaps_rollup, for which the kernel walks every page: some 10 ms a GiB.
 *
 * GPU: what NVML lists for the pid; in a container NVML may list pids of the host only, which gives 0.
 * Other vendors: fdinfo.
 *
 * Zeroes when there is no such process.
 */
void memory_of_process(pid_t pid, struct memory_use *out);
/* One engine, by its leader, which this process started, and its control group (subgroup.h; 0: none). */
struct memory_engine {
    pid_t leader;
    unsigned subgroup;
};
/* What the families (family.h) of `n` engines hold. On the host that is what the kernel counts for an engine's control
 * group, its own memory for the processes included, and locked pages of files; for processes that are in no such group
 * the sum of memory_of_process(), where pages that they share by fork() count for each. Goes over /proc once. */
void memory_of_engines(const struct memory_engine *engines, size_t n, struct memory_use *out);
/* Writes the pids that NVML lists on any GPU, each once, at most `max`; returns how many. */
size_t memory_gpu_processes(pid_t *out, size_t max);

/* How many processes the kernel has killed for lack of memory since it booted (/proc/vmstat); 0 where it
 * does not report that. */
uint64_t memory_oom_kills(void);
/* For how long all tasks of this process's group (v2), or else of the machine, have waited for memory at the same time,
 * in µs since the beginning (the kernel's pressure stall information: `full`); 0 where it does not report that. */
uint64_t memory_stalled(void);
/* A descriptor that poll() reports (POLLPRI), at most once in 2 s, when some tasks have waited for memory for 150 ms of the
 * last 2 s: of the machine, or else of this process's group (v2). The caller closes it. Negative: the kernel has no such
 * triggers, or none for this user (before Linux 6.5). */
int memory_pressure_open(void);
/* memory.events of this process's group (v2), which changes when a limit is reached; NULL: there is none. Valid until
 * memory_finish(). */
const char *memory_events_file(void);

/* --- budgets */

/* The part that is left to other programs where no limit is given: 5 % of the host and at least 512 MiB, 2 %
 * of a GPU and at least 256 MiB; but never more than an eighth, which counts in small machines and control
 * groups. */
uint64_t memory_margin(const struct memory_device *d);
/* What engines may use when no other program uses memory: `limit`, at most the total; total - margin when
 * `limit` is 0. */
uint64_t memory_ceiling(const struct memory_device *d, uint64_t limit, uint64_t margin);
/* What they may use now, including the `held` bytes that running engines use: available + held, less the
 * margin when `limit` is 0; at most the ceiling. */
uint64_t memory_capacity(const struct memory_device *d, uint64_t held, uint64_t limit,
                         uint64_t margin);

/* The limits of --memory. */
struct memory_limits {
    struct memory_limit {
        char name[16]; /* of the device, which may not exist */
        uint64_t bytes;
    } limit[MEMORY_DEVICES_MAX];
    size_t n;
};

/* `host=8G,gpu0=20G`; a size without a name is the host's. 0, or a negative errno with a text;
 * then `out` is unchanged. */
int memory_limits_parse(const char *text, struct memory_limits *out, struct error *err)
    __attribute__((warn_unused_result));
/* 0 (no limit) for a device that is not named. */
uint64_t memory_limit_of(const struct memory_limits *limits, const char *name);

#endif
