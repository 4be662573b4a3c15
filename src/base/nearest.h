/* SPDX-License-Identifier: MIT */
/* "Did you mean …": the candidate with the fewest typing errors from what was written. O(letters of all
 * candidates), with a ceiling: after that, candidates are not compared any more. */
#ifndef HOSTLER_BASE_NEAREST_H
#define HOSTLER_BASE_NEAREST_H

#include <stddef.h>

#define NEAREST_NAME_MAX 128 /* letters; longer names are never near */

/* One bit for each letter of a name. */
typedef unsigned __int128 nearest_bits;

struct nearest {
    const char *wanted;
    const char *best; /* borrowed from a candidate; NULL when none is near */
    size_t best_edits;
    size_t len;               /* of `wanted`, without dashes in front */
    size_t letters_left;      /* of candidates, to be compared */
    nearest_bits places[256]; /* where in `wanted` each byte stands */
};

void nearest_init(struct nearest *n, const char *wanted);
/* `candidate` must outlive `n`. */
void nearest_consider(struct nearest *n, const char *candidate);

#endif
