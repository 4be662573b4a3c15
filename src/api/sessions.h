/* SPDX-License-Identifier: MIT */
/*
 * Resumable streams, as llama.cpp's web UI uses them. A request with `X-Conversation-Id: ID` begins
 * a session at its engine, which keeps what it generates and goes on when the client is gone: GET
 * /v1/stream?conv_id=ID reads it again, DELETE stops it, POST /v1/streams/lookup tells which there
 * are. Here it is remembered which model has which session. An ID that was not seen here may name
 * its model after `::`.
 */
#ifndef HOSTLER_API_SESSIONS_H
#define HOSTLER_API_SESSIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#define SESSIONS_MAX 4096    /* remembered; of more, the latest and all that wait */
#define SESSIONS_ID_MAX 1024 /* bytes; a session with a longer id is not remembered */

struct sessions;

/* A request with such an ID, while it goes on. Embedded; zeroed before. */
struct session_request {
    /* It waited, and was stopped, or another request took its place. It has left already. */
    void (*stopped)(struct session_request *r);
    /* A reader came, who reads its answer beside its client, or the last one left (`is_read`). */
    void (*read_again)(struct session_request *r);
    struct session *session;
    bool at_engine; /* it does not wait any more */
    bool is_read;   /* by a reader beside its client */
};

/* Who reads a session again. Embedded; zeroed before. */
struct session_reader {
    uint64_t session; /* its number; 0: none */
};

struct sessions *sessions_create(void);
/* When nobody waits. */
void sessions_destroy(struct sessions *s);
/* `model`'s engine will have session `id`, in place of any that has it; `r` waits for it.
 * Whether it is remembered. */
bool sessions_begin(struct sessions *s, const char *id, const char *model,
                    struct session_request *r);
/* Its engine has it, to be stopped there; or it waits again. */
void sessions_grant(struct session_request *r);
void sessions_wait_again(struct session_request *r);
/* It is over. No-op when it is in no session. */
void sessions_leave(struct session_request *r);
/* Session `id`, if there is one, is read again, until sessions_end_reading(). */
void sessions_begin_reading(struct sessions *s, const char *id, struct session_reader *reader);
/* No-op when it reads none. */
void sessions_end_reading(struct sessions *s, const char *id, struct session_reader *reader);
/* It has no model any more; whoever still waits for its engine waits in vain. */
void sessions_stop(struct sessions *s, const char *id);
/* Whether it was stopped and has not begun anew since, as far as is remembered. */
bool sessions_is_stopped(const struct sessions *s, const char *id);
/* The id of the model whose engine has it, good until it is forgotten; NULL. */
const char *sessions_model(const struct sessions *s, const char *id);

#endif
