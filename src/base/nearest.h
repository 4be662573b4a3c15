/* SPDX-License-Identifier: MIT */
/* "Did you mean …": the candidate with the fewest slips of the pen from what was written. */
#ifndef HOSTLER_BASE_NEAREST_H
#define HOSTLER_BASE_NEAREST_H

#include <stddef.h>

struct nearest {
    const char *wanted;
    const char *best; /* borrowed from a candidate; NULL when none is near */
    size_t best_edits;
};

void nearest_init(struct nearest *n, const char *wanted);
/* `candidate` must outlive `n`. */
void nearest_consider(struct nearest *n, const char *candidate);

#endif
