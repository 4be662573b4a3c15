/* SPDX-License-Identifier: MIT */
/* GET /metrics: what figures need beside the meter. */
#ifndef HOSTLER_API_METRICS_H
#define HOSTLER_API_METRICS_H

struct engine_route;

/* Of an exchange's tag: the path of its route in the table; `other`: it had none. */
const char *api_route_path(unsigned tag);
/* And its method, which for `GET` also means `HEAD`. */
const char *api_route_method(unsigned tag);
/* Of the kinds' routes the one for such requests; NULL: none has it. */
const struct engine_route *api_engine_route(const char *method, const char *path);

#endif
