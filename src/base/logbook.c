/* SPDX-License-Identifier: MIT */
#include "base/logbook.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/memory.h"
#include "base/memory_reserve.h"

#define SAID_MAX 300
#define KIND_AT 16 /* where `model` stands at the latest: `the engine of model …` */

struct entry {
    char *model; /* NULL: the server's own */
    char *text;  /* with its newline */
    char *said;  /* the beginning of what the server says; NULL: an engine's line */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct entry entries[LOGBOOK_LINES];
static uint64_t count; /* of lines that were ever added */
static void (*wake_watcher)(void *ctx);
static void *watcher;

void logbook_add(const char *model, const char *head, const char *line, size_t len,
                 const char *said)
{
    bool cut = len > LOGBOOK_LINE_MAX;
    if (!memory_reserve_permits(LOGBOOK_LINE_MAX))
        return; /* who asks for lines can do without this one */
    struct entry new = {.model = model ? mem_strdup(model) : NULL,
                        .text = mem_printf("%s%.*s%s", head, (int)(cut ? LOGBOOK_LINE_MAX : len),
                                           line, cut ? "\n" : ""),
                        .said = model ? NULL : mem_strndup(said, strnlen(said, SAID_MAX))};
    pthread_mutex_lock(&mutex);
    struct entry *e = &entries[count++ % LOGBOOK_LINES];
    struct entry old = *e;
    *e = new;
    if (wake_watcher)
        wake_watcher(watcher);
    pthread_mutex_unlock(&mutex);
    free(old.model);
    free(old.text);
    free(old.said);
}

/* Whether it is said of `kind NAME`, in quotes or without, and no more of a name stands there. */
static bool names(const char *said, const char *kind, const char *model)
{
    size_t n = strlen(model);
    const char *at = strstr(said, kind);
    if (!at || at - said > KIND_AT)
        return false;
    at += strlen(kind);
    at += *at == '\'';
    return strncmp(at, model, n) == 0 && strchr(" :,'", at[n]);
}

static bool concerns(const struct entry *e, const char *model)
{
    if (!model || (e->model && strcmp(e->model, model) == 0))
        return true;
    return !e->model && (names(e->said, "model ", model) || names(e->said, "engine ", model));
}

static uint64_t oldest_kept(void)
{
    return count > LOGBOOK_LINES ? count - LOGBOOK_LINES : 0;
}

uint64_t logbook_newest(void)
{
    pthread_mutex_lock(&mutex);
    uint64_t newest = count;
    pthread_mutex_unlock(&mutex);
    return newest;
}

uint64_t logbook_before_last(const char *model, size_t most)
{
    pthread_mutex_lock(&mutex);
    uint64_t at = count, oldest = oldest_kept();
    for (size_t found = 0; at > oldest && found < most; at--)
        found += concerns(&entries[(at - 1) % LOGBOOK_LINES], model);
    pthread_mutex_unlock(&mutex);
    return at;
}

char *logbook_read(uint64_t *from, uint64_t to, const char *model, size_t enough)
{
    struct buf out;
    int rc = 0;
    buf_init(&out, BUF_UNBOUNDED);
    pthread_mutex_lock(&mutex);
    uint64_t oldest = oldest_kept(), at = *from > oldest ? *from : oldest;
    for (; !rc && at < count && at < to && out.len < enough; at++) {
        const struct entry *e = &entries[at % LOGBOOK_LINES];
        if (concerns(e, model))
            rc = buf_puts(&out, e->text);
    }
    if (!rc)
        *from = at;
    pthread_mutex_unlock(&mutex);
    if (rc)
        buf_finish(&out);
    return rc ? NULL : buf_take(&out);
}

void logbook_watch(void (*wake)(void *ctx), void *ctx)
{
    pthread_mutex_lock(&mutex);
    wake_watcher = wake;
    watcher = ctx;
    pthread_mutex_unlock(&mutex);
}
