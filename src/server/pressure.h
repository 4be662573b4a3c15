/* SPDX-License-Identifier: MIT */
/*
 * Tells at once that programs wait for memory, or that the daemon's control group has reached a limit, where the kernel
 * reports it: a trigger of its pressure stall information (poll, POLLPRI), and the group's memory.events (inotify). Both
 * may report up to a hundred times a second, so each report ends the listening until it is begun anew. Nothing wakes the
 * daemon meanwhile. The kernel reports without cause at times (seen with Linux 6.18, when a trigger is new), so a report is a
 * reason to read figures, and for nothing else.
 */
#ifndef HOSTLER_SERVER_PRESSURE_H
#define HOSTLER_SERVER_PRESSURE_H

#include <stdbool.h>
#include <uv.h>

/* Embedded. */
struct pressure {
    void (*felt)(struct pressure *p);
    /* private */
    uv_poll_t trigger;
    uv_fs_event_t events;
    int fd;           /* of the trigger; -1: none */
    const char *file; /* memory.events; NULL: none */
    bool listening;
    unsigned open; /* handles */
    void (*closed)(struct pressure *p);
};

/* `fd`: memory_pressure_open(), is closed here; `file`: memory_events_file(), must outlive it. */
void pressure_init(struct pressure *p, uv_loop_t *loop, int fd, const char *file,
                   void (*felt)(struct pressure *p));
/* No-op when it listens already. `felt` is called once, and then it does not listen any more. */
void pressure_listen(struct pressure *p);
void pressure_ignore(struct pressure *p);
/* `closed` may free it. */
void pressure_close(struct pressure *p, void (*closed)(struct pressure *p));

#endif
