/* SPDX-License-Identifier: MIT */
#ifndef HOSTLER_ENGINE_OOM_H
#define HOSTLER_ENGINE_OOM_H

#include <stdint.h>

/* How many processes the kernel has killed for want of memory since it booted (`oom_kill` in
 * /proc/vmstat); 0 when it does not say. */
uint64_t oom_kills(void);

#endif
