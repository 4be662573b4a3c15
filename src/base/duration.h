/* SPDX-License-Identifier: MIT */
/* Durations as people write them: `90`, `90s`, `5m`, `1h30m`, `250ms`, `1.5h`. */
#ifndef HOSTLER_BASE_DURATION_H
#define HOSTLER_BASE_DURATION_H

#include <stddef.h>
#include <stdint.h>

/* Milliseconds into *ms. A bare number is seconds. -EINVAL when it is no duration, -ERANGE when it
 * is longer than 100 years. */
int duration_parse(const char *text, uint64_t *ms) __attribute__((warn_unused_result));
/* `850ms`, `12s`, `5m10s`, `1h30m`, `3d4h`: at most two units. Returns `out`. */
char *duration_format(uint64_t ms, char *out, size_t size);

#endif
