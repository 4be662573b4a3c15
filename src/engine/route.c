/* SPDX-License-Identifier: MIT */
#include "engine/route.h"

#include <string.h>

const struct engine_route *engine_route_find(const struct engine_route *routes,
                                             const struct engine_route *asked)
{
    const struct engine_route *r;
    for (r = routes; r && r->path; r++)
        if (r == asked)
            return r;
    for (r = routes; r && r->path; r++)
        if (strcmp(r->path, asked->path) == 0 && strcmp(r->method, asked->method) == 0)
            return r;
    return NULL;
}
