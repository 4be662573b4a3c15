/* SPDX-License-Identifier: MIT */
#include "api/live_picture.h"

#include <stdlib.h>
#include <string.h>

#include "api/encode.h"
#include "api/live_requests.h"
#include "api/live_rows.h"
#include "api/reply.h"
#include "base/container_of.h"
#include "base/hash.h"
#include "base/memory.h"

#define ALLOWANCE_MAX 8192 /* bytes that are saved up while little happens */

/* In which list of the picture a model is. */
enum work {
    WORK_NONE,   /* it changes only when somebody notes it */
    WORK_DUE,    /* the update that goes on, or the next one, looks at it */
    WORK_ACTIVE, /* the next one */
};

struct live_model {
    struct live_item item;
    uint64_t hash;  /* of the row that was sent without its figures; 0: none was */
    uint64_t scan;  /* the last one that met it */
    bool send_anew; /* its row, whatever its hash: somebody got another one */
    enum work work;
    struct live_figures figures; /* that were sent */
    TAILQ_ENTRY(live_model) work_link;
    UT_hash_handle hh;
    char id[];
};
TAILQ_HEAD(live_models, live_model);

struct live_picture {
    struct api *api;
    struct live_items items;  /* in the order in which they last changed, with the marks */
    struct live_model *by_id; /* a table; of what is gone, too, until that is forgotten */
    struct live_models due, active;
    struct live_requests *requests;
    bool requests_due;
    bool skipped;   /* the allowance did not suffice */
    long allowance; /* bytes */
    uint64_t scan;  /* its number */
    bool scanning;
    char *scanned;  /* the id after which it goes on; NULL: from the first on */
    struct buf row; /* scratch */
};

struct live_picture *picture_create(struct api *api)
{
    struct live_picture *p = mem_zalloc(sizeof *p);
    p->api = api;
    TAILQ_INIT(&p->items);
    TAILQ_INIT(&p->due);
    TAILQ_INIT(&p->active);
    p->requests = live_requests_create(api, &p->items);
    p->allowance = ALLOWANCE_MAX;
    buf_init(&p->row, BUF_OWN);
    return p;
}

/* --- items --------------------------------------------------------------------------------------
 */

static struct live_models *list_of(struct live_picture *p, enum work work)
{
    switch (work) {
    case WORK_NONE:
        return NULL;
    case WORK_DUE:
        return &p->due;
    case WORK_ACTIVE:
        return &p->active;
    }
    return NULL;
}

static void set_work(struct live_picture *p, struct live_model *m, enum work work)
{
    struct live_models *before = list_of(p, m->work), *list = list_of(p, work);
    if (before)
        TAILQ_REMOVE(before, m, work_link);
    m->work = work;
    if (list)
        TAILQ_INSERT_TAIL(list, m, work_link);
}

static struct live_model *get(struct live_picture *p, const char *id)
{
    const size_t len = strlen(id);
    struct live_model *m;
    HASH_FIND(hh, p->by_id, id, len, m);
    if (m)
        return m;
    m = mem_zalloc(sizeof *m + len + 1);
    memcpy(m->id, id, len);
    m->item.kind = LIVE_MODEL;
    TAILQ_INSERT_TAIL(&p->items, &m->item, link);
    HASH_ADD_KEYPTR(hh, p->by_id, m->id, len, m);
    return m;
}

static void forget_model(struct live_picture *p, struct live_model *m)
{
    set_work(p, m, WORK_NONE);
    HASH_DEL(p->by_id, m); // NOLINT(clang-analyzer-core.NullDereference): it is in it
    TAILQ_REMOVE(&p->items, &m->item, link);
    free(m);
}

void picture_destroy(struct live_picture *p)
{
    picture_forget_gone(p);
    live_requests_destroy(p->requests);
    struct live_model *m, *next;
    HASH_ITER (hh, p->by_id, m, next)
        forget_model(p, m);
    free(p->scanned);
    buf_finish(&p->row);
    free(p);
}

void picture_forget_gone(struct live_picture *p)
{
    struct live_item *i, *next;
    for (i = TAILQ_FIRST(&p->items); i; i = next) {
        next = TAILQ_NEXT(i, link);
        if (!i->gone)
            continue;
        if (i->kind == LIVE_REQUEST)
            live_requests_free(p->requests, i);
        else
            forget_model(p, container_of(i, struct live_model, item));
    }
}

static void touch(struct live_picture *p, struct live_model *m)
{
    TAILQ_REMOVE(&p->items, &m->item, link);
    TAILQ_INSERT_TAIL(&p->items, &m->item, link);
}

void picture_note(struct live_picture *p, const char *id)
{
    set_work(p, get(p, id), WORK_DUE);
}

/* --- rows ---------------------------------------------------------------------------------------
 */

/* `p->row` is the row's beginning. */
static void write_whole(struct live_picture *p, const struct live_figures *figures,
                        struct live_frame *frame)
{
    live_rows_write(&p->row, p->api->host, figures, figures->has);
    buf_puts(&p->row, "}");
    buf_append(live_frame_next(&frame->models), p->row.data, p->row.len);
}

/* Once, so that the id is encoded as it is in the row: that begins with `{"id":"…"`. */
static size_t id_len(const struct buf *row)
{
    size_t i = sizeof "{\"id\":\"" - 1;
    while (i < row->len && row->data[i] != '"')
        i += row->data[i] == '\\' ? 2 : 1;
    return i + 1;
}

static void write_figures(struct live_picture *p, const struct live_figures *figures,
                          unsigned which, struct live_frame *frame)
{
    struct buf *out = live_frame_next(&frame->figures);
    const size_t before = out->len;
    buf_append(out, p->row.data, id_len(&p->row));
    live_rows_write(out, p->api->host, figures, which);
    buf_puts(out, "}");
    p->allowance -= (long)(out->len - before);
}

static void write_removed(const struct live_model *m, struct live_frame *frame)
{
    json_t *id = reply_string(m->id);
    int rc = encode_json(live_frame_next(&frame->removed), id);
    (void)rc; /* of hostler's own: it does not fail */
    json_decref(id);
}

/* Nobody needs to be told of one that nobody was told of. */
static void note_gone(struct live_picture *p, struct live_model *m, struct live_frame *frame)
{
    if (!m->hash && !m->item.gone) {
        forget_model(p, m);
        return;
    }
    set_work(p, m, WORK_NONE);
    if (m->item.gone)
        return;
    m->item.gone = true;
    m->hash = 0;
    touch(p, m);
    if (frame)
        write_removed(m, frame);
}

/* Compares the model with what was sent, and sends what differs. */
static void update_model(struct live_picture *p, struct live_model *m, struct live_frame *frame)
{
    struct live_source s;
    struct live_figures now;
    if (!live_rows_find(p->api, m->id, &s)) {
        note_gone(p, m, frame);
        return;
    }
    buf_clear(&p->row);
    const uint64_t hash = live_rows_model(&p->row, p->api, &s);
    live_rows_figures(&now, p->api, &s);
    unsigned which = live_rows_compare(&m->figures, &now);
    const bool whole = hash != m->hash || m->send_anew;
    const bool skipped = !whole && which && p->allowance <= 0;
    m->item.gone = false;
    if (whole) {
        m->hash = hash;
        m->send_anew = false;
        m->figures = now;
        if (frame)
            write_whole(p, &now, frame);
    } else if (which && !skipped) {
        live_rows_take(&m->figures, &now, which);
        if (frame)
            write_figures(p, &now, which, frame);
    }
    if (whole || (which && !skipped))
        touch(p, m);
    p->skipped |= skipped;
    set_work(p, m, skipped || live_rows_is_busy(&s, &now) ? WORK_ACTIVE : WORK_NONE);
}

/* The row for somebody who is behind. With the figures that were sent, so that a later one of these counts for them, too. */
static void read_model(struct live_picture *p, struct live_model *m, struct live_frame *frame)
{
    struct live_source s;
    if (m->item.gone) {
        write_removed(m, frame);
        return;
    }
    if (!live_rows_find(p->api, m->id, &s)) {
        set_work(p, m, WORK_DUE);
        return;
    }
    buf_clear(&p->row);
    const uint64_t hash = live_rows_model(&p->row, p->api, &s);
    if (!m->hash) {
        m->hash = hash;
        live_rows_figures(&m->figures, p->api, &s);
    } else if (hash != m->hash) { /* the others have not got this one, and may never get it */
        m->send_anew = true;
        set_work(p, m, WORK_DUE);
    }
    write_whole(p, &m->figures, frame);
}

/* --- the scan -----------------------------------------------------------------------------------
 */

void picture_rescan(struct live_picture *p)
{
    p->scan++;
    p->scanning = true;
    free(p->scanned);
    p->scanned = NULL;
}

bool picture_is_scanning(const struct live_picture *p)
{
    return p->scanning;
}

/* One that has not been sent to anybody is left to those who are behind: they build its row. */
static void scan_model(struct live_picture *p, const struct model *m, struct live_frame *frame)
{
    struct live_model *known = get(p, m->entry->id);
    known->scan = p->scan;
    if (frame || known->hash || known->item.gone)
        update_model(p, known, frame);
}

static void note_downloads(struct live_picture *p)
{
    struct downloads_item item;
    for (size_t i = 0; downloads_at(p->api->downloads, i, &item); i++)
        picture_note(p, item.repo);
}

/* Whoever was not met is gone, unless it is a download. */
static void end_scan(struct live_picture *p)
{
    struct live_model *m, *next;
    HASH_ITER (hh, p->by_id, m, next) {
        if (m->scan != p->scan && !m->item.gone)
            set_work(p, m, WORK_DUE);
    }
    note_downloads(p);
    p->scanning = false;
}

static bool is_full(const struct live_frame *frame, uint64_t deadline)
{
    return uv_hrtime() >= deadline || (frame && live_frame_len(frame) >= LIVE_FRAME_MAX);
}

static void scan(struct live_picture *p, struct live_frame *frame, uint64_t deadline)
{
    const struct host *host = p->api->host;
    const struct model *m, *last = NULL;
    size_t i = p->scanned ? host_index_after(host, p->scanned) : 0;
    while ((m = host_at(host, i)) && !is_full(frame, deadline)) {
        if (!m->entry->hidden)
            scan_model(p, m, frame);
        last = m;
        i++;
    }
    if (last)
        mem_replace(&p->scanned, last->entry->id);
    if (!m)
        end_scan(p);
}

/* --- an update ----------------------------------------------------------------------------------
 */

static void note_models(struct live_picture *p, const struct sched_models *models)
{
    const struct sched_model *s;
    TAILQ_FOREACH (s, models, queue_link)
        picture_note(p, container_of(s, const struct model, sched)->entry->id);
}

void picture_begin_update(struct live_picture *p, long more)
{
    const struct sched *sched = host_sched(p->api->host);
    const struct sched_instance *s;
    struct live_model *m;
    p->allowance = p->allowance + more < ALLOWANCE_MAX ? p->allowance + more : ALLOWANCE_MAX;
    p->requests_due = true;
    p->skipped = false;
    while ((m = TAILQ_FIRST(&p->active)))
        set_work(p, m, WORK_DUE);
    TAILQ_FOREACH (s, &sched->instances, link)
        picture_note(p, container_of(s, const struct instance, sched)->model->entry->id);
    note_models(p, &sched->waiting_models);
    note_models(p, &sched->replacements);
}

bool picture_update(struct live_picture *p, struct live_frame *frame, uint64_t deadline)
{
    struct live_model *m;
    while (!is_full(frame, deadline)) {
        if (p->requests_due)
            live_requests_update(p->requests, frame, &p->allowance);
        p->requests_due = false;
        if ((m = TAILQ_FIRST(&p->due)))
            update_model(p, m, frame);
        else if (p->scanning)
            scan(p, frame, deadline);
        else
            return false;
    }
    return true;
}

bool picture_is_busy(const struct live_picture *p)
{
    return p->skipped || !TAILQ_EMPTY(&p->active) || live_requests_any(p->requests);
}

/* --- who is behind ------------------------------------------------------------------------------
 */

void picture_mark_begin(struct live_picture *p, struct live_item *mark)
{
    mark->kind = LIVE_MARK;
    TAILQ_INSERT_HEAD(&p->items, mark, link);
}

void picture_mark_end(struct live_picture *p, struct live_item *mark)
{
    mark->kind = LIVE_MARK;
    TAILQ_INSERT_TAIL(&p->items, mark, link);
}

void picture_mark_at(struct live_picture *p, struct live_item *mark, struct live_item *other)
{
    mark->kind = LIVE_MARK;
    TAILQ_INSERT_AFTER(&p->items, other, mark, link);
}

void picture_unmark(struct live_picture *p, struct live_item *mark)
{
    TAILQ_REMOVE(&p->items, mark, link);
}

bool picture_catch_up(struct live_picture *p, struct live_item *mark, struct live_frame *frame,
                      uint64_t deadline)
{
    struct live_item *i;
    while ((i = TAILQ_NEXT(mark, link)) && !is_full(frame, deadline)) {
        TAILQ_REMOVE(&p->items, mark, link);
        TAILQ_INSERT_AFTER(&p->items, i, mark, link);
        switch (i->kind) {
        case LIVE_MARK:
            break;
        case LIVE_MODEL:
            read_model(p, container_of(i, struct live_model, item), frame);
            break;
        case LIVE_REQUEST:
            live_requests_write(i, frame);
            break;
        }
    }
    return i;
}
