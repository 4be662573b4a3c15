/* SPDX-License-Identifier: MIT */
/*
 * The private folder (0700) for the sockets of a daemon's engines: `hostler-<uid>-XXXXXX` in
 * $XDG_RUNTIME_DIR, else in $TMPDIR, in /tmp or in /dev/shm: the first one where a socket can be made, whose
 * address has room for 107 bytes. Its daemon keeps it locked (flock) as long as it lives,
 * so a folder whose lock can be taken belongs to a dead daemon: rundir_create() removes it. The lock is on
 * the folder itself, not on a file in it, so that it is locked at every moment, and because systemd-
 * tmpfiles, which clears /tmp, leaves locked folders alone (tmpfiles.d(5)).
 */
#ifndef HOSTLER_ENGINE_RUNDIR_H
#define HOSTLER_ENGINE_RUNDIR_H

#include "base/error.h"
#include "base/strv.h"

struct rundir {
    char *path;
    int lock; /* descriptor of the folder, close-on-exec */
};

/* When no folder can be made, the error names each place and why. */
int rundir_create(struct rundir *r, struct error *err) __attribute__((warn_unused_result));
/* Adds the paths of folders that dead daemons of this user left; removes nothing. */
void rundir_leftovers(struct strv *out);
/* Removes the folder and what is in it. */
void rundir_remove(struct rundir *r);

#endif
