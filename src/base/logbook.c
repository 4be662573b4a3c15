/* SPDX-License-Identifier: MIT */
#include "base/logbook.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/memory.h"

struct entry {
    char *model;    /* NULL: the server's own */
    char *text;     /* with its newline */
    size_t text_at; /* where its head ends */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct entry entries[LOGBOOK_LINES];
static uint64_t count; /* of lines that were ever added */
static void (*wake_watcher)(void *ctx);
static void *watcher;

void logbook_add(const char *model, const char *head, const char *line, size_t len)
{
    size_t head_len = strlen(head);
    bool cut = len > LOGBOOK_LINE_MAX;
    struct entry new = {.model = model ? mem_strdup(model) : NULL,
                        .text = mem_printf("%s%.*s%s", head, (int)(cut ? LOGBOOK_LINE_MAX : len),
                                           line, cut ? "\n" : ""),
                        .text_at = head_len};
    pthread_mutex_lock(&mutex);
    struct entry *e = &entries[count++ % LOGBOOK_LINES];
    struct entry old = *e;
    *e = new;
    if (wake_watcher)
        wake_watcher(watcher);
    pthread_mutex_unlock(&mutex);
    free(old.model);
    free(old.text);
}

/* Whether `text` has, behind a word like `info`, `kind NAME` and then no more of a name. */
static bool names(const char *text, const char *kind, const char *model)
{
    size_t n = strlen(model);
    const char *at = strstr(text, kind);
    return at && at - text <= 8 && strncmp(at + strlen(kind), model, n) == 0 &&
           strchr(" :,", at[strlen(kind) + n]);
}

static bool concerns(const struct entry *e, const char *model)
{
    if (!model || (e->model && strcmp(e->model, model) == 0))
        return true;
    const char *text = e->text + e->text_at;
    return !e->model && (names(text, "model ", model) || names(text, "engine ", model));
}

static uint64_t first_wanted(uint64_t from, const char *model, size_t most)
{
    uint64_t oldest = count > LOGBOOK_LINES ? count - LOGBOOK_LINES : 0, at = count;
    for (size_t found = 0; at > oldest && at > from && found < most; at--)
        found += concerns(&entries[(at - 1) % LOGBOOK_LINES], model);
    return at;
}

char *logbook_read(uint64_t *from, const char *model, size_t most)
{
    struct buf out;
    buf_init(&out, BUF_UNBOUNDED);
    pthread_mutex_lock(&mutex);
    for (uint64_t i = first_wanted(*from, model, most); i < count; i++) {
        const struct entry *e = &entries[i % LOGBOOK_LINES];
        if (concerns(e, model))
            buf_puts(&out, e->text);
    }
    *from = count;
    pthread_mutex_unlock(&mutex);
    return buf_take(&out);
}

void logbook_watch(void (*wake)(void *ctx), void *ctx)
{
    pthread_mutex_lock(&mutex);
    wake_watcher = wake;
    watcher = ctx;
    pthread_mutex_unlock(&mutex);
}
