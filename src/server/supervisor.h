/* SPDX-License-Identifier: MIT */
/*
 * The service manager that started the daemon: the sockets that it passes, and notifications to it. The
 * protocols are those of sd_listen_fds(3) and sd_notify(3), implemented here because they are a few lines.
 * Without a service manager every function does nothing.
 */
#ifndef HOSTLER_SERVER_SUPERVISOR_H
#define HOSTLER_SERVER_SUPERVISOR_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <uv.h>

#define SUPERVISOR_FIRST_SOCKET 3

struct supervisor {
    unsigned n_sockets;    /* passed as descriptors from SUPERVISOR_FIRST_SOCKET on */
    uint64_t watchdog_us;  /* it expects a keep-alive message in this time; 0: it does not */
    int socket;            /* for notifications; -1: none are sent */
    struct sockaddr_un to; /* its address */
    socklen_t to_len;
    uv_timer_t watchdog;
};

/*
 * Reads the service manager's variables and removes them from the environment, so that no child uses them;
 * sets the sockets to close on exec. Call it before anything is opened, or another descriptor may have a
 * socket's number.
 */
void supervisor_init(struct supervisor *s);
/* Closes the socket for notifications. */
void supervisor_finish(struct supervisor *s);

/* `state`: assignments, as `READY=1`; NULL: none. The rest is one line for `systemctl status`. */
void supervisor_tell(const struct supervisor *s, const char *state, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The configuration is read again; READY=1 reports the end. */
void supervisor_tell_reloading(const struct supervisor *s);

/* Sends keep-alive messages, twice as often as expected, as long as the loop runs. The timer does not keep
 * the loop running. */
void supervisor_watch(struct supervisor *s, uv_loop_t *loop);
/* Stops them; `s` is in use until the loop has run its close callbacks. */
void supervisor_unwatch(struct supervisor *s);

#endif
