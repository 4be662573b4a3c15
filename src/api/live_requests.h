/* SPDX-License-Identifier: MIT */
/*
 * The requests that GET /hostler/v1/live tells of: those that wait or run for half a second or longer, and, as far as the allowance
 * goes, those that ended meanwhile. At most LIVE_REQUESTS_MAX at once. What was last sent of one is kept, so that only the members
 * that changed are sent.
 */
#ifndef HOSTLER_API_LIVE_REQUESTS_H
#define HOSTLER_API_LIVE_REQUESTS_H

#include "api/api.h"
#include "api/live_frame.h"

#define LIVE_REQUESTS_MAX 256

struct live_requests;

/* `items`: of the picture, outlives it. */
struct live_requests *live_requests_create(struct api *api, struct live_items *items);
void live_requests_destroy(struct live_requests *r);
/*
 * Compares with what was last sent, and puts what changed into `frame` (NULL: nobody reads it), as long as `*allowance` (bytes) is
 * positive, from which it is taken. O(requests that go on, and that ended since the last call); some 5 µs for each that is told of.
 */
void live_requests_update(struct live_requests *r, struct live_frame *frame, long *allowance);
/* The whole row of an item of the kind LIVE_REQUEST, as it was last sent; of one that is over that it is. */
void live_requests_write(const struct live_item *item, struct live_frame *frame);
/* Of an item that is gone. */
void live_requests_free(struct live_requests *r, struct live_item *item);
/* Whether any request goes on. */
bool live_requests_any(const struct live_requests *r);

#endif
