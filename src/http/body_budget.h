/* SPDX-License-Identifier: MIT */
/*
 * Memory for requests' bodies that are held, bounded in sum: how much all of them together may take,
 * and the share of each. A body's first bytes (BODY_FREE) do not count, so that small requests are
 * served while large ones use the budget up; what they come to is bounded by the connections there are.
 */
#ifndef HOSTLER_HTTP_BODY_BUDGET_H
#define HOSTLER_HTTP_BODY_BUDGET_H

#include <stddef.h>

#define BODY_FREE ((size_t)512 * 1024)

/* Embedded by whoever outlives the bodies. */
struct body_budget {
    size_t max;  /* bytes */
    size_t held; /* at most `max` */
};

/* Of one body. Zeroed, or without a budget: nothing is counted. */
struct body_share {
    struct body_budget *budget;
    size_t counted;
};

/* `len`: bytes of the body that are held from now on. 0, or -ENOSPC when all that is held would be more
 * than the budget: then nothing has changed. */
int body_share_grow(struct body_share *s, size_t len) __attribute__((warn_unused_result));
/* None of it is held any more. */
void body_share_release(struct body_share *s);

#endif
