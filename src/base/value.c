/* SPDX-License-Identifier: MIT */
#include "base/value.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/duration.h"

/* Blanks around a number, as llama-server permits them: files of variables have them at a line's end. */
static bool ends(const char *rest)
{
    return !rest[strspn(rest, " \t\r\n")];
}

/* 0, or -ERANGE for a number that is no int, else -EINVAL. */
static int read_int(const char *text, int *out)
{
    char *end;
    errno = 0;
    long n = strtol(text, &end, 10);
    if (end == text || !ends(end))
        return -EINVAL;
    if (errno || n > INT_MAX || n < INT_MIN)
        return -ERANGE;
    *out = (int)n;
    return 0;
}

int value_int(const char *text, int *out, struct error *err)
{
    int rc = read_int(text, out);
    if (rc == -ERANGE)
        return error_set(err, rc, "'%s' is too large", text);
    return rc ? error_set(err, rc, "'%s' is no whole number", text) : 0;
}

int value_count(const char *text, unsigned *out, struct error *err)
{
    int n = 0, rc = read_int(text, &n);
    if (rc == -ERANGE)
        return error_set(err, rc, "'%s' is too large: give at most %d", text, INT_MAX);
    if (rc || n < 0)
        return error_set(err, -EINVAL, "'%s' is no whole number: give 0 or more", text);
    *out = (unsigned)n;
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

/* The power of two that a unit's name stands for; -1 for what is no unit. */
static int unit_shift(const char *unit)
{
    static const char letters[] = "kmgt";
    if (!*unit)
        return 0;
    const char *at = strchr(letters, tolower((unsigned char)*unit));
    bool alone = !unit[1] || strcasecmp(unit + 1, "ib") == 0;
    return at && alone ? 10 * (int)(at - letters + 1) : -1;
}

/* By hand what a fraction needs: strtod() would accept `inf`, `0x1` and locales, and round. */
int value_memory(const char *text, uint64_t *bytes, struct error *err)
{
    char *end;
    double fraction = 0, scale = 1;
    unsigned long long whole = strtoull(text, &end, 10); /* its most, where it is more */
    bool point = *end == '.' && isdigit((unsigned char)end[1]);
    if (point)
        for (end++; isdigit((unsigned char)*end); end++)
            fraction += (*end - '0') * (scale /= 10);
    int shift = unit_shift(end);
    if (!isdigit((unsigned char)*text) || shift < 0 || (point && !shift))
        return error_set(err, -EINVAL, "'%s' is no size: write 512M, 8G, 1.5G, or bytes", text);
    if (whole > (unsigned long long)INT64_MAX >> shift)
        return error_set(err, -ERANGE, "'%s' is too large: give less than 8388608T", text);
    *bytes = (whole << shift) + (uint64_t)(fraction * (double)(1ULL << shift));
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
