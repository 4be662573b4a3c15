/* SPDX-License-Identifier: MIT */
/*
 * A download runs in its process until `done`. Then the sources are read again, because only that shows
 * whether there is a model now (download.h, DOWNLOAD_NOTHING).
 */
#include "server/downloads.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "base/container_of.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/model_name.h"
#include "base/text.h"
#include "engine/download.h"

#define AT_ONCE 4       /* each one is a process with several connections */
#define FAILURE_LINES 8 /* of the process's log, in the problem */
#define REPO_MAX 256    /* bytes; the hub's own names have 96 and a tag */

struct item {
    struct downloads *all;
    char *repo;
    struct download *process;     /* NULL: it has ended */
    struct refresh_waiter waiter; /* for the reading after that */
    bool fetched;
    bool cancelled;
    json_t *progress;
    char *log; /* the process's last lines, when it has ended */
    double started;
    TAILQ_ENTRY(item) link;
};

struct downloads {
    struct host *host;
    struct refresh *refresh;
    struct host_listener listener;
    TAILQ_HEAD(, item) items;
    bool ending;
    downloads_on_event *on_event;
    void *ctx;
};

static struct downloads_item describe(const struct item *i, const char *problem)
{
    return (struct downloads_item){.repo = i->repo,
                                   .fetched = i->fetched,
                                   .cancelled = i->cancelled,
                                   .progress = i->progress,
                                   .problem = problem,
                                   .started = i->started};
}

static void emit(struct item *i, enum downloads_event event, const char *problem)
{
    struct downloads_item item = describe(i, problem);
    i->all->on_event(event, &item, i->all->ctx);
}

static void item_free(struct item *i)
{
    TAILQ_REMOVE(&i->all->items, i, link);
    json_decref(i->progress);
    free(i->log);
    free(i->repo);
    free(i);
}

/* --- the end of a download -----------------------------------------------------------------------------
 */

static const struct engine_program *program_of(const struct downloads *d)
{
    return &host_config(d->host)->engine;
}

static void fail(struct item *i, const char *why)
{
    char *problem = i->log && *i->log ? mem_printf("%s; the last lines of %s's log:\n%s", why,
                                                   program_of(i->all)->kind->program, i->log)
                                      : mem_strdup(why);
    log_error("download of %s: %s", i->repo, problem);
    emit(i, DOWNLOADS_EV_FAILED, problem);
    free(problem);
    item_free(i);
}

/* Whether a model of that repository, and of that tag if there is one, is listed now. */
static bool is_listed(const struct item *i)
{
    struct model *m;
    size_t len = strlen(i->repo);
    char *wanted = strchr(i->repo, ':') ? model_name_normal(i->repo) : NULL;
    bool found = false;
    for (size_t k = 0; !found && (m = host_at(i->all->host, k)); k++) {
        const char *id = m->entry->id;
        if (m->entry->missing)
            continue;
        found = wanted ? strcmp(id, wanted) == 0 : strncmp(id, i->repo, len) == 0 && id[len] == ':';
    }
    free(wanted);
    return found;
}

/* What was fetched is in the cache, even if the sources cannot be taken over now because the presets have
 * a mistake: the next reading lists it. */
static void on_refreshed(struct refresh_waiter *w, const char *problem)
{
    struct item *i = container_of(w, struct item, waiter);
    if (i->fetched || is_listed(i)) {
        log_info("download of %s: it is there", i->repo);
        if (problem)
            log_warn("download of %s: it is not listed yet: %s", i->repo, problem);
        emit(i, DOWNLOADS_EV_FINISHED, NULL);
        item_free(i);
        return;
    }
    fail(i, problem ? problem
                    : "nothing was fetched: there is no such repository, or no GGUF file with that "
                      "tag in it, or it wants a token (HF_TOKEN), or the hub cannot be reached");
}

static void fail_process(struct item *i)
{
    char *why = mem_printf("%s could not fetch it", program_of(i->all)->kind->program);
    fail(i, why);
    free(why);
}

static void on_done(struct download *process, enum download_outcome outcome, void *ctx)
{
    struct item *i = ctx;
    i->log = download_log_tail(process, FAILURE_LINES);
    i->process = NULL;
    switch (outcome) {
    case DOWNLOAD_DONE:
    case DOWNLOAD_NOTHING:
        i->fetched = outcome == DOWNLOAD_DONE;
        i->waiter.done = on_refreshed;
        refresh_request(i->all->refresh, &i->waiter);
        break;
    case DOWNLOAD_FAILED:
        fail_process(i);
        break;
    case DOWNLOAD_CANCELLED:
        i->cancelled = true;
        free(i->log);
        i->log = NULL;
        fail(i, "it was cancelled");
        break;
    }
    download_destroy(process);
}

static void on_progress(struct download *process, const char *url, uint64_t done, uint64_t total,
                        void *ctx)
{
    struct item *i = ctx;
    (void)process;
    json_object_set_new(
        i->progress, url,
        json_pack("{s:I, s:I}", "done", (json_int_t)done, "total", (json_int_t)total));
    emit(i, DOWNLOADS_EV_PROGRESS, NULL);
}

/* --- the start of a download ---------------------------------------------------------------------------
 */

/* USER/REPO or USER/REPO:TAG, of characters that the hub allows. */
static bool is_repo(const char *text)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t user = strspn(text, allowed);
    size_t repo = text[user] == '/' ? strspn(text + user + 1, allowed) : 0;
    const char *rest = text + user + 1 + repo;
    if (!user || !repo || *text == '.' || text[user + 1] == '.' || strlen(text) > REPO_MAX)
        return false;
    return *rest == '\0' ||
           (*rest == ':' && rest[1] && rest[1 + strspn(rest + 1, allowed)] == '\0');
}

static struct item *find(const struct downloads *d, const char *repo)
{
    struct item *i;
    TAILQ_FOREACH (i, &d->items, link)
        if (model_name_same(i->repo, repo))
            return i;
    return NULL;
}

bool downloads_has(const struct downloads *d, const char *repo)
{
    return find(d, repo) != NULL;
}

static double unix_time(void)
{
    struct timeval tv;
    gettimeofday(&tv, NULL);
    return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

/* It gets the environment of an engine of this name, which has a token from an option or the presets. */
static int start_process(struct item *i, struct error *err)
{
    static const struct download_events events = {.progress = on_progress, .done = on_done};
    struct host *host = i->all->host;
    struct engine_launch *launch = compose(host_config(host), host_presets(host),
                                           &(struct catalog_model){.id = i->repo}, NULL, NULL);
    const struct download_spec spec = {.kind = program_of(i->all)->kind,
                                       .repo = i->repo,
                                       .binary = program_of(i->all)->path,
                                       .env = &launch->env};
    int rc = download_start(&i->process, host_loop(host), &spec, &events, i, err);
    engine_launch_release(launch);
    return rc;
}

static size_t running(const struct downloads *d)
{
    const struct item *i;
    size_t n = 0;
    TAILQ_FOREACH (i, &d->items, link)
        n += i->process != NULL;
    return n;
}

static int check(const struct downloads *d, const char *repo, struct error *err)
{
    if (!is_repo(repo))
        return error_set(err, -EINVAL,
                         "'%.80s' names no repository: give USER/REPO or USER/REPO:TAG",
                         text_clean(repo) ? repo : "(not a text)");
    if (!program_of(d)->kind->downloading)
        return error_set(err, -EINVAL, "'%s' is not downloaded: %s cannot download models", repo,
                         program_of(d)->kind->program);
    if (find(d, repo))
        return error_set(err, -EALREADY, "model '%s' already exists: it is being downloaded", repo);
    if (d->ending)
        return error_set(err, -ESHUTDOWN, "'%s' is not downloaded: the server is shutting down",
                         repo);
    if (running(d) >= AT_ONCE)
        return error_set(err, -EBUSY,
                         "'%s' is not downloaded: %d downloads are under way, which is the most at "
                         "once; try again when one is over, or cancel one",
                         repo, AT_ONCE);
    return 0;
}

int downloads_start(struct downloads *d, const char *repo, struct error *err)
{
    int rc = check(d, repo, err);
    if (rc)
        return rc;
    struct item *i = mem_zalloc(sizeof *i);
    i->all = d;
    i->repo = mem_strdup(repo);
    i->progress = json_object();
    i->started = unix_time();
    TAILQ_INSERT_TAIL(&d->items, i, link);
    rc = start_process(i, err);
    if (rc) {
        item_free(i);
        return rc;
    }
    log_info("download of %s: it begins", repo);
    emit(i, DOWNLOADS_EV_STARTED, NULL);
    return 0;
}

int downloads_cancel(struct downloads *d, const char *repo, struct error *err)
{
    struct item *i = find(d, repo);
    if (!i)
        return error_set(err, -ENOENT, "'%s' is not being downloaded", repo);
    if (!i->process)
        return error_set(
            err, -EBUSY,
            "the download of '%s' is over: it cannot be cancelled any more; delete the "
            "model when it is listed",
            repo);
    download_cancel(i->process);
    return 0;
}

bool downloads_at(const struct downloads *d, size_t index, struct downloads_item *item)
{
    const struct item *i = TAILQ_FIRST(&d->items);
    while (i && index--)
        i = TAILQ_NEXT(i, link);
    if (i)
        *item = describe(i, NULL);
    return i != NULL;
}

/* --- all ----------------------------------------------------------------------------------------
 */

/* Fetched parts of a file stay in the cache, and its next download continues from there. */
static void on_host_event(struct host_listener *l, enum host_event event, struct model *m,
                          struct instance *instance)
{
    struct downloads *d = container_of(l, struct downloads, listener);
    struct item *i;
    (void)m, (void)instance;
    if (event != HOST_EV_SHUTDOWN)
        return;
    d->ending = true;
    TAILQ_FOREACH (i, &d->items, link)
        if (i->process)
            download_cancel(i->process);
}

struct downloads *downloads_create(struct host *host, struct refresh *refresh,
                                   downloads_on_event *on_event, void *ctx)
{
    struct downloads *d = mem_zalloc(sizeof *d);
    d->host = host;
    d->refresh = refresh;
    d->on_event = on_event;
    d->ctx = ctx;
    d->listener.on_event = on_host_event;
    TAILQ_INIT(&d->items);
    host_listen(host, &d->listener);
    return d;
}

void downloads_destroy(struct downloads *d)
{
    struct item *i;
    host_unlisten(d->host, &d->listener);
    while ((i = TAILQ_FIRST(&d->items))) {
        if (i->process) // NOLINT(clang-analyzer-unix.Malloc): item_free() takes it out
            download_destroy(i->process);
        else
            refresh_leave(d->refresh, &i->waiter);
        item_free(i);
    }
    free(d);
}
