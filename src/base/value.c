/* SPDX-License-Identifier: MIT */
#include "base/value.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <strings.h>

#include "base/duration.h"

int value_count(const char *text, unsigned *out, struct error *err)
{
    char *end;
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || n > UINT_MAX)
        return error_set(err, -EINVAL, "'%s' is no whole number: give 0 or more", text);
    *out = (unsigned)n;
    return 0;
}

int value_int(const char *text, int *out, struct error *err)
{
    char *end;
    errno = 0;
    long n = strtol(text, &end, 10);
    bool begins = *text == '-' || (*text >= '0' && *text <= '9'); /* strtol() passes over blanks */
    if (!begins || end == text || *end || errno || n > INT_MAX || n < INT_MIN)
        return error_set(err, -EINVAL, "'%s' is no whole number", text);
    *out = (int)n;
    return 0;
}

int value_time(const char *text, uint64_t *ms, struct error *err)
{
    int rc = duration_parse(text, ms);
    if (rc == -ERANGE)
        return error_set(err, rc, "'%s' is longer than 100 years", text);
    if (rc)
        return error_set(err, rc, "'%s' is no time: write 90, 90s, 5m or 1h30m", text);
    return 0;
}

int value_truth(const char *text, bool *on, struct error *err)
{
    static const char *const yes[] = {"on", "enabled", "true", "1", "yes"};
    static const char *const no[] = {"off", "disabled", "false", "0", "no"};
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        *on = strcasecmp(text, yes[i]) == 0;
        if (*on || strcasecmp(text, no[i]) == 0)
            return 0;
    }
    return error_set(err, -EINVAL, "'%s' is neither on nor off", text);
}
