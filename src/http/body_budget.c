/* SPDX-License-Identifier: MIT */
#include "http/body_budget.h"

#include <errno.h>

int body_share_grow(struct body_share *s, size_t len)
{
    if (!s->budget || len <= BODY_FREE || len - BODY_FREE <= s->counted)
        return 0;
    size_t more = len - BODY_FREE - s->counted;
    if (more > s->budget->max - s->budget->held)
        return -ENOSPC;
    s->budget->held += more;
    s->counted += more;
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
    if (s->counted)
        s->budget->held -= s->counted;
    s->counted = 0;
}
