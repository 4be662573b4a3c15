/* SPDX-License-Identifier: MIT */
/* Which requests an engine answers. */
#ifndef HOSTLER_ENGINE_ROUTE_H
#define HOSTLER_ENGINE_ROUTE_H

#include <stddef.h>

/* What a request by the route does: api/ derives from it who may send it. */
enum engine_route_use {
    ENGINE_ROUTE_INFER,  /* computes with the model */
    ENGINE_ROUTE_READ,   /* reads what the engine says of its model */
    ENGINE_ROUTE_STATUS, /* reads what the engine does for whom */
    ENGINE_ROUTE_ADMIN,  /* changes the engine for all its clients */
};

/* Where the request names its model, beside `?model=`. */
enum engine_route_model {
    ENGINE_ROUTE_MODEL_IN_BODY,
    ENGINE_ROUTE_MODEL_IN_QUERY,
};

struct engine_route {
    const char *method; /* GET also means HEAD */
    const char *path;   /* of the API; a trailing `*` matches one more segment */
    enum engine_route_use use;
    enum engine_route_model model;
    const char
        *engine_path; /* sent to the engine in place of `path`, which has no `*`; NULL: the same */
};

struct engine_routes {
    const struct engine_route *v;
    size_t n;
};

/* The route among `r` for the same requests as `asked`; NULL: none. O(1) if `asked` is one of them, else
 * O(routes). */
const struct engine_route *engine_routes_find(const struct engine_routes *r,
                                              const struct engine_route *asked);

#endif
