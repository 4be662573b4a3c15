/* SPDX-License-Identifier: MIT */
/*
 * A load with options of its own (load_options.h): checked before anything is stopped for it, then begun. The engine's
 * program says whether it takes the values, and what the engine would take must fit on this machine at all.
 */
#ifndef HOSTLER_SERVER_LOAD_REQUEST_H
#define HOSTLER_SERVER_LOAD_REQUEST_H

#include "server/load_options.h"

struct load_request;
struct model;

/* `error` 0: it has begun, as intent_load(); -EINVAL: the engine refuses a value; -ENOSPC: it can never fit; -ENOENT: the
 * model is gone meanwhile. `why`: a sentence; NULL with 0. */
typedef void load_request_done(int error, const char *why, void *ctx);

/*
 * Takes over `o`. A model that runs with other arguments is loaded anew when requests that run have ended, as when its
 * presets change; with the same ones it goes on, and only a ttl counts, from now. `done` may be called from inside. `*out`
 * is NULL when it was. -EBUSY: too many are being checked; then `o` is finished, and `done` is not called.
 */
int load_request_begin(struct load_request **out, struct model *m, struct load_options *o,
                       const char *by, load_request_done *done, void *ctx)
    __attribute__((warn_unused_result));
/* It does not begin, and `done` is not called. */
void load_request_cancel(struct load_request *r);

#endif
