/* SPDX-License-Identifier: MIT */
#ifndef HOSTLER_BASE_FOLDERS_H
#define HOSTLER_BASE_FOLDERS_H

#include <sys/types.h>

/* Makes the folder and those above it that are not there, with `mode` less the umask. 0 or a negative errno; that
 * something else than a folder has its name shows when it is used. Touches a disk. */
int folders_make(const char *path, mode_t mode);

#endif
