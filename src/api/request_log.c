/* SPDX-License-Identifier: MIT */
#include "api/request_log.h"

#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/request_fields.h"
#include "base/clock.h"
#include "base/memory.h"

#define ENDED_MAX 1000
#define RECENT_MS 10000

TAILQ_HEAD(records, request_record);

struct request_log {
    uv_loop_t *loop;
    struct records running, ended; /* newest first */
    TAILQ_HEAD(, request_observer) observers;
    unsigned n_ended;
    uint64_t last_id;
};

struct request_log *request_log_create(uv_loop_t *loop)
{
    struct request_log *r = mem_zalloc(sizeof *r);
    r->loop = loop;
    TAILQ_INIT(&r->running);
    TAILQ_INIT(&r->ended);
    TAILQ_INIT(&r->observers);
    return r;
}

static struct request_record *create(void)
{
    struct request_record *e = mem_zalloc(sizeof *e);
    request_fields_init(&e->fields);
    request_fields_init(&e->answer_fields);
    return e;
}

static void destroy(struct request_record *e)
{
    buf_finish(&e->fields);
    buf_finish(&e->answer_fields);
    free(e->name);
    free(e);
}

/* Empties it for another request, but keeps the memory of its texts: a busy server asks for none. What `usage` has of an
 * answer's end is as long as its length says. */
static void reset(struct request_record *e)
{
    memset(e, 0, offsetof(struct request_record, usage.tail));
    buf_clear(&e->fields);
    buf_clear(&e->answer_fields);
}

static void destroy_all(struct records *records)
{
    struct request_record *e;
    while ((e = TAILQ_FIRST(records))) { // NOLINT(clang-analyzer-unix.Malloc): it is taken out
        TAILQ_REMOVE(records, e, link);
        destroy(e);
    }
}

void request_log_destroy(struct request_log *r)
{
    destroy_all(&r->running);
    destroy_all(&r->ended);
    free(r);
}

void request_log_observe(struct request_log *r, struct request_observer *o)
{
    TAILQ_INSERT_TAIL(&r->observers, o, link);
}

void request_log_unobserve(struct request_log *r, struct request_observer *o)
{
    TAILQ_REMOVE(&r->observers, o, link);
}

/* Calls what observers have for it, if they have. */
#define TELL(r, what, ...)                                                                         \
    do {                                                                                           \
        struct request_observer *o;                                                                \
        TAILQ_FOREACH (o, &(r)->observers, link)                                                   \
            if (o->what)                                                                           \
                o->what(o, __VA_ARGS__);                                                           \
    } while (0)

/* --- a record's life ----------------------------------------------------------------------------
 */

static struct request_record *take_oldest(struct request_log *r)
{
    struct request_record *e = TAILQ_LAST(&r->ended, records);
    TAILQ_REMOVE(&r->ended, e, link);
    r->n_ended--;
    TELL(r, forgotten, e);
    return e;
}

/* The oldest is used again where there are many. */
static struct request_record *new_record(struct request_log *r)
{
    if (r->n_ended < ENDED_MAX)
        return create();
    struct request_record *e = take_oldest(r);
    reset(e);
    return e;
}

struct request_record *request_log_begin(struct request_log *r, const struct caller *caller,
                                         const struct host_request *place,
                                         const struct request_kind *kind)
{
    struct request_record *e = new_record(r);
    e->id = ++r->last_id;
    e->at = clock_unix();
    e->arrived = uv_now(r->loop);
    e->place = place;
    caller_text_set(&e->caller, caller);
    e->page = caller->page;
    e->route = kind->route;
    e->dialect = kind->dialect;
    e->infers = kind->infers;
    e->passive = kind->passive;
    e->method = http_exchange_method(caller->x);
    request_fields_set(&e->fields, http_exchange_head(caller->x));
    TAILQ_INSERT_HEAD(&r->running, e, link);
    TELL(r, begun, e, caller->x);
    return e;
}

/* The load began when it asked, or before. */
static uint64_t load_ms(const struct request_record *e)
{
    const double waited = (double)(e->granted - e->arrived);
    const double load = (clock_unix() - e->place->instance->loaded_at) * 1000;
    return (uint64_t)(load < 0 ? 0 : load < waited ? load : waited);
}

void request_log_grant(struct request_log *r, struct request_record *e)
{
    e->granted = uv_now(r->loop);
    e->load_ms = e->place->loaded ? load_ms(e) : 0;
    e->usage.kind = e->place->instance->launch->program->kind;
    TELL(r, granted, e);
}

void request_log_answer_begins(struct request_record *e, const struct http_head *head)
{
    request_fields_set(&e->answer_fields, head);
}

void request_log_first_byte(struct request_log *r, struct request_record *e)
{
    e->first_byte = uv_now(r->loop);
    TELL(r, first_byte, e);
}

void request_log_end(struct request_log *r, struct request_record *e)
{
    TAILQ_REMOVE(&r->running, e, link);
    e->place = NULL;
    e->ended = uv_now(r->loop);
    usage_end(&e->usage);
    TELL(r, ended, e);
    if (e->passive && e->status == 200 && !e->loaded) {
        destroy(e);
        return;
    }
    TAILQ_INSERT_HEAD(&r->ended, e, link);
    if (++r->n_ended > ENDED_MAX)
        destroy(take_oldest(r));
}

bool request_is_of(const struct request_record *e, const char *model)
{
    return e->model && strcmp(e->model, model) == 0;
}

void request_record_end(struct request_record *e, enum request_end end)
{
    if (e->end == REQUEST_GOES_ON)
        e->end = end;
}

void request_record_refuse(struct request_record *e, int status, const char *refusal)
{
    e->status = status;
    if (e->end != REQUEST_GOES_ON)
        return;
    e->end = REQUEST_REFUSED;
    e->refusal = refusal;
}

void request_record_set_model(struct request_record *e, const char *model)
{
    const size_t len = strnlen(model, NAME_MAX);
    if (len >= e->name_size) {
        e->name = mem_realloc(e->name, len + 1);
        e->name_size = len + 1;
    }
    memcpy(e->name, model, len);
    e->name[len] = '\0';
    e->model = e->name;
}

void request_record_set_error(struct request_record *e, const char *state)
{
    snprintf(e->error, sizeof e->error, "%s", state);
}

const struct request_record *request_log_next(const struct request_log *r,
                                              const struct request_record *e)
{
    const struct request_record *next = e ? TAILQ_NEXT(e, link) : TAILQ_FIRST(&r->running);
    bool was_last_running = !next && !(e && e->ended);
    return was_last_running ? TAILQ_FIRST(&r->ended) : next;
}

const struct request_record *request_log_find(const struct request_log *r, uint64_t id)
{
    const struct request_record *e = NULL;
    while ((e = request_log_next(r, e)) && e->id != id)
        ;
    return e;
}

/* --- figures ------------------------------------------------------------------------------------
 */

double request_log_rate(const struct request_log *r, const char *model)
{
    const struct request_record *e;
    uint64_t now = uv_now(r->loop);
    double rate = 0;
    TAILQ_FOREACH (e, &r->running, link)
        if (request_is_of(e, model) && e->granted && now > e->granted && e->usage.pieces > 1)
            rate += e->usage.pieces * 1000.0 / (double)(now - e->granted);
    TAILQ_FOREACH (e, &r->ended, link) {
        if (now - e->ended > RECENT_MS)
            break;
        if (request_is_of(e, model) && e->usage.known)
            rate += (double)e->usage.said.tokens * 1000.0 / RECENT_MS;
    }
    return rate;
}
