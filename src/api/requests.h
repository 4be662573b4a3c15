/* SPDX-License-Identifier: MIT */
/* The requests that engines answer: those that go on, and the last that are over. What is kept of
 * one is bounded, whatever its client sends. */
#ifndef HOSTLER_API_REQUESTS_H
#define HOSTLER_API_REQUESTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "api/usage.h"
#include "api/caller.h"
#include "http/server.h"
#include "server/host.h"

struct requests;

struct request_record {
    uint64_t id;
    double at;                        /* Unix time, seconds */
    uint64_t arrived, granted, ended; /* uv_now(), ms; 0: not yet */
    struct caller caller;
    char error[24]; /* the error's `state`; empty: none */
    char *model;    /* id, or the name that no model has; NULL */
    int status;     /* of the answer; 0: none yet */
    bool loaded;    /* it caused a load */
    struct usage usage;
    const struct host_request *place; /* with the scheduler, while it goes on */
    TAILQ_ENTRY(request_record) link;
};

struct requests *requests_create(uv_loop_t *loop);
void requests_destroy(struct requests *r);
struct request_record *requests_begin(struct requests *r, const struct caller *caller,
                                      const struct host_request *place);
void requests_grant(struct requests *r, struct request_record *record);
/* It is over; the record is the list's own. `forget`: it is not worth a place there. */
void requests_end(struct requests *r, struct request_record *record, bool forget);
/* Tokens a second that the model's running and lately ended answers came with; 0: none. */
double requests_rate(const struct requests *r, const char *model);

#endif
