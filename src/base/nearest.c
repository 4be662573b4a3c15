/* SPDX-License-Identifier: MIT */
#include "base/nearest.h"

#include <string.h>

/* Names longer than this are never near: it bounds the table on the stack. */
#define MAX_NAME 128

void nearest_init(struct nearest *n, const char *wanted)
{
    size_t len = strlen(wanted);
    /* More than a third of the letters wrong is another word, not a slip. */
    *n = (struct nearest){.wanted = wanted, .best_edits = len / 3 + 2};
}

/* Levenshtein distance, one row at a time. */
static size_t edits(const char *a, size_t la, const char *b, size_t lb)
{
    size_t row[MAX_NAME + 1];
    for (size_t j = 0; j <= lb; j++)
        row[j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            size_t least = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            diagonal = row[j];
            row[j] = change < least ? change : least;
        }
    }
    return row[lb];
}

void nearest_consider(struct nearest *n, const char *candidate)
{
    size_t la = strlen(n->wanted), lb = strlen(candidate);
    if (la > MAX_NAME || lb > MAX_NAME)
        return;
    size_t d = edits(n->wanted, la, candidate, lb);
    if (d < n->best_edits) {
        n->best_edits = d;
        n->best = candidate;
    }
}
