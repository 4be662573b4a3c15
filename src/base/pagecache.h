/* SPDX-License-Identifier: MIT */
/* Whether a file's bytes are in the host's page cache. */
#ifndef HOSTLER_BASE_PAGECACHE_H
#define HOSTLER_BASE_PAGECACHE_H

/* Of places spread over the file, the share that is there: 0 to 1; 1 when that cannot be told. The
 * kernel tells it only to the file's owner, to those who may write it, and to root: to others it says
 * that all is there (mincore(2)). Reads nothing of the file; some 0.1 ms. */
double pagecache_share(const char *path);

#endif
