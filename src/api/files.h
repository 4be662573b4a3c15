/* SPDX-License-Identifier: MIT */
/*
 * --path: the files of a folder, which a router serves at `/`, as llama.cpp's does. They are opened, read and closed in the
 * pool, a few at a time, so that a disk that hangs keeps neither the loop nor other work of the pool; a client gets them as fast
 * as it reads. No file hides a route.
 */
#ifndef HOSTLER_API_FILES_H
#define HOSTLER_API_FILES_H

#include "server/host.h"
#include "http/server.h"

struct files;

/* For a GET or HEAD of what is no file. */
typedef void files_missing(struct http_exchange *x, void *ctx);

/* `folder` must outlive it. */
struct files *files_create(struct host *host, const char *folder, files_missing *missing,
                           void *ctx);
/* When no exchange is left, and host_shutdown() is over. NULL: no-op. */
void files_destroy(struct files *f);
/* Answers. O(1); each 64 KiB are read in the pool. */
void files_serve(struct files *f, struct http_exchange *x);

#endif
