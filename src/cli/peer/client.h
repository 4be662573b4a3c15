/* SPDX-License-Identifier: MIT */
/*
 * HTTP client of the commands, by libcurl.
 *
 * libcurl is loaded with dlopen() when a command first talks to a server, and named nowhere else:
 * it depends on some 25 libraries, none of which the daemon, the same binary, should map. `hostler help` also works
 * where libcurl is not installed.
 */
#ifndef HOSTLER_CLI_PEER_CLIENT_H
#define HOSTLER_CLI_PEER_CLIENT_H

#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "cli/peer/url.h"

struct client;

struct client_request {
    const char *method;
    const char *path;    /* begins with a slash; already percent-encoded */
    const char *body;    /* JSON; NULL: none */
    unsigned timeout_ms; /* for the whole; 0: no limit */
    /* For a streamed answer: gets the bytes of a 200 as they come; others go to `body`. Not zero
     * ends the transfer. */
    int (*data)(const char *data, size_t len, void *ctx);
    /* Called about once a second and when a signal came. Not zero ends the transfer: -ECANCELED. */
    int (*tick)(void *ctx);
    void *ctx;
};

struct client_answer {
    int status;      /* HTTP's */
    struct buf body; /* at most 64 MiB */
    char *redirect;  /* where a 3xx leads, which is not followed; NULL */
};

/* `url` must outlive it; `key` (NULL: none) is copied. Negative errno with a text, -ELIBACC when
 * there is no libcurl. */
int client_create(struct client **out, const struct url *url, const char *key, struct error *err)
    __attribute__((warn_unused_result));
void client_destroy(struct client *c);

/*
 * 0 when an HTTP answer came, whatever its status. Else a text and -ECONNREFUSED (nobody there, or
 * not to be reached), -EACCES (a socket that is for others), -ETIMEDOUT, -ECANCELED, -EPROTO (what
 * came is not HTTP), -ECONNRESET (it broke off), -EIO. client_answer_finish() in any case.
 */
int client_do(struct client *c, const struct client_request *r, struct client_answer *a,
              struct error *err) __attribute__((warn_unused_result));
void client_answer_finish(struct client_answer *a);

/* --- side by side -------------------------------------------------------------------------------
 * Concurrent transfers, for a program that must not block on one: they progress within client_wait().
 */

struct client_transfer;

/* `rc` and `err` as of client_do(); the answer is the client's. May start and cancel others. */
typedef void client_done(void *ctx, int rc, const struct client_answer *a, const struct error *err);

/* `r` and its texts are copied. The transfer is gone when `done` is called, with `r->ctx`. */
struct client_transfer *client_start(struct client *c, const struct client_request *r,
                                     client_done *done) __attribute__((returns_nonnull));
/* Without `done`; not from its own `data`. NULL: nothing. client_destroy() cancels the rest. */
void client_cancel(struct client_transfer *t);

#define CLIENT_WAIT_MAX 4
/* Returns when something went on, when one of `fds` can be read, or after the time. */
void client_wait(struct client *c, const int *fds, size_t n, unsigned timeout_ms);

#endif
