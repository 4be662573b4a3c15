/* SPDX-License-Identifier: MIT */
/*
 * While a model waits for its place, its files are read into the page cache, so that its engine finds
 * them there. One model at a time, in the order in which an engine reads, by a thread of libuv's pool.
 *
 * Bounded: a slice at a time, so that a change of plans is followed within one, other work of the pool is
 * not held up, and no more than half of the memory that was available is filled.
 */
#ifndef HOSTLER_SERVER_WARM_H
#define HOSTLER_SERVER_WARM_H

#include <stdint.h>
#include <uv.h>

#include "catalog/catalog.h"

struct warm;

struct warm *warm_create(uv_loop_t *loop);
/* The model that waits, or NULL: called whenever that may have changed, and nearly free when it has not.
 * Another one than before ends the reading of that. `m` is not looked at after the call. */
void warm_next(struct warm *w, const struct catalog_model *m);
/* No more reading; `closed` is called on the loop once the last slice is over and `w` is freed. */
void warm_close(struct warm *w, void (*closed)(void *ctx), void *ctx);

#endif
