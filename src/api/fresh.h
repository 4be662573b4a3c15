/* SPDX-License-Identifier: MIT */
/* Answers whose figures of the machine's memory must be those of now. */
#ifndef HOSTLER_API_FRESH_H
#define HOSTLER_API_FRESH_H

#include "api/api.h"

/* Calls `answer` as soon as host_snapshot() is current (sampler.h), or no newer one is to be expected: at
 * once or later, and not at all when the client leaves before. Takes the exchange if it waits. */
void fresh_answer(struct api *api, struct http_exchange *x,
                  void (*answer)(struct api *api, struct http_exchange *x));

#endif
