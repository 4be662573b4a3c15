/* SPDX-License-Identifier: MIT */
/* The models that are being fetched into the Hugging Face cache. When one is there the sources are
 * read again, and it becomes a model like any other. */
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
    DOWNLOADS_EV_FAILED,   /* or cancelled: `problem` */
};

/* What is told of one; good during the call. */
struct downloads_item {
    const char *repo;    /* as it was asked for: `user/repo:TAG`, or without a tag */
    bool fetched;        /* all is there, but not listed yet */
    bool cancelled;      /* of FAILED */
    json_t *progress;    /* {url: {done,total}}, bytes; borrowed; empty before the first */
    const char *problem; /* of FAILED, for a person */
    double started;      /* Unix time, seconds */
};

typedef void downloads_told(enum downloads_event event, const struct downloads_item *item,
                            void *ctx);

/* `told` hears of everything, from the loop. */
struct downloads *downloads_create(struct host *host, struct refresh *refresh, downloads_told *told,
                                   void *ctx);
/* Ends what runs, without a word. */
void downloads_destroy(struct downloads *d);

/* -EINVAL: `repo` is none; -EALREADY: it is being fetched; -EBUSY: as many as may run at once do;
 * -ESHUTDOWN: the host ends; others from starting the engine. */
int downloads_start(struct downloads *d, const char *repo, struct error *err)
    __attribute__((warn_unused_result));
/* It is told as FAILED later. -ENOENT: there is none of that name; -EBUSY: too late, what it fetched
 * is being listed. */
int downloads_cancel(struct downloads *d, const char *repo, struct error *err)
    __attribute__((warn_unused_result));
/* Whether one of that name goes on. */
bool downloads_has(const struct downloads *d, const char *repo);
/* In order of their start; false behind the last. */
bool downloads_at(const struct downloads *d, size_t index, struct downloads_item *item);

#endif
