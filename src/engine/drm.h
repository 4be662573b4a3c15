/* SPDX-License-Identifier: MIT */
/*
 * Memory of GPUs as the kernel's DRM drivers report it: a card's figures in sysfs (amdgpu), a process's
 * in /proc/PID/fdinfo (the kernel's gpu/drm-usage-stats). Cards whose driver reports no total in sysfs
 * (Intel, NVIDIA) are not found. Written from the kernel's documentation and tested with folders made
 * after it; not yet run with a real card. Readings may block (memory.h).
 */
#ifndef HOSTLER_ENGINE_DRM_H
#define HOSTLER_ENGINE_DRM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/card.h"

struct drm_gpu {
    char pci[16];  /* 0000:03:00.0 */
    unsigned node; /* of renderD128 the 128 */
};

/* Writes at most `max` cards, in the order of their PCI addresses. `root` as in kernel.h. */
size_t drm_find(const char *root, struct drm_gpu *out, size_t max);
/* Adds all cards but NVIDIA's, in that order, those without figures included; `device` stays 0. */
void drm_add_cards(const char *root, struct card_list *out);
/* Whether every card reports its memory, here or, NVIDIA's, by NVML. */
bool drm_is_complete(const char *root, bool nvidia_by_nvml);
/* False, and 0 in both, when the card reports nothing. */
bool drm_memory(const char *root, const struct drm_gpu *gpu, uint64_t *total, uint64_t *used);
/* Writes the bytes that the process holds on each of the `n` cards to bytes[0 … n-1]. */
void drm_of_process(const char *root, pid_t pid, const struct drm_gpu *gpus, size_t n,
                    uint64_t *bytes);

#endif
