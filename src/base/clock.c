/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include <time.h>

double clock_unix(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
