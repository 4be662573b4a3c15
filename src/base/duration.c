/* SPDX-License-Identifier: MIT */
#include "base/duration.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct unit {
    const char *name;
    uint64_t ms;
} units[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
};

#define MAX_MS (36500ULL * 86400000ULL)

/* Reads digits with an optional fraction by hand: strtod would accept `inf`, `0x1` and locales. */
static const char *number(const char *p, double *value)
{
    const char *start = p;
    double v = 0, scale = 1;
    for (; *p >= '0' && *p <= '9'; p++)
        v = v * 10 + (*p - '0');
    if (p == start)
        return NULL;
    if (*p == '.') {
        const char *fraction = ++p;
        for (; *p >= '0' && *p <= '9'; p++)
            v += (*p - '0') * (scale /= 10);
        if (p == fraction)
            return NULL;
    }
    *value = v;
    return p;
}

static const struct unit *unit_at(const char *p, size_t len)
{
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strlen(units[i].name) == len && memcmp(units[i].name, p, len) == 0)
            return &units[i];
    return NULL;
}

int duration_parse(const char *text, uint64_t *ms)
{
    double total = 0;
    const char *p = text;
    if (!*p)
        return -EINVAL;
    while (*p) {
        double v;
        const char *after = number(p, &v);
        if (!after)
            return -EINVAL;
        size_t len = strcspn(after, "0123456789.");
        const struct unit *u = unit_at(after, len);
        if (!u && !(len == 0 && p == text && !*after))
            return -EINVAL;
        total += v * (double)(u ? u->ms : 1000);
        p = after + len;
    }
    if (total > (double)MAX_MS)
        return -ERANGE;
    *ms = (uint64_t)(total + 0.5);
    return 0;
}

char *duration_format(uint64_t ms, char *out, size_t size)
{
    unsigned long long s = ms / 1000;
    if (ms < 1000)
        snprintf(out, size, "%llums", (unsigned long long)ms);
    else if (s < 60)
        snprintf(out, size, "%llus", s);
    else if (s < 3600)
        snprintf(out, size, s % 60 ? "%llum%llus" : "%llum", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, size, s / 60 % 60 ? "%lluh%llum" : "%lluh", s / 3600, s / 60 % 60);
    else
        snprintf(out, size, s / 3600 % 24 ? "%llud%lluh" : "%llud", s / 86400, s / 3600 % 24);
    return out;
}
