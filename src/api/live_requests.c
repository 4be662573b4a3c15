/* SPDX-License-Identifier: MIT */
#include "api/live_requests.h"

#include <math.h>
#include <stdlib.h>

#include "api/encode.h"
#include "api/request_json.h"
#include "api/request_log.h"
#include "base/container_of.h"
#include "base/hash.h"
#include "base/memory.h"

#define SHOWN_AFTER_MS 500 /* nobody can follow shorter ones; they are told of when they are over */
#define ETA_MAX 32         /* waiting requests whose time to wait is computed */

struct live_request {
    struct live_item item;
    uint64_t id;
    const struct request_record *record; /* in an update: found among those that go on */
    json_t *sent;
    TAILQ_ENTRY(live_request) turn; /* who was sent least recently comes first */
    UT_hash_handle hh;
};

struct live_requests {
    struct api *api;
    struct live_items *items;
    struct live_request *by_id; /* a table, of those that are not gone */
    TAILQ_HEAD(, live_request) turns;
    unsigned n;
    unsigned etas;       /* that this update computed */
    uint64_t last_ended; /* the id of the newest that was over at the last update */
    uint64_t updated_at; /* uv_now(), ms */
    bool any;
};

struct live_requests *live_requests_create(struct api *api, struct live_items *items)
{
    struct live_requests *r = mem_zalloc(sizeof *r);
    r->api = api;
    r->items = items;
    r->updated_at = uv_now(host_loop(api->host));
    TAILQ_INIT(&r->turns);
    return r;
}

static void free_request(struct live_request *q)
{
    json_decref(q->sent);
    free(q);
}

void live_requests_destroy(struct live_requests *r)
{
    struct live_request *q, *next;
    HASH_ITER (hh, r->by_id, q, next) {
        HASH_DEL(r->by_id, q); // NOLINT(clang-analyzer-unix.Malloc): it is taken out first
        TAILQ_REMOVE(r->items, &q->item, link);
        free_request(q);
    }
    free(r);
}

void live_requests_free(struct live_requests *r, struct live_item *item)
{
    TAILQ_REMOVE(r->items, item, link);
    free_request(container_of(item, struct live_request, item));
}

bool live_requests_any(const struct live_requests *r)
{
    return r->any;
}

/* --- rows ---------------------------------------------------------------------------------------
 */

/* Tokens a second so far, as a number with a short text: whole ones, or quarters. NULL: none have come. */
static json_t *rate_of(const struct request_record *e, uint64_t now)
{
    if (e->ended || !e->granted || now <= e->granted || e->usage.pieces < 2)
        return NULL;
    double rate = e->usage.pieces * 1000.0 / (double)(now - e->granted);
    return rate < 10 ? json_real(round(rate * 4) / 4) : json_integer((json_int_t)round(rate));
}

/* What GET /hostler/v1/requests has of it, with the rate of an answer that goes on, and how long it may wait. */
static json_t *row_of(struct live_requests *r, const struct request_record *e, uint64_t now)
{
    json_t *o = request_json(e, now);
    json_t *rate = rate_of(e, now);
    if (rate)
        json_object_set_new(o, "tokens_per_second", rate);
    if (!e->ended && !e->granted && e->place->model && r->etas++ < ETA_MAX) {
        uint64_t eta = host_eta(e->place->model);
        json_object_set_new(o, "eta_ms",
                            eta == SCHED_NEVER ? json_null() : json_integer((json_int_t)eta));
    }
    return o;
}

static bool is_state(const json_t *row, const char *state)
{
    return strcmp(json_string_value(json_object_get(row, "state")), state) == 0;
}

/* What goes on by itself is not sent while it does: the reader has a clock. */
static bool runs_by_itself(const char *member, const json_t *row)
{
    return (strcmp(member, "elapsed_ms") == 0 && !is_state(row, "done")) ||
           (strcmp(member, "waited_ms") == 0 && is_state(row, "waiting"));
}

/* A time to wait that passes as it was told is no news. */
static bool eta_differs(const json_t *sent, const json_t *now, double passed)
{
    if (!json_is_integer(sent) || !json_is_integer(now))
        return !json_equal(sent, now);
    double expected = fmax(json_number_value(sent) - passed, 0), eta = json_number_value(now);
    return fabs(eta - expected) > fmax(1000, expected / 10);
}

static bool rate_differs(const json_t *sent, const json_t *now)
{
    return !json_is_number(sent) || !json_is_number(now) ||
           fabs(json_number_value(sent) - json_number_value(now)) > json_number_value(sent) / 100;
}

static bool member_differs(const char *name, json_t *sent, json_t *now, const json_t *row,
                           double passed)
{
    if (runs_by_itself(name, row))
        return false;
    if (strcmp(name, "eta_ms") == 0)
        return eta_differs(sent, now, passed);
    if (strcmp(name, "tokens_per_second") == 0 && json_is_number(now))
        return rate_differs(sent, now);
    return !json_equal(sent, now);
}

/* The members that changed and the id, which is taken over into `sent`; NULL: none did. */
static json_t *changes_of(struct live_request *q, json_t *row)
{
    json_t *changed = NULL, *value;
    const char *name;
    double passed = json_number_value(json_object_get(row, "elapsed_ms")) -
                    json_number_value(json_object_get(q->sent, "elapsed_ms"));
    json_object_foreach (row, name, value) {
        if (!member_differs(name, json_object_get(q->sent, name), value, row, passed))
            continue;
        if (!changed)
            changed = json_pack("{s:I}", "id", (json_int_t)q->id);
        json_object_set(changed, name, value);
    }
    if (changed) {
        json_decref(q->sent);
        q->sent = json_incref(row);
    }
    return changed;
}

static bool says_nothing(const json_t *value)
{
    return json_is_null(value) || json_is_false(value) ||
           (json_is_integer(value) && !json_integer_value(value));
}

/* A whole row is without what is null, false or 0. Releases `row`. */
static json_t *shortened(json_t *row)
{
    json_t *o = json_object(), *value;
    const char *name;
    json_object_foreach (row, name, value)
        if (!says_nothing(value))
            json_object_set(o, name, value);
    json_decref(row);
    return o;
}

/* Releases `row`. The result is its length. */
static long write_row(struct live_frame *frame, json_t *row)
{
    size_t before = frame->requests.len;
    int rc = encode_json(live_frame_next(&frame->requests), row);
    (void)rc; /* of hostler's own: it does not fail */
    json_decref(row);
    return (long)(frame->requests.len - before);
}

static void write_end(struct live_frame *frame, uint64_t id)
{
    buf_printf(live_frame_next(&frame->ended), "%llu", (unsigned long long)id);
}

void live_requests_write(const struct live_item *item, struct live_frame *frame)
{
    const struct live_request *q = container_of(item, const struct live_request, item);
    if (item->gone)
        write_end(frame, q->id);
    else
        write_row(frame, shortened(json_incref(q->sent)));
}

/* --- an update ----------------------------------------------------------------------------------
 */

static void touch(struct live_requests *r, struct live_request *q)
{
    TAILQ_REMOVE(r->items, &q->item, link);
    TAILQ_INSERT_TAIL(r->items, &q->item, link);
}

static void send_row(struct live_frame *frame, json_t *row, long *allowance)
{
    if (frame)
        *allowance -= write_row(frame, row);
    else
        json_decref(row);
}

static void add(struct live_requests *r, const struct request_record *e, struct live_frame *frame,
                long *allowance)
{
    struct live_request *q = mem_zalloc(sizeof *q);
    q->item.kind = LIVE_REQUEST;
    q->id = e->id;
    q->record = e;
    q->sent = row_of(r, e, r->updated_at);
    TAILQ_INSERT_TAIL(r->items, &q->item, link);
    TAILQ_INSERT_TAIL(&r->turns, q, turn);
    HASH_ADD(hh, r->by_id, id, sizeof q->id, q);
    r->n++;
    send_row(frame, shortened(json_incref(q->sent)), allowance);
}

/* Out of the table; its item stays for who is behind. `last`: its record; NULL: that is gone, too. */
static void end(struct live_requests *r, struct live_request *q, const struct request_record *last,
                struct live_frame *frame, long *allowance)
{
    json_t *row = last ? row_of(r, last, r->updated_at) : NULL;
    json_t *changed = row ? changes_of(q, row) : NULL;
    json_decref(row);
    if (changed)
        send_row(frame, changed, allowance);
    if (frame)
        write_end(frame, q->id);
    HASH_DEL(r->by_id, q);
    TAILQ_REMOVE(&r->turns, q, turn);
    r->n--;
    q->item.gone = true;
    touch(r, q);
}

static struct live_request *find(struct live_requests *r, uint64_t id)
{
    struct live_request *q;
    HASH_FIND(hh, r->by_id, &id, sizeof id, q);
    return q;
}

/* Those that go on: notes their records, and adds who is new. */
static const struct request_record *visit_running(struct live_requests *r, struct live_frame *frame,
                                                  long *allowance)
{
    const struct request_record *e = NULL;
    r->any = false;
    while ((e = request_log_next(r->api->requests, e)) && !e->ended) {
        struct live_request *q = find(r, e->id);
        r->any = true;
        if (q)
            q->record = e;
        else if (r->n<LIVE_REQUESTS_MAX && * allowance> 0 && e->model &&
                 (!e->granted || r->updated_at - e->arrived >= SHOWN_AFTER_MS))
            add(r, e, frame, allowance);
    }
    return e;
}

/* Those that are over since the last update: `e` is the newest of all that are. */
static void visit_ended(struct live_requests *r, const struct request_record *e, uint64_t since,
                        struct live_frame *frame, long *allowance)
{
    const uint64_t newest = e ? e->id : r->last_ended;
    for (; e && e->id != r->last_ended && e->ended >= since;
         e = request_log_next(r->api->requests, e)) {
        struct live_request *q = find(r, e->id);
        if (q)
            end(r, q, e, frame, allowance);
        else if (frame && *allowance > 0)
            send_row(frame, shortened(row_of(r, e, r->updated_at)), allowance);
    }
    r->last_ended = newest;
}

/* The others: what changed of them. */
static void visit_known(struct live_requests *r, struct live_frame *frame, long *allowance)
{
    struct live_request *q = TAILQ_FIRST(&r->turns), *next;
    for (unsigned n = r->n; n--; q = next) {
        next = TAILQ_NEXT(q, turn);
        if (!q->record) { /* its record is not kept */
            end(r, q, NULL, frame, allowance);
            continue;
        }
        json_t *row = *allowance > 0 ? row_of(r, q->record, r->updated_at) : NULL;
        json_t *changed = row ? changes_of(q, row) : NULL;
        json_decref(row);
        q->record = NULL;
        if (!changed)
            continue;
        send_row(frame, changed, allowance);
        TAILQ_REMOVE(&r->turns, q, turn);
        TAILQ_INSERT_TAIL(&r->turns, q, turn);
        touch(r, q);
    }
}

void live_requests_update(struct live_requests *r, struct live_frame *frame, long *allowance)
{
    const uint64_t since = r->updated_at;
    r->updated_at = uv_now(host_loop(r->api->host));
    r->etas = 0;
    const struct request_record *ended = visit_running(r, frame, allowance);
    visit_ended(r, ended, since, frame, allowance);
    visit_known(r, frame, allowance);
}
