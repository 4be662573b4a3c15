/* SPDX-License-Identifier: MIT */
#include "http/body_budget.h"

#include <errno.h>
#include <stdint.h>

/* What of `len` bytes lies between `from` and `to`. */
static size_t part(size_t len, size_t from, size_t to)
{
    return len <= from ? 0 : (len < to ? len : to) - from;
}

int body_share_grow(struct body_share *s, size_t len)
{
    struct body_budget *b = s->budget;
    const size_t small = part(len, BODY_FREE, BODY_SMALL), held = part(len, BODY_SMALL, SIZE_MAX);
    const size_t more_small = small > s->small ? small - s->small : 0;
    const size_t more = held > s->held ? held - s->held : 0;
    if (!b)
        return 0;
    if (more_small > BODY_SMALL_SUM_MAX - b->small || more > b->max - b->held)
        return -ENOSPC;
    b->small += more_small;
    b->held += more;
    s->small += more_small;
    s->held += more;
    return 0;
}

bool body_share_take_file(struct body_share *s)
{
    struct body_budget *b = s->budget;
    if (!b || !b->folder || b->files == BODY_FILES_MAX)
        return false;
    b->files++;
    s->has_file = true;
    return true;
}

void body_share_release(struct body_share *s)
{
    if (s->has_file)
        s->budget->files--;
    s->has_file = false;
    if (s->budget) {
        s->budget->held -= s->held;
        s->budget->small -= s->small;
    }
    s->held = s->small = 0;
}
