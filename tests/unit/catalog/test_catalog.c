/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/memory.h"
#include "catalog/catalog.h"
#include "gguf_build.h"
#include "tree.h"

static struct tree t;
static uv_loop_t loop;
static struct catalog *c;
static struct error err;

static int added, headers, removed, closed;
static struct catalog_model *kept[64]; /* removed and not released, when `keep` */
static int n_kept;
static bool keep;

static void on_added(struct catalog_model *model, void *ctx)
{
    assert_ptr_equal(ctx, &t);
    assert_int_equal(model->header, model->path ? MODEL_HEADER_PENDING : MODEL_HEADER_NONE);
    assert_ptr_equal(catalog_find(c, model->id), model);
    added++;
}

static void on_header(struct catalog_model *model, void *ctx)
{
    assert_ptr_equal(ctx, &t);
    assert_int_not_equal(model->header, MODEL_HEADER_PENDING);
    assert_int_equal(model->header == MODEL_HEADER_BROKEN, model->problem != NULL);
    assert_false(model->removed);
    headers++;
}

static void on_removed(struct catalog_model *model, void *ctx)
{
    assert_ptr_equal(ctx, &t);
    assert_true(model->removed);
    assert_ptr_not_equal(catalog_find(c, model->id), model);
    removed++;
    if (keep)
        kept[n_kept++] = model;
    else
        catalog_model_release(c, model);
}

static void on_closed(void *ctx)
{
    assert_ptr_equal(ctx, &closed);
    closed++;
}

static const struct catalog_events events = {on_added, on_header, on_removed};

static int setup(void **state)
{
    (void)state;
    log_setup(LOG_ERROR, LOG_TEXT);
    tree_create(&t);
    uv_loop_init(&loop);
    added = headers = removed = closed = n_kept = 0;
    keep = false;
    c = catalog_create(&loop, &events, &t);
    return 0;
}

static void close_catalog(void)
{
    if (c)
        catalog_close(c, on_closed, &closed);
    c = NULL;
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(closed, 1);
}

static int teardown(void **state)
{
    (void)state;
    if (!closed)
        close_catalog();
    assert_int_equal(uv_loop_close(&loop), 0);
    tree_remove(&t);
    return 0;
}

static void put(const char *name)
{
    struct buf b;
    gb_small(&b, name);
    tree_put_buf(&t, name, &b);
}

static void put_mmproj(const char *name, int vision, int audio)
{
    struct buf b;
    gb_mmproj(&b, vision, audio);
    tree_put_buf(&t, name, &b);
}

static void put_shard(const char *name, uint16_t no, uint16_t count)
{
    struct buf b;
    gb_shard(&b, no, count);
    tree_put_buf(&t, name, &b);
}

/* Gives the catalog what the test's folder holds; returns how many were left for later. */
static size_t update(bool patient)
{
    struct folder f;
    assert_int_equal(folder_read(&f, t.root, &err), 0);
    size_t left = catalog_update(c, &f, patient);
    folder_finish(&f);
    return left;
}

static void scan(void)
{
    assert_int_equal(update(false), 0);
}

/* Nothing keeps the loop but the jobs. */
static void scan_and_wait(void)
{
    scan();
    uv_run(&loop, UV_RUN_DEFAULT);
}

static void assert_counts(int want_added, int want_headers, int want_removed)
{
    assert_int_equal(added, want_added);
    assert_int_equal(headers, want_headers);
    assert_int_equal(removed, want_removed);
}

static struct catalog_model *model(const char *id)
{
    struct catalog_model *m = catalog_find(c, id);
    assert_non_null(m);
    return m;
}

static void scan_reads_headers(void **state)
{
    (void)state;
    put("b.gguf");
    put("a.gguf");
    scan();
    assert_counts(2, 0, 0);
    assert_int_equal(catalog_count(c), 2);
    assert_int_equal(model("a")->header, MODEL_HEADER_PENDING);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_counts(2, 2, 0);
    assert_int_equal(model("a")->header, MODEL_HEADER_READ);
    assert_string_equal(model("a")->info.name, "a.gguf");
    assert_int_equal(model("a")->info.context_length, 2048);
    assert_int_equal(model("a")->source, MODEL_SOURCE_FOLDER);
    assert_string_equal(model_source_name(model("a")->source), "models_dir");
    assert_string_equal(catalog_at(c, 0)->id, "a");
    assert_string_equal(catalog_at(c, 1)->id, "b");
    assert_null(catalog_at(c, 2));
    assert_null(catalog_find(c, "c"));
}

static void rescan_without_change(void **state)
{
    (void)state;
    put("a.gguf");
    scan_and_wait();
    const struct catalog_model *before = model("a");
    scan_and_wait();
    assert_ptr_equal(model("a"), before);
    scan(); /* also while the header is being read */
    scan_and_wait();
    assert_counts(1, 1, 0);
}

static void rescan_with_changes(void **state)
{
    (void)state;
    put("a.gguf");
    put("b.gguf");
    put("c.gguf");
    scan_and_wait();
    tree_delete(&t, "b.gguf");
    put_mmproj("c.gguf", 0, 0);
    put("d.gguf");
    scan_and_wait();
    assert_counts(5, 5, 2);
    assert_null(catalog_find(c, "b"));
    assert_string_equal(model("c")->info.architecture, "clip");
    assert_int_equal(catalog_count(c), 3);
    assert_string_equal(catalog_at(c, 2)->id, "d");
}

/* The new model has what its unchanged files told the old one, with nothing left to read. */
static void companions_change(void **state)
{
    (void)state;
    tree_folder(&t, "m");
    put("m/model.gguf");
    put_mmproj("m/mmproj.gguf", 1, 0);
    scan_and_wait();
    assert_true(model("m")->mmproj_info->has_vision);
    put("m/mtp-x.gguf");
    scan();
    assert_counts(2, 2, 1);
    assert_non_null(model("m")->draft);
    assert_int_equal(model("m")->header, MODEL_HEADER_READ);
    assert_int_equal(model("m")->info.context_length, 2048);
    assert_true(model("m")->mmproj_info->has_vision);
    uv_run(&loop, UV_RUN_DEFAULT); /* nobody waits for the draft's header */
    assert_counts(2, 2, 1);
    assert_int_equal(model("m")->draft_info->context_length, 2048);
    put_mmproj("m/mmproj.gguf", 0, 1);
    assert_int_equal(truncate(tree_path(&t, "m/mmproj.gguf"), 500), 0);
    scan();
    assert_int_equal(model("m")->header, MODEL_HEADER_PENDING);
    assert_null(model("m")->mmproj_info);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_counts(3, 3, 2);
    assert_true(model("m")->mmproj_info->has_audio);
    tree_delete(&t, "m/mmproj.gguf");
    scan_and_wait();
    assert_null(model("m")->mmproj);
    assert_null(model("m")->mmproj_info);
    assert_counts(4, 4, 3);
}

static void broken_models(void **state)
{
    (void)state;
    tree_put(&t, "x.gguf", "garbage", 7);
    tree_folder(&t, "m");
    put("m/model.gguf");
    tree_put(&t, "m/mmproj.gguf", "garbage", 7);
    put_shard("s-00001-of-00002.gguf", 0, 2);
    put_shard("renamed.gguf", 0, 2);
    scan_and_wait();
    assert_counts(4, 4, 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(catalog_at(c, i)->header, MODEL_HEADER_BROKEN);
    assert_non_null(strstr(model("x")->problem, "not a GGUF file"));
    assert_non_null(strstr(model("m")->problem, "mmproj.gguf"));
    assert_non_null(strstr(model("s-00001-of-00002")->problem, "s-00002-of-00002.gguf"));
    assert_non_null(strstr(model("renamed")->problem, "part 1 of 2"));
    put_shard("s-00002-of-00002.gguf", 1, 2);
    scan_and_wait();
    assert_int_equal(model("s-00001-of-00002")->header, MODEL_HEADER_READ);
}

static void shards_add_up(void **state)
{
    (void)state;
    put_shard("s-00001-of-00003.gguf", 0, 3);
    put_shard("s-00002-of-00003.gguf", 1, 3);
    put_shard("s-00003-of-00003.gguf", 2, 3);
    scan_and_wait();
    const struct catalog_model *m = model("s-00001-of-00003");
    assert_int_equal(m->header, MODEL_HEADER_READ);
    assert_int_equal(m->shards, 3);
    assert_int_equal(m->info.n_params, 3 * 64);
    assert_int_equal(m->info.tensor_bytes, 3 * 256);
    assert_int_equal(m->info.tensor_count, 3);
    assert_string_equal(m->info.architecture, "llama");
    tree_put(&t, "s-00003-of-00003.gguf", "GGUF", 4);
    scan_and_wait();
    assert_int_equal(model("s-00001-of-00003")->header, MODEL_HEADER_BROKEN);
    assert_non_null(strstr(model("s-00001-of-00003")->problem, "s-00003-of-00003.gguf"));
}

/* Seconds ago. */
static void set_age(const char *name, time_t age)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = time(NULL) - age}};
    assert_int_equal(utimensat(AT_FDCWD, tree_path(&t, name), times, 0), 0);
}

/* A file that changes is not there yet, and is what it was if it was there. */
static void growing_files_are_left(void **state)
{
    (void)state;
    put("new.gguf");
    put("old.gguf");
    set_age("old.gguf", 60);
    set_age("new.gguf", 0); /* a busy machine may have taken seconds to come here */
    assert_int_equal(update(true), 1);
    assert_null(catalog_find(c, "new"));
    uint64_t size = model("old")->size;
    put_mmproj("old.gguf", 0, 0);
    set_age("new.gguf", 0);
    set_age("old.gguf", 0);
    assert_int_equal(update(true), 2);
    assert_int_equal(model("old")->size, size);
    assert_counts(1, 0, 0);
    set_age("new.gguf", 60);
    set_age("old.gguf", 50);
    assert_int_equal(update(true), 0);
    assert_counts(3, 0, 1);
    assert_non_null(catalog_find(c, "new"));
}

/* A companion that is still written keeps its model waiting, too. */
static void growing_companion(void **state)
{
    (void)state;
    tree_folder(&t, "m");
    put("m/model.gguf");
    put_mmproj("m/mmproj.gguf", 1, 0);
    set_age("m/model.gguf", 60);
    set_age("m/mmproj.gguf", 0);
    assert_int_equal(update(true), 1);
    set_age("m/mmproj.gguf", 60);
    assert_int_equal(update(true), 0);
    assert_non_null(model("m")->mmproj);
}

/* An engine may fetch its own file: there is nothing to read. */
static void no_file(void **state)
{
    (void)state;
    struct folder f = {0};
    folder_insert(&f, &(struct folder_model){
                          .id = mem_strdup("far"), .source = MODEL_SOURCE_PRESET, .shards = 1});
    assert_int_equal(catalog_update(c, &f, true), 0);
    folder_finish(&f);
    assert_counts(1, 0, 0);
    assert_int_equal(model("far")->header, MODEL_HEADER_NONE);
    assert_int_equal(model("far")->source, MODEL_SOURCE_PRESET);
    assert_null(model("far")->path);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_counts(1, 0, 0);
}

/* Another source for the same files is no reason to begin anew. */
static void source_changes(void **state)
{
    (void)state;
    struct folder f;
    put("a.gguf");
    scan_and_wait();
    struct catalog_model *before = model("a");
    assert_int_equal(folder_read(&f, t.root, &err), 0);
    folder_find(&f, "a")->source = MODEL_SOURCE_PRESET;
    assert_int_equal(catalog_update(c, &f, false), 0);
    folder_finish(&f);
    assert_ptr_equal(model("a"), before);
    assert_int_equal(before->source, MODEL_SOURCE_PRESET);
    assert_counts(1, 1, 0);
}

static void aliases(void **state)
{
    (void)state;
    put("alpha.gguf");
    put("beta.gguf");
    scan_and_wait();
    assert_int_equal(catalog_add_alias(c, model("alpha"), "first", &err), 0);
    assert_int_equal(catalog_add_alias(c, model("alpha"), "first", &err), 0);
    assert_int_equal(catalog_add_alias(c, model("alpha"), "one", &err), 0);
    assert_int_equal(model("alpha")->aliases.n, 2);
    assert_ptr_equal(catalog_find(c, "first"), model("alpha"));
    assert_int_equal(catalog_add_alias(c, model("beta"), "first", &err), -EEXIST);
    assert_int_equal(catalog_add_alias(c, model("beta"), "alpha", &err), -EEXIST);
    assert_int_equal(catalog_add_alias(c, model("beta"), "beta", &err), -EEXIST);
    assert_string_equal(catalog_nearest(c, "alpa"), "alpha");
    assert_string_equal(catalog_nearest(c, "firts"), "first");
    assert_null(catalog_nearest(c, "something else entirely"));
    put("one.gguf");
    scan_and_wait();
    assert_string_equal(model("one")->id, "one");
    tree_delete(&t, "alpha.gguf");
    scan_and_wait();
    assert_null(catalog_find(c, "first"));
    assert_int_equal(catalog_add_alias(c, model("beta"), "first", &err), 0);
}

/* Removed and released, or kept, while a thread may be at it. */
static void removed_in_flight(void **state)
{
    (void)state;
    char name[32];
    for (int round = 0; round < 20; round++) {
        keep = round % 2;
        for (int i = 0; i < 50; i++) {
            snprintf(name, sizeof name, "m%d.gguf", i);
            put(name);
        }
        scan();
        uv_run(&loop, UV_RUN_NOWAIT);
        for (int i = 0; i < 50; i++) {
            snprintf(name, sizeof name, "m%d.gguf", i);
            tree_delete(&t, name);
        }
        scan();
        assert_int_equal(catalog_count(c), 0);
        if (round % 4 < 2)
            uv_run(&loop, UV_RUN_DEFAULT);
        while (n_kept)
            catalog_model_release(c, kept[--n_kept]);
    }
    assert_int_equal(added, 1000);
    assert_int_equal(removed, 1000);
}

static void owner_keeps_removed(void **state)
{
    (void)state;
    put("a.gguf");
    scan_and_wait();
    keep = true;
    tree_delete(&t, "a.gguf");
    scan_and_wait();
    assert_string_equal(kept[0]->id, "a");
    assert_string_equal(kept[0]->info.name, "a.gguf");
    /* not released: catalog_close() frees it */
}

static void close_in_flight(void **state)
{
    (void)state;
    char name[32];
    for (int i = 0; i < 400; i++) {
        snprintf(name, sizeof name, "m%d.gguf", i);
        put(name);
    }
    scan();
    keep = true;
    tree_delete(&t, "m0.gguf");
    scan();
    uv_run(&loop, UV_RUN_NOWAIT);
    int before = headers;
    close_catalog();
    assert_int_equal(headers, before);
}

static void close_in_header(struct catalog_model *m, void *ctx)
{
    (void)m;
    (void)ctx;
    headers++;
    catalog_close(c, on_closed, &closed);
}

static void close_from_an_event(void **state)
{
    (void)state;
    close_catalog();
    closed = 0;
    const struct catalog_events closing = {.header = close_in_header};
    c = catalog_create(&loop, &closing, NULL);
    put("a.gguf");
    put("b.gguf");
    put("c.gguf");
    put("d.gguf");
    scan();
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(headers, 1);
    assert_int_equal(closed, 1);
}

static void rescan_in_header(struct catalog_model *m, void *ctx)
{
    (void)m;
    (void)ctx;
    if (headers++ == 0) {
        tree_delete(&t, "a.gguf");
        tree_delete(&t, "b.gguf");
        tree_delete(&t, "c.gguf");
        scan();
    }
}

static void rescan_from_an_event(void **state)
{
    (void)state;
    close_catalog();
    closed = 0;
    const struct catalog_events scanning = {.header = rescan_in_header};
    c = catalog_create(&loop, &scanning, NULL);
    put("a.gguf");
    put("b.gguf");
    put("c.gguf");
    scan();
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(headers, 1);
    assert_int_equal(catalog_count(c), 0);
}

static void no_events(void **state)
{
    (void)state;
    close_catalog();
    closed = 0;
    catalog_close(NULL, on_closed, &closed);
    assert_int_equal(closed, 1);
    closed = 0;
    const struct catalog_events none = {0};
    c = catalog_create(&loop, &none, NULL);
    put("a.gguf");
    scan_and_wait();
    tree_delete(&t, "a.gguf");
    scan_and_wait();
    assert_int_equal(catalog_count(c), 0);
    catalog_close(c, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    closed = 1;
}

static void many_models(void **state)
{
    (void)state;
    char name[32];
    for (int i = 0; i < 10000; i++) {
        snprintf(name, sizeof name, "m%05d.gguf", i);
        put(name);
    }
    double start = tree_now_ms();
    scan();
    double scanned = tree_now_ms();
    uv_run(&loop, UV_RUN_DEFAULT);
    double read = tree_now_ms();
    scan_and_wait();
    double again = tree_now_ms();
    assert_counts(10000, 10000, 0);
    for (int i = 0; i < 10000; i++) {
        snprintf(name, sizeof name, "m%05d.gguf", i);
        tree_delete(&t, name);
    }
    double gone = tree_now_ms();
    scan_and_wait();
    double swept = tree_now_ms();
    assert_counts(10000, 10000, 10000);
    print_message("10,000 models: scan %.1f ms, headers %.1f ms, rescan %.1f ms, removal %.1f ms\n",
                  scanned - start, read - scanned, again - read, swept - gone);
    assert_true(read - start < 20000);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(scan_reads_headers),
        CASE(rescan_without_change),
        CASE(rescan_with_changes),
        CASE(companions_change),
        CASE(broken_models),
        CASE(shards_add_up),
        CASE(growing_files_are_left),
        CASE(growing_companion),
        CASE(no_file),
        CASE(source_changes),
        CASE(aliases),
        CASE(removed_in_flight),
        CASE(owner_keeps_removed),
        CASE(close_in_flight),
        CASE(close_from_an_event),
        CASE(rescan_from_an_event),
        CASE(no_events),
        CASE(many_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
