/* SPDX-License-Identifier: MIT */
/*
 * The states of a server's connection, and what each event does in each of them: a table without I/O
 * (tests/unit/http/test_connection_state.c walks all pairs). http/connection.c raises the events and
 * carries out the actions.
 *
 *     IDLE → HEAD → BODY → ANSWER → IDLE …                        keep-alive
 *                     └─→ DISCARD ──┘                             answered before the body was read
 *     BODY, ANSWER → FINISH → LINGER → CLOSING → CLOSED           the last answer
 *     any state → CLOSING                                         the connection is lost
 */
#ifndef HOSTLER_HTTP_CONNECTION_STATE_H
#define HOSTLER_HTTP_CONNECTION_STATE_H

enum connection_state {
    CONNECTION_IDLE,   /* no byte of a request has come, since the accept or the last answer */
    CONNECTION_HEAD,   /* a part of a request's head has come */
    CONNECTION_BODY,   /* the handler was called; the rest of the body and the answer are to come */
    CONNECTION_ANSWER, /* the request is complete, the answer is not */
    CONNECTION_DISCARD, /* the answer is complete; the rest of the body is read and thrown away */
    CONNECTION_FINISH,  /* the last answer is complete, but not all of it is sent */
    CONNECTION_LINGER,  /* our side is shut; the client may still send, and has to close */
    CONNECTION_CLOSING, /* the socket is closed, its handle is not yet */
    CONNECTION_CLOSED,  /* the handle is closed; memory lives on for a handler without a client */
    CONNECTION_STATES
};

enum connection_event {
    CONNECTION_ON_REQUEST,       /* the first byte of a request */
    CONNECTION_ON_HEAD_END,      /* its head is complete and acceptable */
    CONNECTION_ON_BODY_END,      /* the request is complete */
    CONNECTION_ON_BAD_REQUEST,   /* what came is no acceptable HTTP, and no answer has begun */
    CONNECTION_ON_ANSWERED,      /* the answer is complete; the connection may be used again */
    CONNECTION_ON_ANSWERED_LAST, /* the answer is complete; the connection must end */
    CONNECTION_ON_SENT,          /* everything that was written is with the kernel */
    CONNECTION_ON_TIMEOUT,       /* the state's time limit has passed, and no answer has begun */
    CONNECTION_ON_LAST,          /* no further request is taken (the server is going to end) */
    CONNECTION_ON_RETIRE,        /* the same when nothing is left to send, or its place is needed */
    CONNECTION_ON_LOST,          /* the client closed, the connection broke, or we give it up */
    CONNECTION_ON_HANDLE_CLOSED, /* the loop has let go of the handle */
    CONNECTION_ON_RELEASED,      /* a handler without a client has finished */
    CONNECTION_EVENTS
};

enum connection_action {
    CONNECTION_UNDEFINED,   /* no entry of the table has it */
    CONNECTION_DO_NOTHING,  /* also for what may come late: from the parser, say, after a close */
    CONNECTION_DO_NEXT,     /* forget the request; the next one may begin */
    CONNECTION_DO_REFUSE,   /* answer 400 or 431, then ANSWERED_LAST */
    CONNECTION_DO_TIME_OUT, /* answer 408, then ANSWERED_LAST */
    CONNECTION_DO_FINISH,   /* send what is left, then SENT */
    CONNECTION_DO_SHUT,     /* shut our side */
    CONNECTION_DO_HANG_UP,  /* close; nothing is lost, and TLS says so */
    CONNECTION_DO_CLOSE,    /* close, and tell the handler */
    CONNECTION_DO_FREE,     /* free, unless a handler goes on without its client */
    CONNECTION_DO_ASSERT,   /* this cannot happen: a bug of ours */
};

struct connection_step {
    enum connection_state next;
    enum connection_action action;
};

/* Each pair of state and event has an entry. */
extern const struct connection_step connection_steps[CONNECTION_STATES][CONNECTION_EVENTS];

/* O(1). */
static inline struct connection_step connection_step(enum connection_state state,
                                                     enum connection_event event)
{
    return connection_steps[state][event];
}

const char *connection_state_name(enum connection_state state);
const char *connection_event_name(enum connection_event event);

#endif
