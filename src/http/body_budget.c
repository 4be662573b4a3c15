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

void body_share_release(struct body_share *s)
{
    if (s->counted)
        s->budget->held -= s->counted;
    s->counted = 0;
}
