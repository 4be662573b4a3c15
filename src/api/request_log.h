/* SPDX-License-Identifier: MIT */
/*
 * The requests that engines answer: those that go on, and the last that are over. What is kept of one is bounded, whatever its
 * client sends. Observers are called when one begins, goes on and ends.
 */
#ifndef HOSTLER_API_REQUEST_LOG_H
#define HOSTLER_API_REQUEST_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "api/caller.h"
#include "api/tracing.h"
#include "api/usage.h"
#include "base/buf.h"
#include "http/server.h"
#include "server/host.h"

struct request_log;
struct captured;

/* How a request ended. */
enum request_end {
    REQUEST_GOES_ON,
    REQUEST_ANSWERED,    /* the engine's answer came whole, whatever its status */
    REQUEST_REFUSED,     /* hostler answered: `refusal` says why */
    REQUEST_CLIENT_GONE, /* its client left before */
    REQUEST_BROKEN_OFF,  /* by its engine, or a body could not be passed on: `error` says why */
};

struct request_record {
    uint64_t id;
    double at;                        /* Unix time, seconds */
    uint64_t arrived, granted, ended; /* uv_now(), ms; 0: not yet. Granted: the last time */
    uint64_t sent; /* the same, when it went to its engine: its prompt was restored before */
    uint64_t
        first_byte; /* the same, when the first of the answer's body came, of a stream its first token */
    uint64_t body_in, body_out; /* bytes of its body, and of the answer's; when it is over */
    const char *route;   /* its path in the table of routes, `other`: it is in none. Static */
    const char *method;  /* `POST`. Static */
    const char *dialect; /* of the API: `openai`. Static */
    bool infers;         /* by its route it computes with the model */
    bool streams;        /* the answer is an event stream */
    bool passive;        /* it does not count as use of its model */
    enum request_end end;
    const char *refusal; /* one of few words; NULL: it was not refused. Static */
    struct caller_text caller;
    enum page page;            /* that sent it */
    char error[24];            /* the error's `state`; empty: none */
    const char *model;         /* id, or the name that no model has; NULL */
    int status;                /* of the answer; 0: none yet */
    bool loaded;               /* it caused a load */
    bool unread;               /* its client left, though it goes on, and nobody else reads it */
    uint64_t restored;         /* tokens of its prompt that were restored from the prompt cache, */
    double saved_ms;           /* and what computing them would have taken */
    uint64_t load_ms;          /* of its wait, while the load that it caused went on */
    struct captured *captured; /* its bodies; NULL: they are not kept */
    struct trace_context trace;
    const struct host_request *place; /* with the scheduler, while it goes on */
    TAILQ_ENTRY(request_record) link;
    struct usage usage;
    /* From here on it is kept when the record is used again. */
    struct buf fields, answer_fields; /* of its head and the answer's (request_fields.h) */
    char *name;                       /* memory for `model`, */
    size_t name_size;                 /* of that many bytes */
};

/* How it ended; the first to say so is right. */
void request_record_end(struct request_record *e, enum request_end end);
/* The same: hostler answers with that status, for the reason `refusal`, which is static. */
void request_record_refuse(struct request_record *e, int status, const char *refusal);
/* `model`: a longer one than file names are is cut. */
void request_record_set_model(struct request_record *e, const char *model);
/* `state`: copied. */
void request_record_set_error(struct request_record *e, const char *state);

/* Embedded; members may be NULL. Observers may not be removed while one is called. */
struct request_observer {
    void (*begun)(struct request_observer *o, struct request_record *record,
                  const struct http_exchange *x);
    /* Again, if the first engine did not read it. */
    void (*granted)(struct request_observer *o, struct request_record *record);
    void (*first_byte)(struct request_observer *o, const struct request_record *record);
    /* Also of those that the list does not keep. */
    void (*ended)(struct request_observer *o, const struct request_record *record);
    /* The list has no place for it any more. */
    void (*forgotten)(struct request_observer *o, struct request_record *record);
    TAILQ_ENTRY(request_observer) link;
};

#define REQUEST_OTHER_ROUTE "other"

/* What is known of a request when it begins: of the record's members. */
struct request_kind {
    const char *route, *dialect;
    bool infers, passive;
};

struct request_log *request_log_create(uv_loop_t *loop);
void request_log_destroy(struct request_log *r);
void request_log_observe(struct request_log *r, struct request_observer *o);
void request_log_unobserve(struct request_log *r, struct request_observer *o);
struct request_record *request_log_begin(struct request_log *r, const struct caller *caller,
                                         const struct host_request *place,
                                         const struct request_kind *kind);
void request_log_grant(struct request_log *r, struct request_record *record);
/* The answer's head came from the engine. */
void request_log_answer_begins(struct request_record *record, const struct http_head *head);
/* The first of the answer's body came. */
void request_log_first_byte(struct request_log *r, struct request_record *record);
/* It is over; the record is the list's own. Polls of an engine's state, which say nothing when all went well, are not kept. */
void request_log_end(struct request_log *r, struct request_record *record);
/* One after the other, those that go on first, and of both the newest first: NULL before the first,
 * and after the last. */
const struct request_record *request_log_next(const struct request_log *r,
                                              const struct request_record *record);
/* NULL: there is none of that number, or not any more. O(requests). */
const struct request_record *request_log_find(const struct request_log *r, uint64_t id);
/* Whether it is for the model of that id. */
bool request_is_of(const struct request_record *record, const char *model);
/* O(requests that go on, and ended in the last 10 s). Tokens a second that the model's running and lately ended answers came with; 0: none. */
double request_log_rate(const struct request_log *r, const char *model);

#endif
