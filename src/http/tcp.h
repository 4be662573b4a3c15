/* SPDX-License-Identifier: MIT */
/*
 * Options of accepted TCP sockets, and whether a client that says nothing is still there.
 *
 * A client that vanishes (its machine sleeps, its network is gone) sends no end. While nothing is on its
 * way to it, the kernel's keep-alive probes notice that within a minute. While something is, the kernel
 * probes nobody and repeats for a quarter of an hour: then tcp_peer_is_gone() tells. TCP_USER_TIMEOUT would
 * do that too, but it also ends a client that is there and does not read for a minute (`| less`).
 */
#ifndef HOSTLER_HTTP_TCP_H
#define HOSTLER_HTTP_TCP_H

#include <netinet/tcp.h>
#include <stdbool.h>

#define TCP_GONE_MS 60000 /* a client from which no acknowledgement came for so long is gone */

/* Small writes go out at once, few bytes pile up in the kernel, and keep-alive probes are sent. */
void tcp_tune(int fd);
/* Of the kernel's figures: the client owes an acknowledgement, and has sent none for TCP_GONE_MS. */
bool tcp_info_is_gone(const struct tcp_info *info);
bool tcp_peer_is_gone(int fd);

#endif
