/* SPDX-License-Identifier: MIT */
#include "server/prompt_store.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/container_of.h"
#include "base/log.h"
#include "server/prompt_store_core.h"

#define FILES_MAX 10000
#define POINTS_MAX 1000000            /* of all chains: 24 MB */
#define BYTES_MAX (UINT64_C(8) << 30) /* unless the operator says more */
#define RETRY_MS 60000                /* after the disk failed */
#define USES_MS 30000                 /* from a use until it is written */
/* A lend that takes longer: the disk does not answer. It may be a slow one. */
#define HANGS_MS 2000
#define SLOWEST_BYTES_MS 50000
#define EVICTIONS 4 /* a turn of the loop; each looks at all files */

static void on_timer(uv_timer_t *timer);

/* So often a lost folder is tried again, and uses are written. It keeps no loop alive. */
static void arm(struct prompt_store *s, uint64_t ms)
{
    if (!s->closing && !uv_is_active((uv_handle_t *)&s->timer))
        uv_timer_start(&s->timer, on_timer, ms, 0);
}

/* --- the disk's state --------------------------------------------------------------------------- */

/* These tell of one file, or are said by the store itself. */
static bool is_of_the_disk(int rc)
{
    return rc && rc != -EBADMSG && rc != -EFBIG && rc != -EINVAL && rc != -ECANCELED &&
           rc != -ENOENT;
}

void prompt_store_note(struct prompt_store *s, int rc)
{
    bool is_new = rc != s->error && (!s->error || uv_now(s->loop) >= s->retry_at);
    if (!rc && s->error && !s->lost) {
        log_info("prompt caches can be kept in %s again", s->folder->path);
        s->error = 0;
    }
    if (!is_of_the_disk(rc))
        return;
    if (is_new)
        log_warn("cannot keep prompt caches in %s: %s; it is tried again from time to time, and "
                 "models compute their prompts anew meanwhile",
                 s->folder->path, strerror(-rc));
    s->error = rc;
    s->failed++;
    s->retry_at = uv_now(s->loop) + RETRY_MS;
}

/* --- jobs: reading the index, and making a lost folder anew --------------------------------------- */

struct load {
    struct pool_job job;
    struct prompt_store *store;
    struct prompt_folder *folder; /* NULL: it is to be made anew, */
    char *path;                   /* here, */
    uint64_t seed;                /* with this seed, */
    struct strv engines;          /* with these folders of engines */
    struct prompt_index index;
    struct prompt_use total;
    uint64_t free_bytes;
    struct error err;
    int rc;
};

static void run_load(struct pool_job *job)
{
    struct load *l = container_of(job, struct load, job);
    l->rc = l->folder ? 0 : prompt_folder_open(&l->folder, l->path, l->seed, &l->err);
    if (!l->rc)
        l->rc = prompt_folder_load(l->folder, &l->index, &l->total);
    for (size_t i = 0; !l->rc && i < l->engines.n; i++)
        l->rc = prompt_folder_make_again(l->folder, l->engines.v[i]);
    l->free_bytes = l->folder ? prompt_folder_free_bytes(l->folder) : PROMPT_FOLDER_UNKNOWN;
}

static void make_spares(struct prompt_store *s);

static void take_over(struct prompt_store *s, struct load *l)
{
    s->index = l->index;
    l->index = (struct prompt_index){0};
    if (l->folder != s->folder) {
        prompt_folder_unref(s->folder);
        s->folder = prompt_folder_ref(l->folder);
    }
    s->lost = false;
    if (l->total.hits >= s->total.hits)
        s->total = l->total;
    for (size_t i = 0; i < s->index.n; i++)
        if (s->index.file[i]->number >= s->next_number)
            s->next_number = s->index.file[i]->number + 1;
    prompt_store_adapt_max(s, l->free_bytes, 0);
    prompt_store_make_room(s);
}

static void destroy_load(struct load *l)
{
    if (l->folder)
        prompt_folder_unref(l->folder);
    prompt_index_finish(&l->index);
    strv_finish(&l->engines);
    free(l->path);
    free(l);
}

static void end_load(struct pool_job *job)
{
    struct load *l = container_of(job, struct load, job);
    struct prompt_store *s = l->store;
    bool anew = l->path;
    if (s->lost && !anew) { /* what it has read is gone; the next load is queued */
        destroy_load(l);
        return;
    }
    s->loading = false;
    if (!anew || !l->rc)
        take_over(s, l); /* what could be read of it */
    prompt_store_note(s, l->rc);
    if (s->lost)
        arm(s, RETRY_MS);
    make_spares(s);
    destroy_load(l);
}

static void load(struct prompt_store *s)
{
    struct load *l = mem_zalloc(sizeof *l);
    *l = (struct load){.job = {.run = run_load, .end = end_load}, .store = s};
    if (s->lost) {
        l->path = mem_strdup(s->folder->path);
        l->seed = s->folder->seed;
        for (size_t i = 0; i < s->engines.n; i++)
            strv_add(&l->engines, s->engines.v[i]);
    } else {
        l->folder = prompt_folder_ref(s->folder);
    }
    s->loading = true;
    pool_lane_add(&s->others, &l->job);
}

void prompt_store_note_lost(struct prompt_store *s, const struct prompt_folder *folder)
{
    if (s->lost || folder != s->folder || s->closing)
        return;
    log_warn("the folder %s was removed, and %zu prompt caches with it", s->folder->path,
             s->index.n);
    prompt_index_finish(&s->index);
    while (s->n_spare)
        free(s->spare[--s->n_spare]);
    s->lost = true;
    s->failed++;
    s->error = -ENOENT;
    s->retry_at = uv_now(s->loop) + RETRY_MS;
    load(s);
}

/* --- job: removing ------------------------------------------------------------------------------- */

typedef void cleared_fn(int rc, uint64_t files, uint64_t bytes, void *ctx);

struct removal {
    struct pool_job job;
    struct prompt_store *store;
    struct prompt_folder *folder;
    struct prompt_file **file;
    size_t n;
    bool is_eviction; /* more may have to go */
    bool is_clear;
    char *model; /* of a clear; NULL: all */
    uint64_t files, bytes;
    cleared_fn *done;
    void *ctx;
    int rc;
};

static void run_removal(struct pool_job *job)
{
    struct removal *r = container_of(job, struct removal, job);
    for (size_t i = 0; i < r->n; i++) {
        int rc = prompt_file_remove(r->folder->fd, r->file[i]->number);
        r->rc = r->rc ? r->rc : rc;
        prompt_file_destroy(r->file[i]);
    }
    if (r->is_clear && fsync(r->folder->fd) && !r->rc)
        r->rc = -errno;
}

static void end_removal(struct pool_job *job)
{
    struct removal *r = container_of(job, struct removal, job);
    struct prompt_store *s = r->store;
    if (r->rc)
        prompt_store_note(s, r->rc);
    if (r->done)
        r->done(r->rc, r->files, r->bytes, r->ctx);
    if (r->is_eviction)
        prompt_store_make_room(s);
    prompt_folder_unref(r->folder);
    free(r->file);
    free(r->model);
    free(r);
}

static struct removal *create_removal(struct prompt_store *s, size_t room)
{
    struct removal *r = mem_zalloc(sizeof *r);
    *r = (struct removal){.job = {.run = run_removal, .end = end_removal},
                          .store = s,
                          .folder = prompt_folder_ref(s->folder),
                          .file = mem_zalloc(room * sizeof(struct prompt_file *))};
    return r;
}

static void add_to_removal(struct removal *r, struct prompt_file *f)
{
    prompt_index_remove(&r->store->index, f);
    r->file[r->n++] = f;
}

void prompt_store_remove(struct prompt_store *s, struct prompt_file *f)
{
    struct removal *r = create_removal(s, 1);
    add_to_removal(r, f);
    pool_lane_add(&s->others, &r->job);
}

void prompt_store_drop_broken(struct prompt_store *s, struct prompt_file *f, const char *why)
{
    s->broken++;
    prompt_store_drop(s, f->number, why);
}

void prompt_store_drop(struct prompt_store *s, uint64_t number, const char *why)
{
    struct prompt_file *f = prompt_index_get(&s->index, number);
    if (!f)
        return;
    if (why)
        log_warn("%s: a prompt cache of %" PRIu64 " tokens (%016" PRIx64 ") is dropped: %s",
                 f->model, f->tokens, number, why);
    prompt_store_remove(s, f);
}

static void collect(struct removal *r)
{
    struct prompt_index *x = &r->store->index;
    r->file = mem_realloc(r->file, (r->n + x->n + 1) * sizeof(struct prompt_file *));
    size_t n = prompt_index_remove_model(x, r->model, r->file + r->n);
    for (size_t i = 0; i < n; i++)
        r->bytes += r->file[r->n + i]->bytes;
    r->n += n;
    r->files += n;
}

/* What was on its way into the store when it was asked for is there now. */
static void begin_clear(struct pool_job *job)
{
    collect(container_of(job, struct removal, job));
}

void prompt_store_clear(struct prompt_store *s, const char *model, cleared_fn *done, void *ctx)
{
    struct removal *r = create_removal(s, 1);
    r->job.begin = begin_clear;
    r->is_clear = true;
    r->model = model ? mem_strdup(model) : NULL;
    r->done = done;
    r->ctx = ctx;
    collect(r);
    pool_lane_add(&s->others, &r->job);
}

/* --- bounds -------------------------------------------------------------------------------------- */

uint64_t prompt_store_excess(const struct prompt_store *s, uint64_t more)
{
    uint64_t all = s->index.bytes + more;
    return all > s->max_bytes ? all - s->max_bytes : 0;
}

static bool is_over(const struct prompt_store *s)
{
    return prompt_store_excess(s, 0) || s->index.n > FILES_MAX || s->index.points > POINTS_MAX;
}

void prompt_store_make_room(struct prompt_store *s)
{
    double now = clock_unix();
    if (!is_over(s))
        return;
    struct removal *r = create_removal(s, EVICTIONS);
    r->is_eviction = true;
    while (r->n < EVICTIONS && is_over(s))
        add_to_removal(r, prompt_index_least(&s->index, now));
    pool_lane_add(&s->others, &r->job);
}

void prompt_store_adapt_max(struct prompt_store *s, uint64_t free_bytes, uint64_t new_bytes)
{
    uint64_t tenth = (free_bytes + s->index.bytes + new_bytes) / 10;
    if (!s->max_is_given && free_bytes != PROMPT_FOLDER_UNKNOWN)
        s->max_bytes = tenth < BYTES_MAX ? tenth : BYTES_MAX;
}

bool prompt_store_wants(const struct prompt_store *s, uint64_t bytes, double gain_ms)
{
    if (s->loading || s->lost || s->closing || (s->error && uv_now(s->loop) < s->retry_at) ||
        bytes > s->max_bytes)
        return false;
    uint64_t excess = prompt_store_excess(s, bytes);
    return !excess || prompt_index_would_keep(&s->index, gain_ms, bytes, excess, clock_unix());
}

/* --- finding ------------------------------------------------------------------------------------- */

const struct prompt_file *prompt_store_find(const struct prompt_store *s, const char *identity,
                                            const struct prompt_chain *chain, uint64_t *common)
{
    *common = 0;
    if (pool_lane_busy_ms(&s->lends) > HANGS_MS + s->lending / SLOWEST_BYTES_MS)
        return NULL;
    return prompt_index_find(&s->index, identity, chain, common);
}

bool prompt_store_has(const struct prompt_store *s, const char *identity)
{
    return prompt_index_has(&s->index, identity);
}

bool prompt_store_has_model(const struct prompt_store *s, const char *model)
{
    return prompt_index_has_model(&s->index, model);
}

const struct prompt_file *prompt_store_get(const struct prompt_store *s, uint64_t number)
{
    return prompt_index_get(&s->index, number);
}

const struct prompt_file *prompt_store_at(const struct prompt_store *s, size_t index)
{
    return index < s->index.n ? s->index.file[index] : NULL;
}

uint64_t prompt_store_seed(const struct prompt_store *s)
{
    return s->folder->seed;
}

struct prompt_store_status prompt_store_status(const struct prompt_store *s)
{
    return (struct prompt_store_status){.dir = s->folder->path,
                                        .loading = s->loading,
                                        .files = s->index.n,
                                        .bytes = s->index.bytes,
                                        .max_bytes = s->max_bytes,
                                        .hits = s->total.hits,
                                        .saved_ms = s->total.saved_ms,
                                        .error = s->error,
                                        .failed = s->failed,
                                        .broken = s->broken};
}

/* --- callbacks ----------------------------------------------------------------------------------- */

void prompt_store_await(struct prompt_store *s, struct prompt_callback *c, void *ctx)
{
    *c = (struct prompt_callback){.ctx = ctx};
    TAILQ_INSERT_TAIL(&s->callbacks, c, link);
}

bool prompt_store_is_awaited(struct prompt_store *s, struct prompt_callback *c)
{
    TAILQ_REMOVE(&s->callbacks, c, link);
    return !c->forgotten;
}

void prompt_store_forget(struct prompt_store *s, const void *ctx)
{
    struct prompt_callback *c;
    TAILQ_FOREACH (c, &s->callbacks, link)
        if (c->ctx == ctx)
            c->forgotten = true;
}

/* --- job: what prompts were used for -------------------------------------------------------------- */

struct uses {
    struct pool_job job;
    struct prompt_store *store;
    struct prompt_folder *folder;
    struct prompt_use *use;
    size_t n;
    int rc;
};

static void begin_uses(struct pool_job *job)
{
    struct uses *u = container_of(job, struct uses, job);
    struct prompt_store *s = u->store;
    u->folder = prompt_folder_ref(s->folder);
    u->use = mem_try_zalloc((s->index.n + 1) * sizeof *u->use);
    if (!u->use)
        return;
    s->uses_changed = false;
    u->use[0] = s->total;
    for (size_t i = 0; i < s->index.n; i++) {
        const struct prompt_file *f = s->index.file[i];
        if (f->hits)
            u->use[++u->n] = (struct prompt_use){f->number, f->used, f->hits, f->saved_ms};
    }
}

static void run_uses(struct pool_job *job)
{
    struct uses *u = container_of(job, struct uses, job);
    u->rc = u->use ? prompt_folder_write_uses(u->folder, u->use, u->n) : -ENOMEM;
}

static void end_uses(struct pool_job *job)
{
    struct uses *u = container_of(job, struct uses, job);
    struct prompt_store *s = u->store;
    if (u->rc) {
        s->uses_changed = true;
        prompt_store_note(s, u->rc);
        arm(s, RETRY_MS);
    }
    prompt_folder_unref(u->folder);
    free(u->use);
    free(u);
}

static void write_uses(struct prompt_store *s)
{
    struct uses *u = mem_zalloc(sizeof *u);
    *u = (struct uses){.job = {.begin = begin_uses, .run = run_uses, .end = end_uses}, .store = s};
    pool_lane_add(&s->others, &u->job);
}

void prompt_store_used(struct prompt_store *s, uint64_t number, double saved_ms)
{
    struct prompt_file *f = prompt_index_get(&s->index, number);
    saved_ms = fmax(saved_ms, 0);
    s->total.hits++;
    s->total.saved_ms += saved_ms;
    if (f) {
        f->used = clock_unix();
        f->hits++;
        f->saved_ms += saved_ms;
    }
    s->uses_changed = true;
    arm(s, USES_MS);
}

static void on_timer(uv_timer_t *timer)
{
    struct prompt_store *s = timer->data;
    if (s->lost && !s->loading)
        load(s);
    else if (s->uses_changed)
        write_uses(s);
}

/* --- jobs: folders of engines --------------------------------------------------------------------- */

struct folder_job {
    struct pool_job job;
    struct prompt_store *store;
    struct prompt_folder *folder;
    char *path;    /* to remove; NULL: spares are made */
    bool is_users; /* not to remove, but to clean */
    size_t n;      /* to make; then, how many there are */
    char *made[PROMPT_SPARE_FOLDERS];
    int rc;
    bool gone;
};

static void run_folder_job(struct pool_job *job)
{
    struct folder_job *j = container_of(job, struct folder_job, job);
    size_t wanted = j->n;
    if (j->path) {
        (j->is_users ? prompt_folder_tidy : prompt_folder_remove_for_engine)(j->folder, j->path);
        return;
    }
    for (j->n = 0; j->n < wanted && !j->rc;) {
        j->rc = prompt_folder_make_for_engine(j->folder, &j->made[j->n]);
        j->n += !j->rc;
    }
    j->gone = j->rc && !prompt_folder_is_there(j->folder);
}

static void add_folder_job(struct prompt_store *s, const char *path);

static void keep_spare(struct prompt_store *s, const struct prompt_folder *in, char *path)
{
    if (!s->closing && !s->lost && in == s->folder) {
        s->spare[s->n_spare++] = path;
        return;
    }
    if (s->closing)
        add_folder_job(s, path);
    free(path);
}

static void end_folder_job(struct pool_job *job)
{
    struct folder_job *j = container_of(job, struct folder_job, job);
    struct prompt_store *s = j->store;
    if (!j->path)
        s->making_spares = false;
    if (j->gone)
        prompt_store_note_lost(s, j->folder);
    else if (j->rc)
        prompt_store_note(s, j->rc);
    for (size_t i = 0; i < j->n; i++)
        keep_spare(s, j->folder, j->made[i]);
    if (!j->path && !j->rc)
        make_spares(s); /* some were used meanwhile */
    prompt_folder_unref(j->folder);
    free(j->path);
    free(j);
}

static void add_folder_job_for(struct prompt_store *s, const char *path, bool is_users)
{
    struct folder_job *j = mem_zalloc(sizeof *j);
    *j = (struct folder_job){.job = {.run = run_folder_job, .end = end_folder_job},
                             .store = s,
                             .folder = prompt_folder_ref(s->folder),
                             .path = path ? mem_strdup(path) : NULL,
                             .is_users = is_users,
                             .n = path ? 0 : PROMPT_SPARE_FOLDERS - s->n_spare};
    pool_lane_add(&s->others, &j->job);
}

static void add_folder_job(struct prompt_store *s, const char *path)
{
    add_folder_job_for(s, path, false);
}

void prompt_store_tidy(struct prompt_store *s, const char *path)
{
    if (!s->closing)
        add_folder_job_for(s, path, true);
}

void prompt_store_name_file(const struct prompt_store *s, char *name)
{
    prompt_folder_name_file(s->folder, name);
}

static void make_spares(struct prompt_store *s)
{
    if (s->making_spares || s->lost || s->closing || s->n_spare == PROMPT_SPARE_FOLDERS)
        return;
    s->making_spares = true;
    add_folder_job(s, NULL);
}

char *prompt_store_create_folder(struct prompt_store *s)
{
    char *path = s->n_spare ? s->spare[--s->n_spare] : NULL;
    if (path)
        strv_add(&s->engines, path);
    make_spares(s);
    return path;
}

static void forget_engine(struct prompt_store *s, size_t i)
{
    free(s->engines.v[i]);
    s->engines.v[i] = s->engines.v[--s->engines.n];
    s->engines.v[s->engines.n] = NULL;
}

void prompt_store_remove_folder(struct prompt_store *s, const char *path)
{
    for (size_t i = 0; i < s->engines.n; i++)
        if (strcmp(s->engines.v[i], path) == 0) {
            add_folder_job(s, path);
            forget_engine(s, i);
            return;
        }
}

/* --- open and close ------------------------------------------------------------------------------- */

static void on_timer_closed(uv_handle_t *timer)
{
    struct prompt_store *s = timer->data;
    void (*closed)(void *ctx) = s->closed;
    void *ctx = s->closed_ctx;
    prompt_index_finish(&s->index);
    prompt_folder_unref(s->folder);
    strv_finish(&s->engines);
    for (size_t i = 0; i < s->n_lent; i++)
        free(s->lent[i].path);
    free(s->lent);
    free(s);
    if (closed)
        closed(ctx);
}

static void end_if_idle(struct prompt_store *s)
{
    bool is_idle = !s->lends.running && !s->others.running;
    if (s->closing && is_idle && !uv_is_closing((uv_handle_t *)&s->timer))
        uv_close((uv_handle_t *)&s->timer, on_timer_closed);
}

static void on_lends_idle(struct pool_lane *lane)
{
    end_if_idle(container_of(lane, struct prompt_store, lends));
}

static void on_others_idle(struct pool_lane *lane)
{
    end_if_idle(container_of(lane, struct prompt_store, others));
}

static void make_first_spares(struct prompt_store *s)
{
    while (s->n_spare < PROMPT_SPARE_FOLDERS &&
           prompt_folder_make_for_engine(s->folder, &s->spare[s->n_spare]) == 0)
        s->n_spare++;
}

int prompt_store_open(struct prompt_store **out, uv_loop_t *loop, const char *dir,
                      uint64_t max_bytes, struct error *err)
{
    struct prompt_folder *folder;
    int rc = prompt_folder_open(&folder, dir, 0, err);
    if (rc)
        return rc;
    struct prompt_store *s = mem_zalloc(sizeof *s);
    *s = (struct prompt_store){.loop = loop,
                               .folder = folder,
                               .next_number = 1,
                               .max_bytes = max_bytes,
                               .max_is_given = max_bytes > 0};
    TAILQ_INIT(&s->callbacks);
    pool_lane_init(&s->lends, loop, on_lends_idle);
    pool_lane_init(&s->others, loop, on_others_idle);
    uv_timer_init(loop, &s->timer);
    uv_unref((uv_handle_t *)&s->timer);
    s->timer.data = s;
    make_first_spares(s); /* engines may start before the index has been read */
    load(s);
    *out = s;
    return 0;
}

/* Whatever else is queued, the removal of the spare folders comes last, so that the lane becomes idle once. */
void prompt_store_close(struct prompt_store *s, void (*closed)(void *ctx), void *ctx)
{
    s->closing = true;
    s->closed = closed;
    s->closed_ctx = ctx;
    uv_timer_stop(&s->timer);
    if (s->uses_changed)
        write_uses(s);
    while (s->n_spare) {
        add_folder_job(s, s->spare[--s->n_spare]);
        free(s->spare[s->n_spare]);
    }
    for (size_t i = 0; i < s->engines.n; i++)
        add_folder_job(s, s->engines.v[i]);
    add_folder_job(s, ""); /* at least one */
}
