/* SPDX-License-Identifier: MIT */
#include "http/tcp.h"

#include <netinet/in.h>
#include <sys/socket.h>

/* Bytes that wait in a client's socket. The kernel's own bound for who does not read is 4 MiB a connection
 * (tcp_wmem), and with some hundred such all others pay for what they hold. */
#define UNSENT_MAX (128 * 1024)

/* Probes begin after 30 s of silence; who leaves three of them unanswered is gone, TCP_GONE_MS in sum. */
#define PROBE_AFTER_S 30
#define PROBE_EVERY_S 10
#define PROBES 3

static void set(int fd, int level, int option, int value)
{
    /* No option is worth losing the client for. */
    (void)setsockopt(fd, level, option, &value, sizeof value);
}

void tcp_tune(int fd)
{
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_MAX);
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, PROBE_AFTER_S);
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, PROBE_EVERY_S);
    set(fd, IPPROTO_TCP, TCP_KEEPCNT, PROBES);
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

/* A client that is there acknowledges what is repeated, and answers the probes of a window that it has
 * closed: both set their count back to 0. Probes of a closed window may be two minutes apart. */
bool tcp_info_is_gone(const struct tcp_info *info)
{
    return info->tcpi_last_ack_recv >= TCP_GONE_MS &&
           ((info->tcpi_unacked && info->tcpi_retransmits > 1) || info->tcpi_probes > 2);
}

bool tcp_peer_is_gone(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && tcp_info_is_gone(&info);
}
