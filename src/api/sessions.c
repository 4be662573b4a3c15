/* SPDX-License-Identifier: MIT */
#include "api/sessions.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"

struct session {
    char *id;
    char *model;                     /* NULL: it was stopped */
    uint64_t number;                 /* in order of their beginnings, from 1 */
    unsigned readers;                /* beside the request's client */
    struct session_request *request; /* NULL: it is over */
    UT_hash_handle hh;
    TAILQ_ENTRY(session) link;
};

struct sessions {
    struct session *by_id;
    TAILQ_HEAD(, session) by_age; /* the oldest first */
    uint64_t begun;
};

struct sessions *sessions_create(void)
{
    struct sessions *s = mem_zalloc(sizeof *s);
    TAILQ_INIT(&s->by_age);
    return s;
}

void sessions_leave(struct session_request *r)
{
    if (r->session)
        r->session->request = NULL;
    r->session = NULL;
}

void sessions_grant(struct session_request *r)
{
    r->at_engine = true;
}

void sessions_wait_again(struct session_request *r)
{
    r->at_engine = false;
}

static bool waits(const struct session *session)
{
    return session->request && !session->request->at_engine;
}

static void forget(struct sessions *s, struct session *session)
{
    if (session->request)
        sessions_leave(session->request);
    HASH_DEL(s->by_id, session);
    TAILQ_REMOVE(&s->by_age, session, link);
    free(session->id);
    free(session->model);
    free(session);
}

void sessions_destroy(struct sessions *s)
{
    struct session *session;
    while ((session = TAILQ_FIRST(&s->by_age)))
        forget(s, session);
    free(s);
}

static struct session *find(const struct sessions *s, const char *id)
{
    struct session *session;
    HASH_FIND_STR(s->by_id, id, session);
    return session;
}

const char *sessions_model(const struct sessions *s, const char *id)
{
    const struct session *session = find(s, id);
    return session ? session->model : NULL;
}

void sessions_stop(struct sessions *s, const char *id)
{
    struct session *session = find(s, id);
    if (!session)
        return;
    struct session_request *waiter = waits(session) ? session->request : NULL;
    if (session->request)
        sessions_leave(session->request);
    free(session->model);
    session->model = NULL;
    if (waiter)
        waiter->stopped(waiter);
}

bool sessions_is_stopped(const struct sessions *s, const char *id)
{
    const struct session *session = find(s, id);
    return session && !session->model;
}

static void forget_oldest(struct sessions *s)
{
    struct session *session, *next;
    for (session = TAILQ_FIRST(&s->by_age); session && HASH_COUNT(s->by_id) >= SESSIONS_MAX;
         session = next) {
        next = TAILQ_NEXT(session, link);
        if (!waits(session))
            forget(s, session);
    }
}

bool sessions_begin(struct sessions *s, const char *id, const char *model,
                    struct session_request *r)
{
    struct session *before;
    sessions_stop(s, id);
    if ((before = find(s, id))) /* what was stopped may have begun a session itself */
        forget(s, before);
    if (strlen(id) > SESSIONS_ID_MAX)
        return false;
    forget_oldest(s);
    struct session *session = mem_zalloc(sizeof *session);
    session->id = mem_strdup(id);
    session->model = mem_strdup(model);
    session->number = ++s->begun;
    session->request = r;
    r->session = session;
    r->at_engine = r->is_read = false;
    HASH_ADD_KEYPTR(hh, s->by_id, session->id, strlen(session->id), session);
    TAILQ_INSERT_TAIL(&s->by_age, session, link);
    return true;
}

/* --- reading again -------------------------------------------------------------------------------
 */

static void announce(const struct session *session)
{
    struct session_request *r = session->request;
    if (!r)
        return;
    r->is_read = session->readers;
    r->read_again(r);
}

void sessions_begin_reading(struct sessions *s, const char *id, struct session_reader *reader)
{
    struct session *session = find(s, id);
    if (!session)
        return;
    reader->session = session->number;
    if (!session->readers++)
        announce(session);
}

void sessions_end_reading(struct sessions *s, const char *id, struct session_reader *reader)
{
    struct session *session = reader->session ? find(s, id) : NULL;
    if (session && session->number == reader->session && !--session->readers)
        announce(session);
    reader->session = 0;
}
