/* SPDX-License-Identifier: MIT */
/*
 * What requests' bodies that are held may take, in memory and in files, bounded in sum: how much all of
 * them together have, and the share of each. A body's first bytes (BODY_SMALL) have a bound of their own, so that small
 * requests are served while large ones use the budget up; a few of them (BODY_FREE) are not counted, and bounded by the
 * number of connections alone.
 */
#ifndef HOSTLER_HTTP_BODY_BUDGET_H
#define HOSTLER_HTTP_BODY_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#define BODY_FREE ((size_t)4 * 1024)
#define BODY_SMALL ((size_t)64 * 1024)
#define BODY_SMALL_SUM_MAX ((size_t)256 * 1024 * 1024)
/* Bodies that may have a file at once: each takes a descriptor. */
#define BODY_FILES_MAX 16u

/* Embedded by whoever outlives the bodies. */
struct body_budget {
    size_t max;         /* bytes */
    size_t held;        /* at most `max`, without */
    size_t small;       /* what bodies hold up to BODY_SMALL each: at most BODY_SMALL_SUM_MAX */
    const char *folder; /* for files; NULL: bodies stay in memory */
    uv_loop_t *loop;    /* with a folder */
    unsigned files;     /* at most BODY_FILES_MAX */
};

/* Of one body. Zeroed, or without a budget: nothing is counted. */
struct body_share {
    struct body_budget *budget;
    size_t held, small; /* as there */
    bool has_file;
};

/* `len`: bytes of the body that are held from now on. 0, or -ENOSPC when all that is held would be more
 * than the budget: then nothing has changed. */
int body_share_grow(struct body_share *s, size_t len) __attribute__((warn_unused_result));
/* Whether the body may have a file from now on; it counts if so. */
bool body_share_take_file(struct body_share *s);
/* None of it is held any more. */
void body_share_release(struct body_share *s);

#endif
