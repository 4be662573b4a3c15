/* SPDX-License-Identifier: MIT */
/*
 * The private folder (0700) in which a daemon's engines have their sockets. It lies in
 * $XDG_RUNTIME_DIR, else in $TMPDIR, else in /tmp, is named `hostler-<uid>-XXXXXX`, and its daemon
 * keeps it locked (flock) as long as it lives. So a folder of ours whose lock can be taken belongs
 * to a dead daemon: rundir_create() removes such leftovers.
 *
 * The folder itself is locked, not a file in it: so there is no moment without one, and
 * systemd-tmpfiles, which clears /tmp, leaves locked folders alone (tmpfiles.d(5)).
 */
#ifndef HOSTLER_ENGINE_RUNDIR_H
#define HOSTLER_ENGINE_RUNDIR_H

#include "base/error.h"
#include "base/strv.h"

struct rundir {
    char *path;
    int lock; /* descriptor of the folder, close-on-exec */
};

/* Fails when no folder can be made, or its name is too long for a socket's address. */
int rundir_create(struct rundir *r, struct error *err) __attribute__((warn_unused_result));
/* Adds the paths of what dead daemons of this user have left, and leaves it there. */
void rundir_leftovers(struct strv *out);
/* Removes the folder and what is in it. */
void rundir_remove(struct rundir *r);

#endif
