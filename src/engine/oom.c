/* SPDX-License-Identifier: MIT */
#include "engine/oom.h"

#include <inttypes.h>
#include <stdio.h>

uint64_t oom_kills(void)
{
    char line[128];
    uint64_t n = 0;
    FILE *f = fopen("/proc/vmstat", "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "oom_kill %" SCNu64, &n) == 1)
            break;
    if (f)
        fclose(f);
    return n;
}
