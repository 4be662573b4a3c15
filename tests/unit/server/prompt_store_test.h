/* SPDX-License-Identifier: MIT */
/* A store in a temporary folder, whose answers a test awaits; and files as engines write them. */
#ifndef HOSTLER_TESTS_PROMPT_STORE_TEST_H
#define HOSTLER_TESTS_PROMPT_STORE_TEST_H

#include "prompt_test.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../catalog/tree.h"
#include "base/clock.h"
#include "base/log.h"
#include "server/prompt_store.h"

#define WAIT_MS 60000 /* for an answer of the disk; a generous bound */

static struct tree t;
static uv_loop_t loop;
static struct prompt_store *s;
static struct error err;
static char folder[128];

static inline void on_limit(uv_timer_t *timer)
{
    (void)timer;
    abort();
}

/* Runs the loop until `*done`. */
static inline void await(const bool *done)
{
    uv_timer_t limit;
    uv_timer_init(&loop, &limit);
    uv_timer_start(&limit, on_limit, WAIT_MS, 0);
    while (!*done)
        uv_run(&loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&limit, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
}

static inline void set_true(void *ctx)
{
    *(bool *)ctx = true;
}

static inline void close_store(void)
{
    bool closed = false;
    prompt_store_close(s, set_true, &closed);
    await(&closed);
    s = NULL;
}

static inline int try_open(uint64_t max)
{
    int rc = prompt_store_open(&s, &loop, folder, max, &err);
    if (rc)
        return rc;
    uv_timer_t limit;
    uv_timer_init(&loop, &limit);
    uv_timer_start(&limit, on_limit, WAIT_MS, 0);
    while (prompt_store_status(s).loading)
        uv_run(&loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&limit, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
    return 0;
}

static inline void open_store(uint64_t max)
{
    if (try_open(max))
        fail_msg("%s", err.text);
}

static inline void open_again(uint64_t max)
{
    close_store();
    open_store(max);
}

static inline int set_up(void **state)
{
    (void)state;
    log_setup(LOG_ERROR, LOG_TEXT);
    tree_create(&t);
    snprintf(folder, sizeof folder, "%s/a/prompt-cache", t.root);
    s = NULL;
    err = (struct error){0};
    return uv_loop_init(&loop);
}

static inline int tear_down(void **state)
{
    (void)state;
    if (s)
        close_store();
    uv_run(&loop, UV_RUN_DEFAULT);
    tree_remove(&t);
    return uv_loop_close(&loop);
}

/* --- files as engines write them ------------------------------------------------------------------ */

static inline void write_file(const char *path, char with, size_t bytes)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    for (size_t i = 0; i < bytes; i++)
        putc(with + (char)(i % 7), f);
    assert_int_equal(fclose(f), 0);
}

static inline bool file_is(const char *path, char with, size_t bytes)
{
    FILE *f = fopen(path, "re");
    size_t i = 0;
    int c;
    if (!f)
        return false;
    while ((c = getc(f)) != EOF && c == (char)(with + (char)(i % 7)))
        i++;
    fclose(f);
    return c == EOF && i == bytes;
}

/* Files whose name ends so; NULL: all but lock and seed. */
static inline size_t count_files(const char *dir, const char *ending)
{
    size_t n = 0, len = ending ? strlen(ending) : 0;
    DIR *list = opendir(dir);
    if (!list)
        return 0;
    for (struct dirent *d; (d = readdir(list));) {
        size_t name = strlen(d->d_name);
        if (ending ? name > len && strcmp(d->d_name + name - len, ending) == 0 : *d->d_name != '.')
            n++;
    }
    closedir(list);
    return n;
}

struct taken {
    bool done;
    int rc;
    uint64_t number;
};

static inline void on_taken(int rc, uint64_t number, void *ctx)
{
    *(struct taken *)ctx = (struct taken){true, rc, number};
}

/* An engine's file of `bytes`, filled from `with`, for the prompt `text`. */
static inline void begin_take(struct taken *out, const char *identity, const char *text, char with,
                              size_t bytes)
{
    static unsigned n;
    struct test_chain c;
    char path[256];
    snprintf(path, sizeof path, "%s/saved-%u", t.root, n++);
    write_file(path, with, bytes);
    struct prompt_taking what = {.path = path,
                                 .identity = identity,
                                 .model = identity,
                                 .chain = chain_of(&c, text),
                                 .tokens = 100,
                                 .bytes = bytes,
                                 .token_ms = 1};
    *out = (struct taken){0};
    prompt_store_take(s, &what, on_taken, out);
}

static inline struct taken take(const char *identity, const char *text, char with, size_t bytes)
{
    struct taken out;
    begin_take(&out, identity, text, with, bytes);
    await(&out.done);
    return out;
}

/* Its number. */
static inline uint64_t must_take(const char *identity, const char *text, char with, size_t bytes)
{
    struct taken out = take(identity, text, with, bytes);
    assert_int_equal(out.rc, 0);
    assert_true(out.number > 0);
    return out.number;
}

static inline uint64_t find(const char *identity, const char *text)
{
    struct test_chain c;
    uint64_t common;
    const struct prompt_file *f = prompt_store_find(s, identity, chain_of(&c, text), &common);
    return f ? f->number : 0;
}

struct lent {
    bool done;
    int rc;
};

static inline void on_lent(int rc, void *ctx)
{
    *(struct lent *)ctx = (struct lent){true, rc};
}

static inline int lend(uint64_t number, const char *path)
{
    struct lent out = {0};
    prompt_store_lend(s, number, path, on_lent, &out);
    await(&out.done);
    return out.rc;
}

/* What is queued is done. */
static inline void settle(void)
{
    struct taken out;
    begin_take(&out, "settle", "", 'a', 1); /* without a point: refused, behind all else */
    await(&out.done);
    assert_int_equal(out.rc, -EINVAL);
}

static inline const char *data_path(uint64_t number, const char *ending)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%016llx%s", folder, (unsigned long long)number, ending);
    return path;
}

#endif
