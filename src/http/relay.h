/* SPDX-License-Identifier: MIT */
/*
 * Passes one exchange on to an origin and its answer back, byte for byte, with back-pressure both
 * ways: what one side does not take, the other side is not read for. Framing is kept: an announced
 * length stays announced, chunks stay chunks. Fields that concern one connection only are dropped,
 * and so are the caller's credentials, which are meant for us, and the origin's word on CORS, which is
 * ours to say.
 *
 * What was read of the body before (to find the model) is replayed first: from memory, then from its file.
 * Until the answer begins it is kept, if it is the whole body and small or in a file, so that the request
 * can be made again.
 *
 * Either way transforms may stand between (message/pipeline.h). A request that is transformed is sent in
 * chunks.
 */
#ifndef HOSTLER_HTTP_RELAY_H
#define HOSTLER_HTTP_RELAY_H

#include <stdbool.h>
#include <stddef.h>

#include "http/client.h"
#include "http/held_body.h"
#include "http/server.h"
#include "message/pipeline.h"

enum relay_result {
    RELAY_DONE,        /* the answer is with the client (or on its way there) */
    RELAY_CLIENT_GONE, /* the client left: the origin's connection is closed */
    /* The exchange is still the caller's to answer: */
    RELAY_ABSENT,       /* nothing listens at the origin's address; nothing was sent */
    RELAY_NOT_SENT,     /* the origin has read none of it, and relay_start() may be called again */
    RELAY_NO_PLACE,     /* it waited in vain for one of the origin's connections */
    RELAY_NO_RESOURCES, /* nothing was sent: this process lacked descriptors or memory */
    RELAY_NO_ANSWER,    /* the origin ended before it answered; it may have read the request */
    /* The exchange has a begun answer, which the caller must end or abort: */
    RELAY_BROKEN,
    RELAY_UNTRANSLATABLE, /* a transform failed; the origin's connection is closed */
    /* The origin's connection is closed; the exchange has a begun answer if `status` is set: */
    RELAY_BAD_REQUEST, /* a transform refused the request's body */
    RELAY_BODY_LOST,   /* the file of the request's body cannot be read or written */
};

/* Bytes of a body that is copied when it is sent, so that it can be sent again. */
#define RELAY_REPLAY_MAX ((size_t)256 * 1024)

struct relay {
    struct http_exchange *x;
    struct http_call *call;
    struct http_client *client;
    struct held_body body; /* read before the relay began, or kept for another try; its `max` and
                              `share.budget` are the caller's to set */
    size_t replayed;       /* bytes of its file that were handed to this call */
    bool reads_file;       /* a read of it is under way */
    bool behind;           /* the client is paused until the file is written */
    bool paused;           /* it is paused until the call has begun to take the body */
    bool body_complete;    /* `body` was all of it */
    bool body_sent;        /* all of `body`, its file included, has been handed to the call */
    bool body_given_away;  /* some of it is not here any more: no other try */
    bool chunked;          /* the request's body is sent in chunks */
    bool starting;         /* in relay_start() */
    int request_error;     /* a transform's, while starting */
    bool fresh;            /* the call must not use a kept connection */
    bool urgent;           /* short: not behind others, set by the caller */
    bool is_event_stream;  /* the answer is text/event-stream */
    int status;            /* of the answer; 0 before */
    const char *target;    /* for the origin; NULL: as the client gave it */
    const char *fields;    /* more fields for the answer's head: complete lines, or NULL */
    /* The request's traceparent, in place of the client's; NULL: that one passes. */
    const char *traceparent;
    /* Transforms for the request's body, which end in relay_request_sink() with this relay as
     * its context; NULL: its bytes pass untouched. The caller's, until `done` or relay_finish(). */
    struct pipeline *request;
    /* The same for the answer's body, which end in relay_sink(). */
    struct pipeline *answer;
    const char *answer_type; /* the Content-Type that they make of it; NULL: as it is */
    /* The answer begins with that head; what was kept of the request's body is still there. NULL. */
    void (*begins)(struct relay *r, const struct http_head *head);
    /* What comes of the answer's body, as it passes, before any transform; NULL. An event stream's head comes
     * before the origin has done anything: of the request's body is kept what was kept until its first piece has passed. */
    void (*passed)(struct relay *r, const char *data, size_t len);
    void (*done)(struct relay *r, enum relay_result result);
};

/* Zeroes it. */
void relay_init(struct relay *r, struct http_exchange *x);
/* Frees what is kept; a call that runs is cancelled. */
void relay_finish(struct relay *r);
/*
 * Starts. `body_complete`, `urgent`, `target`, `fields`, `passed`, `done` and the pipelines are set by the
 * caller. From here on the exchange's events go to the relay: feed `body` and `body_end` to relay_body() and
 * relay_body_end(), `drain` to relay_drain(); on `gone` call relay_finish(). `done` is called once,
 * never from inside relay_start(). 0, or -ENOMEM, or what a transform of the request returned: the exchange
 * is still the caller's to answer.
 */
int relay_start(struct relay *r, struct http_client *client) __attribute__((warn_unused_result));
/* Keeps what came of the body before the relay began. 0, or an error of held_body_append(): the caller
 * answers, and ends the relay. */
int relay_hold(struct relay *r, const char *data, size_t len) __attribute__((warn_unused_result));
/* Until the relay has begun to send: the client is not read. */
void relay_pause(struct relay *r);
/* 0, or one of relay_hold()'s errors, or what a transform of the request returned. */
int relay_body(struct relay *r, const char *data, size_t len) __attribute__((warn_unused_result));
void relay_body_end(struct relay *r);
/* The sinks of `request`, to the origin, and of `answer`, to the client. */
message_sink relay_request_sink, relay_sink;
void relay_drain(struct relay *r);

#endif
