/* SPDX-License-Identifier: MIT */
#include "api/sessions.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"

struct session {
    char *id;
    char *model;
    struct session_waiter *waiter; /* NULL: its request is at the engine, or over */
    UT_hash_handle hh;
    TAILQ_ENTRY(session) link;
};

struct sessions {
    struct session *by_id;
    TAILQ_HEAD(, session) by_age; /* the oldest first */
};

struct sessions *sessions_create(void)
{
    struct sessions *s = mem_zalloc(sizeof *s);
    TAILQ_INIT(&s->by_age);
    return s;
}

static void forget(struct sessions *s, struct session *session)
{
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

void sessions_leave(struct session_waiter *w)
{
    if (w->session)
        w->session->waiter = NULL;
    w->session = NULL;
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
    struct session_waiter *w = session->waiter;
    if (w)
        sessions_leave(w);
    forget(s, session);
    if (w)
        w->stopped(w);
}

static void forget_oldest(struct sessions *s)
{
    struct session *session, *next;
    for (session = TAILQ_FIRST(&s->by_age); session && HASH_COUNT(s->by_id) >= SESSIONS_MAX;
         session = next) {
        next = TAILQ_NEXT(session, link);
        if (!session->waiter)
            forget(s, session);
    }
}

bool sessions_begin(struct sessions *s, const char *id, const char *model, struct session_waiter *w)
{
    sessions_stop(s, id);
    if (strlen(id) > SESSIONS_ID_MAX)
        return false;
    forget_oldest(s);
    struct session *session = mem_zalloc(sizeof *session);
    session->id = mem_strdup(id);
    session->model = mem_strdup(model);
    session->waiter = w;
    w->session = session;
    HASH_ADD_KEYPTR(hh, s->by_id, session->id, strlen(session->id), session);
    TAILQ_INSERT_TAIL(&s->by_age, session, link);
    return true;
}
