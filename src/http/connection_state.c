/* SPDX-License-Identifier: MIT */
#include "http/connection_state.h"

#define TO(state, action)                                                                          \
    {                                                                                              \
        CONNECTION_##state, CONNECTION_DO_##action                                                 \
    }
#define ON(event) [CONNECTION_ON_##event]

/* An event that leaves the state as it is has NOTHING where it may come, and ASSERT where it cannot. */
const struct connection_step connection_steps[CONNECTION_STATES][CONNECTION_EVENTS] =
    {
        [CONNECTION_IDLE] =
            {
                ON(REQUEST) = TO(HEAD, NOTHING),
                ON(HEAD_END) = TO(IDLE, ASSERT),
                ON(BODY_END) = TO(IDLE, ASSERT),
                ON(BAD_REQUEST) = TO(ANSWER, REFUSE),
                ON(ANSWERED) = TO(IDLE, ASSERT),
                ON(ANSWERED_LAST) = TO(IDLE, ASSERT),
                ON(SENT) = TO(IDLE, NOTHING),
                ON(TIMEOUT) = TO(CLOSING, HANG_UP),
                ON(LAST) = TO(FINISH, FINISH),
                ON(RETIRE) = TO(CLOSING, HANG_UP),
                ON(LOST) = TO(CLOSING, CLOSE),
                ON(HANDLE_CLOSED) = TO(IDLE, ASSERT),
                ON(RELEASED) = TO(IDLE, ASSERT),
            },
        [CONNECTION_HEAD] =
            {
                ON(REQUEST) = TO(HEAD, ASSERT),
                ON(HEAD_END) = TO(BODY, NOTHING),
                ON(BODY_END) = TO(HEAD, ASSERT),
                ON(BAD_REQUEST) = TO(ANSWER, REFUSE),
                ON(ANSWERED) = TO(HEAD, ASSERT),
                ON(ANSWERED_LAST) = TO(HEAD, ASSERT),
                ON(SENT) = TO(HEAD, NOTHING),
                ON(TIMEOUT) = TO(ANSWER, TIME_OUT),
                ON(LAST) = TO(HEAD, NOTHING),
                ON(RETIRE) = TO(HEAD, NOTHING),
                ON(LOST) = TO(CLOSING, CLOSE),
                ON(HANDLE_CLOSED) = TO(HEAD, ASSERT),
                ON(RELEASED) = TO(HEAD, ASSERT),
            },
        [CONNECTION_BODY] =
            {
                ON(REQUEST) = TO(BODY, ASSERT),
                ON(HEAD_END) = TO(BODY, ASSERT),
                ON(BODY_END) = TO(ANSWER, NOTHING),
                ON(BAD_REQUEST) = TO(ANSWER, REFUSE),
                ON(ANSWERED) = TO(DISCARD, NOTHING),
                ON(ANSWERED_LAST) = TO(FINISH, FINISH),
                ON(SENT) = TO(BODY, NOTHING),
                ON(TIMEOUT) = TO(ANSWER, TIME_OUT),
                ON(LAST) = TO(BODY, NOTHING),
                ON(RETIRE) = TO(BODY, NOTHING),
                ON(LOST) = TO(CLOSING, CLOSE),
                ON(HANDLE_CLOSED) = TO(BODY, ASSERT),
                ON(RELEASED) = TO(BODY, ASSERT),
            },
        [CONNECTION_ANSWER] =
            {
                ON(REQUEST) = TO(ANSWER, ASSERT),
                ON(HEAD_END) = TO(ANSWER, ASSERT),
                ON(BODY_END) = TO(ANSWER, ASSERT),
                ON(BAD_REQUEST) = TO(ANSWER, ASSERT),
                ON(ANSWERED) = TO(IDLE, NEXT),
                ON(ANSWERED_LAST) = TO(FINISH, FINISH),
                ON(SENT) = TO(ANSWER, NOTHING),
                ON(TIMEOUT) = TO(CLOSING, CLOSE),
                ON(LAST) = TO(ANSWER, NOTHING),
                ON(RETIRE) = TO(ANSWER, NOTHING),
                ON(LOST) = TO(CLOSING, CLOSE),
                ON(HANDLE_CLOSED) = TO(ANSWER, ASSERT),
                ON(RELEASED) = TO(ANSWER, ASSERT),
            },
        [CONNECTION_DISCARD] =
            {
                ON(REQUEST) = TO(DISCARD, ASSERT),
                ON(HEAD_END) = TO(DISCARD, ASSERT),
                ON(BODY_END) = TO(IDLE, NEXT),
                ON(BAD_REQUEST) = TO(CLOSING, CLOSE),
                ON(ANSWERED) = TO(DISCARD, ASSERT),
                ON(ANSWERED_LAST) = TO(DISCARD, ASSERT),
                ON(SENT) = TO(DISCARD, NOTHING),
                ON(TIMEOUT) = TO(CLOSING, CLOSE),
                ON(LAST) = TO(FINISH, FINISH),
                ON(RETIRE) = TO(DISCARD, NOTHING),
                ON(LOST) = TO(CLOSING, CLOSE),
                ON(HANDLE_CLOSED) = TO(DISCARD, ASSERT),
                ON(RELEASED) = TO(DISCARD, ASSERT),
            },
        [CONNECTION_FINISH] =
            {
                ON(REQUEST) = TO(FINISH, ASSERT),
                ON(HEAD_END) = TO(FINISH, ASSERT),
                ON(BODY_END) = TO(FINISH, NOTHING),
                ON(BAD_REQUEST) = TO(FINISH, NOTHING),
                ON(ANSWERED) = TO(FINISH, ASSERT),
                ON(ANSWERED_LAST) = TO(FINISH, ASSERT),
                ON(SENT) = TO(LINGER, SHUT),
                ON(TIMEOUT) = TO(CLOSING, CLOSE),
                ON(LAST) = TO(FINISH, NOTHING),
                ON(RETIRE) = TO(FINISH, NOTHING),
                ON(LOST) = TO(CLOSING, CLOSE),
                ON(HANDLE_CLOSED) = TO(FINISH, ASSERT),
                ON(RELEASED) = TO(FINISH, ASSERT),
            },
        [CONNECTION_LINGER] =
            {
                ON(REQUEST) = TO(LINGER, ASSERT),
                ON(HEAD_END) = TO(LINGER, ASSERT),
                ON(BODY_END) = TO(LINGER, NOTHING),
                ON(BAD_REQUEST) = TO(LINGER, NOTHING),
                ON(ANSWERED) = TO(LINGER, ASSERT),
                ON(ANSWERED_LAST) = TO(LINGER, ASSERT),
                ON(SENT) = TO(LINGER, NOTHING),
                ON(TIMEOUT) = TO(CLOSING, CLOSE),
                ON(LAST) = TO(LINGER, NOTHING),
                ON(RETIRE) = TO(LINGER, NOTHING),
                ON(LOST) = TO(CLOSING, CLOSE),
                ON(HANDLE_CLOSED) = TO(LINGER, ASSERT),
                ON(RELEASED) = TO(LINGER, ASSERT),
            },
        [CONNECTION_CLOSING] =
            {
                ON(REQUEST) = TO(CLOSING, ASSERT),
                ON(HEAD_END) = TO(CLOSING, ASSERT),
                ON(BODY_END) = TO(CLOSING, NOTHING),
                ON(BAD_REQUEST) = TO(CLOSING, NOTHING),
                ON(ANSWERED) = TO(CLOSING, ASSERT),
                ON(ANSWERED_LAST) = TO(CLOSING, ASSERT),
                ON(SENT) = TO(CLOSING, NOTHING),
                ON(TIMEOUT) = TO(CLOSING, NOTHING),
                ON(LAST) = TO(CLOSING, NOTHING),
                ON(RETIRE) = TO(CLOSING, NOTHING),
                ON(LOST) = TO(CLOSING, NOTHING),
                ON(HANDLE_CLOSED) = TO(CLOSED, FREE),
                ON(RELEASED) = TO(CLOSING, NOTHING),
            },
        [CONNECTION_CLOSED] =
            {
                ON(REQUEST) = TO(CLOSED, ASSERT),
                ON(HEAD_END) = TO(CLOSED, ASSERT),
                ON(BODY_END) = TO(CLOSED, ASSERT),
                ON(BAD_REQUEST) = TO(CLOSED, ASSERT),
                ON(ANSWERED) = TO(CLOSED, ASSERT),
                ON(ANSWERED_LAST) = TO(CLOSED, ASSERT),
                ON(SENT) = TO(CLOSED, ASSERT),
                ON(TIMEOUT) = TO(CLOSED, ASSERT),
                ON(LAST) = TO(CLOSED, ASSERT),
                ON(RETIRE) = TO(CLOSED, ASSERT),
                ON(LOST) = TO(CLOSED, ASSERT),
                ON(HANDLE_CLOSED) = TO(CLOSED, ASSERT),
                ON(RELEASED) = TO(CLOSED, FREE),
            },
};

const char *connection_state_name(enum connection_state state)
{
    static const char *const names[CONNECTION_STATES] = {
        "idle", "head", "body", "answer", "discard", "finish", "linger", "closing", "closed"};
    return names[state];
}

const char *connection_event_name(enum connection_event event)
{
    static const char *const names[CONNECTION_EVENTS] = {
        "request", "head end", "body end", "bad request", "answered",      "answered, last", "sent",
        "timeout", "last",     "retire",   "lost",        "handle closed", "released"};
    return names[event];
}
