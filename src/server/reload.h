/* SPDX-License-Identifier: MIT */
/*
 * SIGHUP's files besides models and presets: the log file and the access log, opened again, and the certificate, read
 * again. Both may wait for a disk, so it happens in the thread pool.
 */
#ifndef HOSTLER_SERVER_RELOAD_H
#define HOSTLER_SERVER_RELOAD_H

#include <uv.h>

#include "base/error.h"
#include "http/tls.h"
#include "server/config.h"

struct reload {
    uv_work_t work;
    const struct config *config;
    void (*done)(struct reload *r);

    /* The result; `done` takes it. */
    int log_fd; /* -1: there is no log file, or it cannot be opened */
    struct error log_problem;
    int access_fd; /* the same of the access log */
    struct error access_problem;
    struct tls_identity *identity; /* NULL: there is no certificate, or it cannot be read */
    struct error tls_problem;      /* an empty text: none, as in log_problem */
};

/* Calls `done` from the loop. `r` is the caller's until then; one run at a time. */
void reload_start(struct reload *r, uv_loop_t *loop, const struct config *config,
                  void (*done)(struct reload *r));

#endif
