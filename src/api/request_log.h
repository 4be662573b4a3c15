/* SPDX-License-Identifier: MIT */
/* The requests that engines answer: those that go on, and the last that are over. What is kept of
 * one is bounded, whatever its client sends. */
#ifndef HOSTLER_API_REQUEST_LOG_H
#define HOSTLER_API_REQUEST_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "api/usage.h"
#include "api/caller.h"
#include "http/server.h"
#include "server/host.h"

struct request_log;

struct request_record {
    uint64_t id;
    double at;                        /* Unix time, seconds */
    uint64_t arrived, granted, ended; /* uv_now(), ms; 0: not yet */
    struct caller_text caller;
    enum page page;    /* that sent it */
    char error[24];    /* the error's `state`; empty: none */
    char *model;       /* id, or the name that no model has; NULL */
    int status;        /* of the answer; 0: none yet */
    bool loaded;       /* it caused a load */
    bool unread;       /* its client left, though it goes on, and nobody else reads it */
    uint64_t restored; /* tokens of its prompt that were restored from the prompt cache, */
    double saved_ms;   /* and what computing them would have taken */
    struct usage usage;
    const struct host_request *place; /* with the scheduler, while it goes on */
    TAILQ_ENTRY(request_record) link;
};

struct request_log *request_log_create(uv_loop_t *loop);
void request_log_destroy(struct request_log *r);
struct request_record *request_log_begin(struct request_log *r, const struct caller *caller,
                                         const struct host_request *place);
void request_log_grant(struct request_log *r, struct request_record *record);
/* It is over; the record is the list's own. `forget`: it is not worth a place there. */
void request_log_end(struct request_log *r, struct request_record *record, bool forget);
/* One after the other, those that go on first, and of both the newest first: NULL before the first,
 * and after the last. */
const struct request_record *request_log_next(const struct request_log *r,
                                              const struct request_record *record);
/* Whether it is for the model of that id. */
bool request_is_of(const struct request_record *record, const char *model);
/* O(requests that go on, and ended in the last 10 s). Tokens a second that the model's running and lately ended answers came with; 0: none. */
double request_log_rate(const struct request_log *r, const char *model);

#endif
