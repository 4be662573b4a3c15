/* SPDX-License-Identifier: MIT */
/* Downloads of models into the Hugging Face cache. When one has ended, the sources are read again and list
 * its model. */
#ifndef HOSTLER_SERVER_DOWNLOADS_H
#define HOSTLER_SERVER_DOWNLOADS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "server/host.h"
#include "server/refresh.h"

struct downloads;

enum downloads_event {
    DOWNLOADS_EV_STARTED,
    DOWNLOADS_EV_PROGRESS,
    DOWNLOADS_EV_FINISHED, /* it is in the cache, and in the list of models if that could be read */
    DOWNLOADS_EV_FAILED,   /* or cancelled: see `problem` */
};

/* A download as listeners see it; valid during the call. */
struct downloads_item {
    const char *repo;    /* as it was asked for: `user/repo:TAG`, or without a tag */
    bool fetched;        /* it is in the cache, but not listed yet */
    bool cancelled;      /* of FAILED */
    json_t *progress;    /* {url: {done,total}}, bytes; borrowed; empty before the first */
    const char *problem; /* of FAILED, for a person */
    double started;      /* Unix time, seconds */
};

typedef void downloads_on_event(enum downloads_event event, const struct downloads_item *item,
                                void *ctx);

/* `on_event` is called from the loop for every event. */
struct downloads *downloads_create(struct host *host, struct refresh *refresh,
                                   downloads_on_event *on_event, void *ctx);
/* Kills what runs; no event comes any more. */
void downloads_destroy(struct downloads *d);

/* -EINVAL: `repo` is no repository, or the engine cannot download; -EALREADY: it is being downloaded;
 * -EBUSY: the most at once are running; -ESHUTDOWN: the host ends; others from starting the process. */
int downloads_start(struct downloads *d, const char *repo, struct error *err)
    __attribute__((warn_unused_result));
/* DOWNLOADS_EV_FAILED follows. -ENOENT: there is no such download; -EBUSY: too late, its process has
 * ended. */
int downloads_cancel(struct downloads *d, const char *repo, struct error *err)
    __attribute__((warn_unused_result));
/* Whether a download of that name goes on. */
bool downloads_has(const struct downloads *d, const char *repo);
/* In order of their start; false: `index` is after the last. */
bool downloads_at(const struct downloads *d, size_t index, struct downloads_item *item);

#endif
