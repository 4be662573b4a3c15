/* SPDX-License-Identifier: MIT */
#include "cli/terminal/format_time.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/duration.h"
#include "base/memory.h"
#include "cli/terminal/format.h"

/* The end of the year 9999: strftime()'s buffers hold it, and a time_t does. */
#define LAST_TIME 253402300799.0

bool format_local_time(double at, struct tm *out)
{
    bool is_time = at > -LAST_TIME && at < LAST_TIME;
    time_t t = is_time ? (time_t)at : 0;
    return is_time && localtime_r(&t, out);
}

char *format_time(double at, char *out, size_t size)
{
    struct tm then, today;
    if (!format_local_time(at, &then) || !format_local_time((double)time(NULL), &today)) {
        snprintf(out, size, "?");
        return out;
    }
    bool same = then.tm_year == today.tm_year && then.tm_yday == today.tm_yday;
    strftime(out, size, same ? "%T" : "%F %T", &then);
    return out;
}

char *format_log_line(const char *line)
{
    struct tm utc = {0};
    char when[FORMAT_SIZE];
    const char *rest = strptime(line, "%Y-%m-%dT%H:%M:%S", &utc);
    size_t fraction = rest && *rest == '.' ? 1 + strspn(rest + 1, "0123456789") : 0;
    if (!fraction || strncmp(rest + fraction, "Z ", 2) != 0)
        return mem_strdup(line);
    format_time((double)timegm(&utc), when, sizeof when);
    return mem_printf("%s%.*s%s", when, (int)fraction, rest, rest + fraction + 1);
}

char *format_ago(double at, char *out, size_t size)
{
    char text[FORMAT_SIZE];
    double age = clock_unix() - at;
    if (at <= 0)
        *out = '\0';
    else if (age < 1) /* or the clocks differ */
        snprintf(out, size, "now");
    else
        snprintf(out, size, "%s ago", duration_format((uint64_t)age * 1000, text, sizeof text));
    return out;
}
