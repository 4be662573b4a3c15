/* SPDX-License-Identifier: MIT */
#include "engine/oom.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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

/* ggml's and the C++ library's words: ggml-cuda.cu, ggml-backend.cpp, std::bad_alloc. */
bool oom_is_told(const char *log)
{
    static const char *const words[] = {"out of memory", "failed to allocate", "unable to allocate",
                                        "cudaMalloc failed", "bad_alloc"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasestr(log, words[i]))
            return true;
    return false;
}
