/* SPDX-License-Identifier: MIT */
/*
 * The service manager that started the daemon: the sockets it hands over, and what it is told. The
 * protocols are systemd's, sd_listen_fds(3) and sd_notify(3), which others speak too; they are a few
 * lines, so nothing is linked for them. Without a service manager every function does nothing.
 */
#ifndef HOSTLER_SERVER_SUPERVISOR_H
#define HOSTLER_SERVER_SUPERVISOR_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <uv.h>

#define SUPERVISOR_FIRST_SOCKET 3

struct supervisor {
    unsigned n_sockets;    /* handed over, from SUPERVISOR_FIRST_SOCKET on */
    uint64_t watchdog_us;  /* it expects a sign of life within that; 0: it does not */
    int socket;            /* for notifications; -1: nobody wants them */
    struct sockaddr_un to; /* its address */
    socklen_t to_len;
    uv_timer_t watchdog;
};

/*
 * Reads what the service manager left in the environment and removes it there, so that no child
 * takes it for its own; the sockets are closed in children. First of all: descriptors that are
 * opened later may have the numbers of sockets.
 */
void supervisor_init(struct supervisor *s);
/* Closes the socket for notifications. */
void supervisor_finish(struct supervisor *s);

/* `state`: assignments, `READY=1`; NULL for none. The rest is for a person, one line in
 * `systemctl status`. */
void supervisor_tell(const struct supervisor *s, const char *state, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The configuration is read again; READY=1 tells of the end. */
void supervisor_tell_reloading(const struct supervisor *s);

/* Signs of life from now on, twice as often as they are expected, as long as the loop turns. They
 * do not keep it turning. */
void supervisor_watch(struct supervisor *s, uv_loop_t *loop);
/* Ends them; `s` is in use until the loop has turned once more. */
void supervisor_unwatch(struct supervisor *s);

#endif
