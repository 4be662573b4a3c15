/* SPDX-License-Identifier: MIT */
/*
 * A unix socket's file, made and removed so that no two servers take it from each other.
 *
 * A file that nobody listens on any more (its server was killed) is replaced. Whether somebody listens, and
 * the replacing, are one step for all who do it this way: a lock on the folder is held from the question until
 * the new socket listens. A file is removed only while it is still this server's and its socket still listens,
 * so that no other can have replaced it.
 */
#ifndef HOSTLER_HTTP_UNIX_SOCKET_H
#define HOSTLER_HTTP_UNIX_SOCKET_H

#include <sys/types.h>

#include "base/error.h"

/* Which file was made; zeros: none. */
struct unix_socket {
    dev_t device;
    ino_t inode;
};

/* A socket that listens at `path`, mode 0600; or a negative errno with a text that says what to do. May
 * wait up to two seconds for another server that starts in the same folder. */
int unix_socket_listen(struct unix_socket *made, const char *path, int backlog, struct error *err)
    __attribute__((warn_unused_result));
/* Before the socket is closed. Does nothing when none was made. */
void unix_socket_remove(struct unix_socket *made, const char *path);

#endif
