/* SPDX-License-Identifier: MIT */
/*
 * Memory of GPUs by the kernel's DRM drivers: a card's figures from sysfs, which amdgpu has there,
 * and a process's from /proc/PID/fdinfo (the kernel's gpu/drm-usage-stats). Cards whose driver
 * tells no total there (Intel's, NVIDIA's) are not found. Written from the kernel's documents and
 * tested on trees made after them: it has not met a real card yet.
 */
#ifndef HOSTLER_ENGINE_DRM_H
#define HOSTLER_ENGINE_DRM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct drm_gpu {
    char pci[16];  /* 0000:03:00.0 */
    unsigned node; /* of renderD128 the 128 */
};

/* At most `max`, in the order of their PCI addresses. `root` as in kernel.h. */
size_t drm_find(const char *root, struct drm_gpu *out, size_t max);
/* Whether each card tells its memory, here or, NVIDIA's, elsewhere. */
bool drm_tells_all(const char *root, bool nvidia_told_elsewhere);
/* False, and 0 in both, when the card does not answer. */
bool drm_memory(const char *root, const struct drm_gpu *gpu, uint64_t *total, uint64_t *used);
/* What the process holds on each of the `n` cards, into bytes[0 … n-1]. */
void drm_of_process(const char *root, pid_t pid, const struct drm_gpu *gpus, size_t n,
                    uint64_t *bytes);

#endif
