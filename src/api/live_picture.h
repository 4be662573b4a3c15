/* SPDX-License-Identifier: MIT */
/*
 * What was last sent by GET /hostler/v1/live, of all models and of requests: one picture for all subscribers. An update builds the rows of
 * those models that may have changed, compares each with what was sent, and puts the changes into one frame, which everybody gets
 * who is not behind. Who is behind, or has just come, reads the list of items from their mark on.
 *
 * Which models may have changed: those that somebody noted (picture_note), those with an engine, those that wait, and, after
 * picture_rescan(), all. Both kinds of work are done in slices.
 */
#ifndef HOSTLER_API_LIVE_PICTURE_H
#define HOSTLER_API_LIVE_PICTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "api/api.h"
#include "api/live_frame.h"

#define LIVE_FRAME_MAX ((size_t)16 * 1024) /* bytes of a frame, or little more */

struct live_picture;

/* Empty; picture_rescan() fills it. */
struct live_picture *picture_create(struct api *api);
/* No mark is left in it. */
void picture_destroy(struct live_picture *p);

/* The model, or download, of that name may have changed, come or gone. O(1). */
void picture_note(struct live_picture *p, const char *id);
/* Models may have come and gone. What goes on of an earlier scan begins anew. */
void picture_rescan(struct live_picture *p);
/* Whether the scan goes on: there may be models that have no item yet. */
bool picture_is_scanning(const struct live_picture *p);
/*
 * An update begins: picture_update() has something to do. `more`: bytes that may be sent of figures and requests beside what was not
 * used up before.
 */
void picture_begin_update(struct live_picture *p, long more);
/* Goes on with the scan and the update until `deadline` (uv_hrtime()), or the frame is full; `frame` NULL: nobody reads it. False: there is
 * nothing more to do. */
bool picture_update(struct live_picture *p, struct live_frame *frame, uint64_t deadline);
/* Whether figures may change without anybody noting it, or there are some that the allowance did not suffice for. */
bool picture_is_busy(const struct live_picture *p);

/* A mark before all items, or after all. `mark` is its owner's. */
void picture_mark_begin(struct live_picture *p, struct live_item *mark);
void picture_mark_end(struct live_picture *p, struct live_item *mark);
/* To where `other` is. */
void picture_mark_at(struct live_picture *p, struct live_item *mark, struct live_item *other);
void picture_unmark(struct live_picture *p, struct live_item *mark);
/* Rows of what comes after `mark`, which moves on, until `deadline` or the frame is full. False: nothing is after it any more. */
bool picture_catch_up(struct live_picture *p, struct live_item *mark, struct live_frame *frame,
                      uint64_t deadline);
/* Nobody is behind: what is gone is forgotten. */
void picture_forget_gone(struct live_picture *p);

#endif
