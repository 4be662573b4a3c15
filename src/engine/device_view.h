/* SPDX-License-Identifier: MIT */
/*
 * Which cards an engine sees, and under which numbers. Each runtime numbers the cards that its variables
 * leave visible from 0 (`CUDA1`, `Vulkan0`); those numbers are a view onto the cards of this machine
 * (card.h). Variables come from the engine's environment: its preset's, else the daemon's as far as they
 * are passed on (environment.h).
 *
 *   CUDA    CUDA_VISIBLE_DEVICES, CUDA_DEVICE_ORDER      CUDA C++ Programming Guide, "CUDA Environment Variables";
 *                                                        Multi-Instance GPU User Guide, "CUDA Device Enumeration"
 *   ROCm    ROCR_VISIBLE_DEVICES, then within these HIP_VISIBLE_DEVICES, or else CUDA_VISIBLE_DEVICES
 *                                                        ROCm documentation, "GPU isolation techniques"
 *   Vulkan  GGML_VK_VISIBLE_DEVICES                      ggml
 *   SYCL    ONEAPI_DEVICE_SELECTOR                       oneAPI DPC++, "Environment Variables"
 *
 * Not all of it can be known from outside: CUDA's default order puts the fastest card first, Vulkan's is
 * its loader's. Then there are several possible views, and whoever counts memory must take the most of
 * each device over all of them.
 */
#ifndef HOSTLER_ENGINE_DEVICE_VIEW_H
#define HOSTLER_ENGINE_DEVICE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strv.h"
#include "engine/card.h"

#define VIEW_CARDS_MAX 16 /* llama.cpp's GGML_CUDA_MAX_DEVICES */
#define VIEWS_MAX 18      /* an order for each card, and two more by vendors */

enum view_runtime {
    VIEW_BY_CARDS, /* not known: the runtime whose variables are set, or else that of the cards' vendors */
    VIEW_CUDA,
    VIEW_ROCM,
    VIEW_VULKAN,
    VIEW_SYCL,
};

struct device_view {
    size_t n;
    uint8_t device[VIEW_CARDS_MAX]; /* by the runtime's number: card.device */
    bool integrated
        [VIEW_CARDS_MAX]; /* a part of the processor: not used beside others unless it is named */
};

struct device_views {
    size_t n; /* at least 1: the possible views, each different */
    struct device_view view[VIEWS_MAX];
    const char *undecided; /* why there are several, and how to decide it; NULL */
};

/* `env`: NAME=VALUE of the engine's own (NULL: none); `parent`: the daemon's environment. */
void device_views_find(struct device_views *out, const struct card_list *cards,
                       enum view_runtime runtime, const struct strv *env, char *const *parent);
/* Calls `each` for each of these variables that is set in the engine's environment, in the order of their names. */
void device_view_variables(const struct strv *env, char *const *parent,
                           void (*each)(const char *name, const char *value, void *ctx), void *ctx);
/* Of a device's name like `CUDA0`, `ROCm1`, `Vulkan0`, `SYCL0`; VIEW_BY_CARDS: another name. */
enum view_runtime device_view_runtime(const char *name);

#endif
