/* SPDX-License-Identifier: MIT */
#include "base/nearest.h"

#include <limits.h>
#include <string.h>

/* Of all candidates together, how many letters are looked at: some 2 ms. The loop serves nobody else
 * meanwhile, and a server may have any number of models. */
#define LETTERS_MAX ((size_t)256 * 1024)

/* The dashes before an option make no two of them alike. */
static const char *letters(const char *name)
{
    return name + strspn(name, "-");
}

void nearest_init(struct nearest *n, const char *wanted)
{
    const char *a = letters(wanted);
    size_t len = strnlen(a, NEAREST_NAME_MAX + 1);
    /* More than a third of the letters wrong is another word, not a slip. */
    *n = (struct nearest){
        .wanted = wanted, .best_edits = (len + 1) / 3 + 1, .len = len, .letters_left = LETTERS_MAX};
    if (len > NEAREST_NAME_MAX)
        n->letters_left = 0;
    for (size_t i = 0; n->letters_left && i < len; i++)
        n->places[(unsigned char)a[i]] |= (nearest_bits)1 << i;
}

/*
 * Letters put in, left out, changed, or in the other's place (optimal string alignment), if they are
 * fewer than `limit`; else any number from `limit` on.
 *
 * Bit-parallel (Hyyrö 2003, "A bit-vector algorithm for computing Levenshtein and Damerau edit
 * distances"): bit i of a vector belongs to row i of the table of distances, and each letter of `b`
 * is a column, of which only the differences to the row above (`up`, `down`) are kept.
 */
static size_t edits(struct nearest *n, const char *b, size_t lb, size_t limit)
{
    nearest_bits up = ~(nearest_bits)0, down = 0, diagonal = 0, matches_before = 0;
    nearest_bits last = (nearest_bits)1 << (n->len - 1);
    size_t score = n->len;
    for (size_t i = 0; i < lb; i++) {
        nearest_bits matches = n->places[(unsigned char)b[i]];
        nearest_bits swapped = ((~diagonal & matches) << 1) & matches_before;
        diagonal = (((matches & up) + up) ^ up) | matches | down | swapped;
        nearest_bits plus = down | ~(diagonal | up), minus = up & diagonal;
        score += (plus & last) != 0;
        score -= (minus & last) != 0;
        n->letters_left--;
        if (score >= limit + (lb - i - 1)) /* each letter to come can mend one at most */
            return limit;
        plus = plus << 1 | 1;
        up = minus << 1 | ~(diagonal | plus);
        down = plus & diagonal;
        matches_before = matches;
    }
    return score;
}

void nearest_consider(struct nearest *n, const char *candidate)
{
    const char *b = letters(candidate);
    size_t lb = strnlen(b, NEAREST_NAME_MAX + 1);
    size_t longer = lb > n->len ? lb - n->len : n->len - lb;
    if (!n->len || lb > n->letters_left || lb > NEAREST_NAME_MAX || longer >= n->best_edits)
        return;
    size_t d = edits(n, b, lb, n->best_edits);
    if (d < n->best_edits) {
        n->best_edits = d;
        n->best = candidate;
    }
}
