/* SPDX-License-Identifier: MIT */
#include "engine/route.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* As numbers, because `asked` may point into another array. */
static bool is_among(const struct engine_routes *r, const struct engine_route *asked)
{
    return (uintptr_t)asked >= (uintptr_t)r->v && (uintptr_t)asked < (uintptr_t)(r->v + r->n);
}

const struct engine_route *engine_routes_find(const struct engine_routes *r,
                                              const struct engine_route *asked)
{
    if (is_among(r, asked))
        return asked;
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->v[i].path, asked->path) == 0 && strcmp(r->v[i].method, asked->method) == 0)
            return &r->v[i];
    return NULL;
}
