/* SPDX-License-Identifier: MIT */
/*
 * What GET /hostler/v1/live is made of: a list of items (models and requests) in the order in which they last changed, and frames,
 * the server-sent events that tell of some of them. A subscriber that is behind has a mark in the list: what comes after it is
 * news to them. An item that changes moves to the list's end, so that who is far behind gets its last state only.
 */
#ifndef HOSTLER_API_LIVE_FRAME_H
#define HOSTLER_API_LIVE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "base/buf.h"

enum live_kind { LIVE_MARK, LIVE_MODEL, LIVE_REQUEST };

/* Embedded. */
struct live_item {
    enum live_kind kind;
    bool gone; /* it is kept until nobody is behind any more, to be told of */
    TAILQ_ENTRY(live_item) link;
};
TAILQ_HEAD(live_items, live_item);

/* JSON elements of the events' lists, separated by commas. */
struct live_frame {
    struct buf models, figures, removed, requests, ended;
};

void live_frame_init(struct live_frame *f);
void live_frame_finish(struct live_frame *f);
/* Bytes so far, more or less. */
size_t live_frame_len(const struct live_frame *f);
/* `list`, ready for the next element. */
struct buf *live_frame_next(struct buf *list);
/* Appends the events, and empties the frame. */
void live_frame_write(struct live_frame *f, struct buf *out);

#endif
