/* SPDX-License-Identifier: MIT */
/*
 * While a model waits for its place, its files are read into the page cache, so that its engine finds
 * them there. One model at a time, in the order in which an engine reads, by a thread of libuv's pool.
 *
 * Bounded: one slice at a time, so that another model's turn takes effect within a slice and other work of
 * the pool gets its turn; at most half of the available memory is filled.
 */
#ifndef HOSTLER_SERVER_WARM_H
#define HOSTLER_SERVER_WARM_H

#include <stdint.h>
#include <uv.h>

#include "catalog/catalog.h"

struct warm;

struct warm *warm_create(uv_loop_t *loop);
/* Reads the files of `m` from now on, and those of the model before no longer; NULL: none. `available`:
 * the host's memory, bytes. O(1) when its files are the same as before; `m` is not used after the call. */
void warm_next(struct warm *w, const struct catalog_model *m, uint64_t available);
/* Stops reading; `closed` is called on the loop when the last slice has ended and `w` is freed. */
void warm_close(struct warm *w, void (*closed)(void *ctx), void *ctx);

#endif
