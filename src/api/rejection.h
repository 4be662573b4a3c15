/* SPDX-License-Identifier: MIT */
/*
 * What a client is told when hostler itself does not let an engine answer its request: the scheduler does
 * not grant it, or this process lacks something for it.
 */
#ifndef HOSTLER_API_REJECTION_H
#define HOSTLER_API_REJECTION_H

#include <jansson.h>

#include "http/peek.h"
#include "sched/sched.h"
#include "server/model.h"

struct rejection {
    int status;
    json_t *error;        /* {"code","message","type"}, mostly with a `state`; the receiver's */
    const char *reason;   /* a word of few, for figures; NULL: as the status says. Static */
    unsigned retry_after; /* seconds; 0: no Retry-After */
    bool is_final;        /* to ask again by itself would not help: a person must do something */
};

/* The word for figures, never NULL: `held`, `queue_full`, …, also where the client is told no `state`. */
const char *rejection_reason(const struct rejection *r);

#define REJECTION_FIELDS_MAX 80 /* bytes */

/* Header lines of the answer, which may be none. Clients made of OpenAI's or Anthropic's SDK sleep for
 * Retry-After and try again, unless `x-should-retry` is false. */
void rejection_fields(const struct rejection *r, char out[REJECTION_FIELDS_MAX]);

/* `m`: the model that was asked for. With the last log lines of its engine, if that ended, for who may read
 * them (`with_log`). */
struct rejection rejection_by_scheduler(const struct model *m, enum sched_reject_reason why,
                                        bool with_log);
/* Adds these lines to an error object. */
void rejection_add_log(json_t *error, const char *log);
/* The model is not loaded and its caller may not load it so, for the reason `why`. */
struct rejection rejection_barred(const struct model *m, const char *why);
/* The model's engine serves others and had no connection to spare all the time. */
struct rejection rejection_engine_busy(const struct model *m);
/* This process lacks descriptors or memory to reach the model's engine, which serves others. */
struct rejection rejection_no_resources(const struct model *m);
/* The request's body, of `len` bytes so far, names no model: `result` of looking for it, with peek_error_at(). `is_coded`: because it is
 * compressed. */
struct rejection rejection_unnamed(enum peek_result result, size_t len, size_t error_at,
                                   bool is_coded);
/* The request's body cannot be held or sent: `error` of relay_hold(), relay_body() or relay_start(). */
struct rejection rejection_of_body(int error);

#endif
