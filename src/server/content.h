/* SPDX-License-Identifier: MIT */
/*
 * Which bytes a file holds, without reading them all: its size, and XXH3 over its beginning, its end and places spread over
 * it. Two models of one architecture may have the same header, but not the same weights in all these places. A file that
 * is copied or touched stays the same.
 */
#ifndef HOSTLER_SERVER_CONTENT_H
#define HOSTLER_SERVER_CONTENT_H

#include <stdint.h>

/* 0 or a negative errno. Reads at most some 5 MiB; a file of which nothing has changed since (inode, size, times) is
 * not read again. Blocking; for any thread. */
int content_hash(const char *path, uint64_t out[2]) __attribute__((warn_unused_result));

#endif
