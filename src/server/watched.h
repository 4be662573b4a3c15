/* SPDX-License-Identifier: MIT */
/*
 * What has to be watched so that a change of the sources is noticed: folders, and, since a path may lead
 * through links and folders that are exchanged, the steps of each path as it was given.
 */
#ifndef HOSTLER_SERVER_WATCHED_H
#define HOSTLER_SERVER_WATCHED_H

#include <stdint.h>

#include "base/strv.h"
#include "server/presets.h"

struct folder;

struct watched {
    struct strv folders; /* any change in one of them counts */
    /* FOLDER/NAME: a change of that name counts. Links on the way, files of sections, and the first step of a path
     * that is not there. Sorted. */
    struct strv names;
    struct strv moves; /* folders on the way: only that one is moved counts. Sorted */
    /* What is to be polled, since inotify does not report mounts, and changes by other machines: while a model is
     * missing, its file and the folders in which it may appear; otherwise empty. */
    struct strv awaited;
    uint64_t awaited_mark; /* its watched_mark() */
};

/* Blocking, for the thread pool. `models`: what was found. */
void watched_list(struct watched *w, const struct config *c, const struct presets *p,
                  const struct folder *models);
void watched_finish(struct watched *w);

/* Differs when one of these paths appeared, disappeared, was exchanged, or is a folder with other names in it.
 * Blocking. */
uint64_t watched_mark(const struct strv *paths);

#endif
