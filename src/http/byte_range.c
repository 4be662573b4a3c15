/* SPDX-License-Identifier: MIT */
#include "http/byte_range.h"

#include <stdbool.h>
#include <string.h>

/* Digits; the greatest number where there are too many. Moves `*at` after them. */
static uint64_t number(const char **at)
{
    uint64_t n = 0;
    for (; **at >= '0' && **at <= '9'; ++*at)
        n = n > (UINT64_MAX - 9) / 10 ? UINT64_MAX - 9 : n * 10 + (uint64_t)(**at - '0');
    return n;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* `N-M`, `N-`, or `-N`: the last N. */
static bool parse_one(struct byte_range *out, const char **at, uint64_t size)
{
    bool suffix = **at == '-';
    if (!suffix && !is_digit(**at))
        return false;
    uint64_t first = suffix ? 0 : number(at);
    if (*(*at)++ != '-')
        return false;
    bool open = !is_digit(**at);
    uint64_t second = open ? 0 : number(at);
    if (suffix) {
        *out = (struct byte_range){second < size ? size - second : 0, size - 1};
        return !open && second && size;
    }
    *out = (struct byte_range){first, open || second >= size ? size - 1 : second};
    return first < size && (open || second >= first);
}

size_t byte_ranges_parse(struct byte_range out[BYTE_RANGES_MAX], const char *field, uint64_t size)
{
    static const char unit[] = "bytes=";
    size_t n = 0;
    if (strncmp(field, unit, sizeof unit - 1) != 0)
        return 0;
    const char *at = field + sizeof unit - 1;
    for (;;) {
        at += strspn(at, " \t");
        if (n == BYTE_RANGES_MAX || !parse_one(&out[n], &at, size))
            return 0;
        n++;
        at += strspn(at, " \t");
        if (!*at)
            return n;
        if (*at++ != ',')
            return 0;
    }
}
