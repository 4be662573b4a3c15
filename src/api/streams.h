/* SPDX-License-Identifier: MIT */
/*
 * Resumable streams, as llama.cpp's web UI uses them. A request with `X-Conversation-Id: ID` begins
 * a session at its engine, which keeps what it generates and goes on when the client is gone: GET
 * /v1/stream?conv_id=ID reads it again, DELETE stops it, POST /v1/streams/lookup tells which there
 * are. Here it is remembered which model has which session. An ID that was not seen here may name
 * its model behind `::`.
 */
#ifndef HOSTLER_API_STREAMS_H
#define HOSTLER_API_STREAMS_H

#include <stdbool.h>
#include <sys/queue.h>

#define STREAMS_MAX 4096    /* remembered; of more, the latest and all that wait */
#define STREAMS_ID_MAX 1024 /* bytes; a session with a longer id is not remembered */

struct streams;

/* A request with such an ID that waits for its engine. Embedded; zeroed while it does not. */
struct stream_waiter {
    /* It was stopped, or another request took its place. It has left already. */
    void (*stopped)(struct stream_waiter *w);
    struct session *session;
};

struct streams *streams_create(void);
/* When nobody waits. */
void streams_destroy(struct streams *s);
/* `model`'s engine will have session `id`, in place of any that has it; `w` waits for it.
 * Whether it is remembered. */
bool streams_begin(struct streams *s, const char *id, const char *model, struct stream_waiter *w);
/* It does not wait any more. No-op when it does not. */
void streams_leave(struct stream_waiter *w);
/* Forgets it; whoever still waits for its engine waits in vain. */
void streams_stop(struct streams *s, const char *id);
/* The id of the model whose engine has it, good until it is forgotten; NULL. */
const char *streams_model(const struct streams *s, const char *id);

#endif
