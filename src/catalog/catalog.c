/* SPDX-License-Identifier: MIT */
/*
 * Ownership: an entry is in the table, or in `left` from its removal until its owner releases it.
 * While a job reads its headers (`reading`) it is freed only when the job is back; the thread looks
 * at nothing of it but the strings, which never change, and writes only into the job. The catalog
 * is freed in its handle's close callback, and that handle is closed when the last job is back.
 */
#include "catalog/catalog.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/model_name.h"
#include "base/nearest.h"

/* libuv's pool has four threads and serves the whole daemon: one stays free. */
#define MAX_JOBS 3
/* Models a job: 10,000 small headers must not cost 10,000 turns of the loop, and a job of large
 * ones (some 5 ms each) should still be back soon. */
#define MAX_BATCH 32

/* All ids and aliases of one normal form that do not have that form themselves. */
struct form {
    char *normal;
    LIST_HEAD(, spelling) spellings;
    UT_hash_handle hh;
};

/* An id or an alias whose normal form is another text; embedded. */
struct spelling {
    struct form *form; /* NULL: it has its normal form */
    struct entry *entry;
    LIST_ENTRY(spelling) link;
};

struct alias {
    char *name;
    struct entry *entry;
    struct spelling spelling;
    UT_hash_handle hh;
    LIST_ENTRY(alias) link;
};

struct entry {
    struct catalog_model model;         /* first, so that a model is its entry */
    uint64_t mmproj_stamp, draft_stamp; /* as in struct folder_model */
    bool info_known;                    /* that header was read, whatever became of the mmproj's */
    bool queued, reading, released;
    LIST_HEAD(, alias) aliases;
    struct spelling spelling;
    UT_hash_handle hh;
    TAILQ_ENTRY(entry) link; /* in catalog.queue or catalog.left */
};
TAILQ_HEAD(entries, entry);

/* What a job finds out about one model. */
struct reading {
    struct entry *entry;
    int rc; /* negative: `err` says why; not read at all: -ECANCELED */
    bool info_known;
    bool mmproj_wanted, draft_wanted; /* there is one, and its header was not read before */
    struct gguf_info info;
    struct gguf_info *mmproj_info, *draft_info; /* NULL: not read; owned */
    struct error err;
};

struct job {
    uv_work_t req;
    struct catalog *catalog;
    TAILQ_ENTRY(job) link;
    size_t n;
    struct reading v[];
};

struct catalog {
    uv_loop_t *loop;
    struct catalog_events events;
    void *ctx;
    uv_idle_t handle; /* never started; see the head of this file */
    struct entry *by_id;
    struct alias *by_alias;
    struct form *by_form;
    struct entry **order; /* by id */
    size_t n, cap;
    struct entries queue; /* headers to read */
    size_t queued;
    struct entries left; /* removed, not released yet */
    TAILQ_HEAD(, job) jobs;
    size_t running;
    atomic_bool closing; /* jobs under way look at it, to end early */
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static struct entry *entry_of(struct catalog_model *model)
{
    return (struct entry *)model;
}

/* --- entries ------------------------------------------------------------------------------------
 */

/* Takes what it needs out of `m`. */
static struct entry *entry_create(struct folder_model *m)
{
    struct entry *e = mem_zalloc(sizeof *e);
    e->model = (struct catalog_model){.id = m->id,
                                      .source = m->source,
                                      .path = m->path,
                                      .mmproj = m->mmproj,
                                      .draft = m->draft,
                                      .problem = m->problem,
                                      .missing = m->missing,
                                      .hidden = m->hidden,
                                      .shards = m->shards,
                                      .size = m->size,
                                      .created = m->mtime,
                                      .stamp = m->stamp,
                                      .header = m->path ? MODEL_HEADER_PENDING : MODEL_HEADER_NONE};
    e->mmproj_stamp = m->mmproj_stamp;
    e->draft_stamp = m->draft_stamp;
    LIST_INIT(&e->aliases);
    *m = (struct folder_model){0};
    return e;
}

static void entry_destroy(struct entry *e)
{
    free(e->model.id);
    strv_finish(&e->model.aliases);
    free(e->model.path);
    free(e->model.mmproj);
    free(e->model.draft);
    free(e->model.mmproj_info);
    free(e->model.draft_info);
    free(e->model.problem);
    free(e);
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_file(const struct entry *e, const struct folder_model *m)
{
    return e->model.stamp == m->stamp && e->model.shards == m->shards &&
           e->model.missing == m->missing && same_text(e->model.path, m->path);
}

static bool same_draft(const struct entry *e, const struct folder_model *m)
{
    return e->draft_stamp == m->draft_stamp && same_text(e->model.draft, m->draft);
}

static bool same_mmproj(const struct entry *e, const struct folder_model *m)
{
    return e->mmproj_stamp == m->mmproj_stamp && same_text(e->model.mmproj, m->mmproj);
}

static bool unchanged(const struct entry *e, const struct folder_model *m)
{
    return same_file(e, m) && same_mmproj(e, m) && same_draft(e, m);
}

/* --- the table ----------------------------------------------------------------------------------
 */

static struct entry *find_id(const struct catalog *c, const char *id)
{
    struct entry *e;
    HASH_FIND_STR(c->by_id, id, e);
    return e;
}

static struct alias *find_alias(const struct catalog *c, const char *name)
{
    struct alias *a;
    HASH_FIND_STR(c->by_alias, name, a);
    return a;
}

static void add_spelling(struct catalog *c, struct spelling *s, struct entry *e, const char *name)
{
    if (model_name_is_normal(name))
        return;
    char *normal = model_name_normal(name);
    struct form *form;
    HASH_FIND_STR(c->by_form, normal, form);
    if (!form) {
        form = mem_zalloc(sizeof *form);
        form->normal = mem_strdup(normal);
        LIST_INIT(&form->spellings);
        HASH_ADD_KEYPTR(hh, c->by_form, form->normal, strlen(form->normal), form);
    }
    free(normal);
    s->form = form;
    s->entry = e;
    LIST_INSERT_HEAD(&form->spellings, s, link);
}

static void drop_spelling(struct catalog *c, struct spelling *s)
{
    struct form *form = s->form;
    if (!form)
        return;
    LIST_REMOVE(s, link);
    s->form = NULL;
    if (!LIST_EMPTY(&form->spellings))
        return;
    HASH_DEL(c->by_form, form);
    free(form->normal);
    free(form);
}

/* The model that has this name, letter by letter. */
static struct entry *find_exactly(const struct catalog *c, const char *name)
{
    struct entry *e = find_id(c, name);
    struct alias *a = e ? NULL : find_alias(c, name);
    return a ? a->entry : e;
}

/* The only model with a name of this normal form; NULL: none, or several. */
static struct entry *find_form(const struct catalog *c, const char *normal)
{
    struct entry *e = find_exactly(c, normal);
    struct form *form = NULL;
    struct spelling *s;
    if (!e)
        HASH_FIND_STR(c->by_form, normal, form);
    if (!form)
        return e;
    LIST_FOREACH (s, &form->spellings, link) {
        if (e && e != s->entry)
            return NULL;
        e = s->entry;
    }
    return e;
}

/* Where `id` is or belongs in `order`. A sorted scan appends, so its end is tried first. */
static size_t place(const struct catalog *c, const char *id)
{
    size_t low = 0, high = c->n;
    if (c->n && strcmp(c->order[c->n - 1]->model.id, id) < 0)
        return c->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(c->order[middle]->model.id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void table_insert(struct catalog *c, struct entry *e)
{
    HASH_ADD_KEYPTR(hh, c->by_id, e->model.id, strlen(e->model.id), e);
    add_spelling(c, &e->spelling, e, e->model.id);
    if (c->n == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 64;
        c->order = mem_realloc(c->order, c->cap * sizeof(struct entry *));
    }
    size_t i = place(c, e->model.id);
    memmove(&c->order[i + 1], &c->order[i], (c->n - i) * sizeof(struct entry *));
    c->order[i] = e;
    c->n++;
}

static void drop_aliases(struct catalog *c, struct entry *e)
{
    struct alias *a;
    while ((a = LIST_FIRST(&e->aliases))) {
        LIST_REMOVE(a, link);
        HASH_DEL(c->by_alias, a);
        drop_spelling(c, &a->spelling);
        free(a->name);
        free(a);
    }
}

static void table_remove(struct catalog *c, struct entry *e)
{
    size_t i = place(c, e->model.id);
    assert(i < c->n && c->order[i] == e);
    c->n--;
    memmove(&c->order[i], &c->order[i + 1], (c->n - i) * sizeof(struct entry *));
    HASH_DEL(c->by_id, e);
    drop_spelling(c, &e->spelling);
    drop_aliases(c, e);
}

/* --- reading headers: in the pool ---------------------------------------------------------------
 */

/* A block may be in two shards, so its size is at most that of its part here and of the largest there. */
static void add_parts(struct gguf_info *sum, const struct gguf_info *shard, bool known)
{
    uint64_t most = sum->block_most > shard->block_most ? sum->block_most : shard->block_most;
    sum->input_bytes = known ? sum->input_bytes + shard->input_bytes : 0;
    sum->output_bytes = known ? sum->output_bytes + shard->output_bytes : 0;
    sum->expert_bytes = known ? sum->expert_bytes + shard->expert_bytes : 0;
    sum->block_bytes = known ? sum->block_bytes + shard->block_bytes : 0;
    sum->block_most = known ? most : 0;
}

/* Adds the tensors of another shard. */
static void add_shard(struct gguf_info *sum, const struct gguf_info *shard)
{
    bool known =
        (sum->tensor_bytes || !sum->tensor_count) && (shard->tensor_bytes || !shard->tensor_count);
    sum->tensor_bytes = known ? sum->tensor_bytes + shard->tensor_bytes : 0;
    add_parts(sum, shard, known);
    sum->tensor_count += shard->tensor_count;
    sum->n_params += shard->n_params;
}

/* llama.cpp finds the other shards by their names, so header and name must agree. */
static int check_split(const char *path, unsigned shards, const struct gguf_info *info,
                       struct error *err)
{
    if (info->split_count <= 1 || (info->split_count == shards && info->split_no == 0))
        return 0;
    return error_set(err, -EINVAL,
                     "%s: by its header it is part %u of %u; the parts of a model must be named "
                     "NAME-00001-of-%05u.gguf and so on",
                     path, info->split_no + 1u, info->split_count, info->split_count);
}

static int read_shards(const struct catalog_model *m, struct gguf_info *info, struct error *err)
{
    int rc = gguf_read(m->path, info, err);
    if (rc == 0)
        rc = check_split(m->path, m->shards, info, err);
    for (unsigned no = 2; rc == 0 && no <= m->shards; no++) {
        struct gguf_info shard;
        char *path = folder_shard_path(m->path, no, m->shards);
        rc = gguf_read(path, &shard, err);
        free(path);
        if (rc == 0)
            add_shard(info, &shard);
    }
    return rc;
}

static int read_companion(struct gguf_info **out, const char *path, struct error *err)
{
    *out = mem_zalloc(sizeof **out);
    int rc = gguf_read(path, *out, err);
    if (rc) {
        free(*out);
        *out = NULL;
    }
    return rc;
}

static void read_one(struct reading *r)
{
    const struct catalog_model *m = &r->entry->model;
    struct error why;
    r->rc = 0;
    if (!r->info_known) {
        r->rc = read_shards(m, &r->info, &r->err);
        r->info_known = r->rc == 0;
    }
    if (r->rc == 0 && r->mmproj_wanted)
        r->rc = read_companion(&r->mmproj_info, m->mmproj, &r->err);
    if (r->rc == 0 && r->draft_wanted && read_companion(&r->draft_info, m->draft, &why))
        log_info("model %s: its draft model cannot be read: %s", m->id, why.text);
}

static void run_job(uv_work_t *req)
{
    struct job *job = req->data;
    for (size_t i = 0; i < job->n && !atomic_load(&job->catalog->closing); i++)
        read_one(&job->v[i]);
}

/* --- reading headers: on the loop ---------------------------------------------------------------
 */

static void set_header(struct catalog *c, struct entry *e, enum model_header header)
{
    e->model.header = header;
    if (c->events.header && !atomic_load(&c->closing))
        c->events.header(&e->model, c->ctx);
}

static void leave_if_released(struct catalog *c, struct entry *e)
{
    if (!e->released || e->reading)
        return;
    TAILQ_REMOVE(&c->left, e, link);
    entry_destroy(e);
}

static void apply(struct catalog *c, struct reading *r)
{
    struct entry *e = r->entry;
    e->reading = false;
    if (e->model.removed) {
        free(r->mmproj_info);
        free(r->draft_info);
        leave_if_released(c, e);
        return;
    }
    e->info_known = r->info_known;
    e->model.info = r->info;
    if (r->mmproj_info)
        e->model.mmproj_info = r->mmproj_info;
    if (r->draft_info)
        e->model.draft_info = r->draft_info;
    if (r->rc == -ECANCELED || e->model.header == MODEL_HEADER_READ)
        return;
    if (r->rc < 0)
        e->model.problem = mem_strdup(r->err.text);
    set_header(c, e, r->rc < 0 ? MODEL_HEADER_BROKEN : MODEL_HEADER_READ);
}

static void start_jobs(struct catalog *c);
static void close_when_idle(struct catalog *c);

/* A `header` event may update or close: what it does to `c` is seen only after all were applied. */
static void job_done(uv_work_t *req, int status)
{
    (void)status; /* cancelled: each reading says so itself */
    struct job *job = req->data;
    struct catalog *c = job->catalog;
    for (size_t i = 0; i < job->n; i++)
        apply(c, &job->v[i]);
    TAILQ_REMOVE(&c->jobs, job, link);
    c->running--;
    free(job);
    start_jobs(c);
    close_when_idle(c);
}

static void start_job(struct catalog *c, size_t n)
{
    struct job *job = mem_zalloc(sizeof *job + n * sizeof job->v[0]);
    job->catalog = c;
    job->req.data = job;
    for (; job->n < n; job->n++) {
        struct entry *e = TAILQ_FIRST(&c->queue);
        TAILQ_REMOVE(&c->queue, e, link);
        c->queued--;
        e->queued = false;
        e->reading = true;
        job->v[job->n] = (struct reading){.entry = e,
                                          .rc = -ECANCELED,
                                          .info_known = e->info_known,
                                          .mmproj_wanted = e->model.mmproj && !e->model.mmproj_info,
                                          .draft_wanted = e->model.draft && !e->model.draft_info,
                                          .info = e->model.info};
    }
    TAILQ_INSERT_TAIL(&c->jobs, job, link);
    c->running++;
    int rc = uv_queue_work(c->loop, &job->req, run_job, job_done);
    assert(rc == 0); /* it fails only without a function */
    (void)rc;
}

/* Shares the queue out evenly, so that a handful of models is read side by side too. */
static void start_jobs(struct catalog *c)
{
    while (c->running < MAX_JOBS && c->queued && !atomic_load(&c->closing)) {
        size_t idle = MAX_JOBS - c->running;
        size_t share = (c->queued + idle - 1) / idle;
        start_job(c, share < MAX_BATCH ? share : MAX_BATCH);
    }
}

/* --- models come and go -------------------------------------------------------------------------
 */

static bool nothing_to_read(const struct entry *e)
{
    return e->info_known && (e->model.mmproj_info || !e->model.mmproj);
}

static void queue_reading(struct catalog *c, struct entry *e)
{
    TAILQ_INSERT_TAIL(&c->queue, e, link);
    e->queued = true;
    c->queued++;
}

void catalog_read_next(struct catalog *c, struct catalog_model *model)
{
    struct entry *e = entry_of(model);
    if (!e->queued)
        return;
    TAILQ_REMOVE(&c->queue, e, link);
    TAILQ_INSERT_HEAD(&c->queue, e, link);
}

static void enter(struct catalog *c, struct entry *e)
{
    table_insert(c, e);
    if (c->events.added)
        c->events.added(&e->model, c->ctx);
    bool known = nothing_to_read(e);
    if (!e->model.problem && e->model.path && (!known || (e->model.draft && !e->model.draft_info)))
        queue_reading(c, e); /* nobody waits for the draft's header */
    if (e->model.problem)
        set_header(c, e, MODEL_HEADER_BROKEN);
    else if (known)
        set_header(c, e, MODEL_HEADER_READ);
}

static void leave(struct catalog *c, struct entry *e)
{
    table_remove(c, e);
    if (e->queued) {
        TAILQ_REMOVE(&c->queue, e, link);
        e->queued = false;
        c->queued--;
    }
    e->model.removed = true;
    TAILQ_INSERT_TAIL(&c->left, e, link);
    if (c->events.removed)
        c->events.removed(&e->model, c->ctx);
    else
        catalog_model_release(c, &e->model);
}

void catalog_model_release(struct catalog *c, struct catalog_model *model)
{
    struct entry *e = entry_of(model);
    assert(model->removed && !e->released);
    e->released = true;
    leave_if_released(c, e);
}

static struct gguf_info *copy_info(const struct gguf_info *from)
{
    struct gguf_info *to = mem_zalloc(sizeof *to);
    *to = *from;
    return to;
}

/* In place of `old`, whose unchanged files need not be read again. */
static void replace(struct catalog *c, struct entry *old, struct folder_model *m)
{
    bool keep_info = old->info_known && same_file(old, m);
    bool keep_mmproj = old->model.mmproj_info && same_mmproj(old, m);
    struct entry *e = entry_create(m);
    e->info_known = keep_info;
    if (keep_info)
        e->model.info = old->model.info;
    if (keep_mmproj)
        e->model.mmproj_info = copy_info(old->model.mmproj_info);
    if (old->model.draft_info && same_draft(old, m))
        e->model.draft_info = copy_info(old->model.draft_info);
    leave(c, old);
    enter(c, e);
}

/* --- updating -----------------------------------------------------------------------------------
 */

/* Takes out what `models` does not list. Both are in order of id. From the end, where taking out of `order` moves
 * least. */
static void sweep(struct catalog *c, const struct folder *models)
{
    size_t k = models->n;
    for (size_t i = c->n; i-- > 0;) {
        const char *id = c->order[i]->model.id;
        int order = -1;
        while (k && (order = strcmp(models->v[k - 1].id, id)) > 0)
            k--;
        if (order)
            leave(c, c->order[i]);
    }
}

/* `e`: the entry of that id; NULL: none. Whether `m` was taken, or had nothing new. */
static bool update(struct catalog *c, struct entry *e, struct folder_model *m, bool patient,
                   time_t now)
{
    if (e && unchanged(e, m)) {
        e->model.source = m->source;
        e->model.hidden = m->hidden;
        if (m->missing) { /* its section may be on another line now */
            free(e->model.problem);
            e->model.problem = m->problem;
            m->problem = NULL;
        }
        return true;
    }
    if (patient && folder_model_is_fresh(m, now))
        return false;
    if (e)
        replace(c, e, m);
    else
        enter(c, entry_create(m));
    return true;
}

/* Behind the sweep `order` has only ids of `models`, in the same order: so both are walked side by side. */
size_t catalog_update(struct catalog *c, struct folder *models, bool patient)
{
    size_t left = 0, at = 0;
    time_t now = time(NULL);
    sweep(c, models);
    for (size_t i = 0; i < models->n; i++) {
        struct entry *e = at < c->n ? c->order[at] : NULL;
        bool known = e && strcmp(e->model.id, models->v[i].id) == 0;
        bool taken = update(c, known ? e : NULL, &models->v[i], patient, now);
        left += !taken;
        at += known || taken;
    }
    start_jobs(c);
    return left;
}

/* --- looking up ---------------------------------------------------------------------------------
 */

int catalog_add_alias(struct catalog *c, struct catalog_model *model, const char *alias,
                      struct error *err)
{
    assert(!model->removed);
    const struct entry *other = find_exactly(c, alias);
    if (other == entry_of(model) && strcmp(model->id, alias) != 0)
        return 0;
    if (other)
        return error_set(err, -EEXIST, "alias %s of model %s already means model %s", alias,
                         model->id, other->model.id);
    struct alias *a = mem_zalloc(sizeof *a);
    a->name = mem_strdup(alias);
    a->entry = entry_of(model);
    HASH_ADD_KEYPTR(hh, c->by_alias, a->name, strlen(a->name), a);
    add_spelling(c, &a->spelling, a->entry, alias);
    LIST_INSERT_HEAD(&a->entry->aliases, a, link);
    strv_add(&model->aliases, alias);
    return 0;
}

void catalog_clear_aliases(struct catalog *c, struct catalog_model *model)
{
    drop_aliases(c, entry_of(model));
    strv_finish(&model->aliases);
}

struct catalog_model *catalog_find(const struct catalog *c, const char *name)
{
    struct entry *e = find_exactly(c, name);
    if (!e) {
        char *normal = model_name_normal(name);
        e = find_form(c, normal);
        free(normal);
    }
    return e ? &e->model : NULL;
}

size_t catalog_count(const struct catalog *c)
{
    return c->n;
}

struct catalog_model *catalog_at(const struct catalog *c, size_t index)
{
    return index < c->n ? &c->order[index]->model : NULL;
}

size_t catalog_index_after(const struct catalog *c, const char *id)
{
    size_t i = place(c, id);
    return i < c->n && strcmp(c->order[i]->model.id, id) == 0 ? i + 1 : i;
}

const char *catalog_nearest(const struct catalog *c, const char *wanted)
{
    struct nearest n;
    nearest_init(&n, wanted);
    for (size_t i = 0; i < c->n; i++)
        nearest_consider(&n, c->order[i]->model.id);
    for (const struct alias *a = c->by_alias; a; a = a->hh.next)
        nearest_consider(&n, a->name);
    return n.best;
}

const char *model_source_name(enum model_source source)
{
    switch (source) {
    case MODEL_SOURCE_FOLDER:
        return "models_dir";
    case MODEL_SOURCE_CACHE:
        return "cache";
    case MODEL_SOURCE_PRESET:
        return "preset";
    }
    return "";
}

/* --- the catalog --------------------------------------------------------------------------------
 */

struct catalog *catalog_create(uv_loop_t *loop, const struct catalog_events *events, void *ctx)
{
    struct catalog *c = mem_zalloc(sizeof *c);
    c->loop = loop;
    c->events = *events;
    c->ctx = ctx;
    TAILQ_INIT(&c->queue);
    TAILQ_INIT(&c->left);
    TAILQ_INIT(&c->jobs);
    uv_idle_init(loop, &c->handle);
    c->handle.data = c;
    return c;
}

static void on_closed(uv_handle_t *handle)
{
    struct catalog *c = handle->data;
    struct entry *e;
    void (*closed)(void *) = c->closed;
    void *ctx = c->closed_ctx;
    for (size_t i = 0; i < c->n; i++) {
        drop_aliases(c, c->order[i]);
        drop_spelling(c, &c->order[i]->spelling);
    }
    HASH_CLEAR(hh, c->by_id);
    for (size_t i = 0; i < c->n; i++)
        entry_destroy(c->order[i]);
    while ((e = TAILQ_FIRST(&c->left))) {
        TAILQ_REMOVE(&c->left, e, link);
        entry_destroy(e);
    }
    free(c->order);
    free(c);
    if (closed)
        closed(ctx);
}

static void close_when_idle(struct catalog *c)
{
    if (atomic_load(&c->closing) && c->running == 0)
        uv_close((uv_handle_t *)&c->handle, on_closed);
}

void catalog_close(struct catalog *c, void (*closed)(void *ctx), void *ctx)
{
    struct job *job;
    if (!c) {
        if (closed)
            closed(ctx);
        return;
    }
    c->closed = closed;
    c->closed_ctx = ctx;
    atomic_store(&c->closing, true);
    /* Those that run already cannot be cancelled: they see `closing` before their next file. */
    TAILQ_FOREACH (job, &c->jobs, link)
        uv_cancel((uv_req_t *)&job->req);
    close_when_idle(c);
}
