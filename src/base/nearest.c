/* SPDX-License-Identifier: MIT */
#include "base/nearest.h"

#include <string.h>

/* Names longer than this are never near: it bounds the table on the stack. */
#define MAX_NAME 128

/* The dashes before an option make no two of them alike. */
static const char *letters(const char *name)
{
    return name + strspn(name, "-");
}

void nearest_init(struct nearest *n, const char *wanted)
{
    /* More than a third of the letters wrong is another word, not a slip. */
    *n = (struct nearest){.wanted = wanted, .best_edits = (strlen(letters(wanted)) + 1) / 3 + 1};
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Letters put in, left out, changed, or in the other's place (optimal string alignment), row by row:
 * `row[i]` is for the first i letters of `a`. */
static size_t edits(const char *a, size_t la, const char *b, size_t lb)
{
    size_t rows[3][MAX_NAME + 1];
    for (size_t i = 0; i <= la; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            row[j] = i ? least(row[j - 1], above[j]) + 1 : j;
            if (i)
                row[j] = least(row[j], above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
    }
    return rows[la % 3][lb];
}

void nearest_consider(struct nearest *n, const char *candidate)
{
    const char *a = letters(n->wanted), *b = letters(candidate);
    size_t la = strlen(a), lb = strlen(b);
    if (la > MAX_NAME || lb > MAX_NAME)
        return;
    size_t d = edits(a, la, b, lb);
    if (d < n->best_edits) {
        n->best_edits = d;
        n->best = candidate;
    }
}
