/* SPDX-License-Identifier: MIT */
#include "prompt_store_test.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <utime.h>

#define MIB ((uint64_t)1024 * 1024)
#define OUT tree_path(&t, "out")

static unsigned mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 0777;
}

static void what_is_taken_is_lent(void **state)
{
    (void)state;
    open_store(MIB);
    uint64_t number = must_take("id", "abc", 'a', 5000);
    assert_int_equal(find("id", "abcd"), number);
    assert_int_equal(find("other", "abcd"), 0);
    assert_int_equal(lend(number, OUT), 0);
    assert_true(file_is(OUT, 'a', 5000));
    assert_int_equal(mode_of(folder), 0700);
    assert_int_equal(mode_of(data_path(number, ".data")), 0600);
    assert_int_equal(mode_of(data_path(number, ".json")), 0600);
    assert_int_equal(count_files(t.root, NULL),
                     2); /* the store's and the lent one: the engine's is gone */
    prompt_store_discard(s, OUT);
    settle();
    assert_int_equal(access(OUT, F_OK), -1);
    assert_int_equal(lend(number, OUT), 0);
    assert_int_equal(lend(99, OUT), -ENOENT);
}

static void it_outlasts_a_restart(void **state)
{
    (void)state;
    open_store(MIB);
    uint64_t seed = prompt_store_seed(s);
    assert_true(seed != 0);
    uint64_t number = must_take("id", "abc", 'a', 5000);
    must_take("id2", "abc", 'b', 100);
    prompt_store_used(s, number, 250);
    prompt_store_used(s, number, 150);
    open_again(MIB);
    assert_true(prompt_store_seed(s) == seed);
    assert_int_equal(find("id", "abc"), number);
    const struct prompt_file *f = prompt_store_get(s, number);
    assert_string_equal(f->model, "id");
    assert_int_equal(f->tokens, 100);
    assert_int_equal(f->bytes, 5000);
    assert_int_equal(f->hits, 2);
    assert_true(f->token_ms == 1 && f->saved_ms == 400);
    assert_true(f->created > 1e9 && f->used >= f->created);
    struct prompt_store_status status = prompt_store_status(s);
    assert_int_equal(status.files, 2);
    assert_int_equal(status.bytes, 5100);
    assert_int_equal(status.hits, 2);
    assert_true(status.saved_ms == 400);
    assert_int_equal(status.error, 0);
    assert_int_equal(lend(number, OUT), 0);
    assert_true(file_is(OUT, 'a', 5000));
    assert_true(must_take("id", "x", 'a', 1) > number);
}

static void one_daemon_at_a_time(void **state)
{
    struct prompt_store *other = NULL;
    (void)state;
    open_store(MIB);
    assert_int_equal(prompt_store_open(&other, &loop, folder, 0, &err), -EBUSY);
    assert_null(other);
    assert_non_null(strstr(err.text, folder));
    assert_non_null(strstr(err.text, "--prompt-cache"));
    char lock[256];
    snprintf(lock, sizeof lock, "%s/lock", folder);
    assert_int_equal(unlink(lock), 0); /* by somebody who cleans up */
    assert_int_equal(prompt_store_open(&other, &loop, folder, 0, &err), -EBUSY);
    open_again(MIB);
}

/* Somebody's home is no place for prompt caches, and nothing there is touched. */
static void a_folder_with_other_things(void **state)
{
    (void)state;
    tree_folder(&t, "a");
    tree_folder(&t, "a/prompt-cache");
    chmod(folder, 0755);
    tree_put(&t, "a/prompt-cache/letter", "x", 1);
    assert_int_equal(try_open(MIB), -ENOTEMPTY);
    assert_non_null(strstr(err.text, folder));
    assert_int_equal(mode_of(folder), 0755);
    tree_delete(&t, "a/prompt-cache/letter");
    open_store(MIB);
    assert_int_equal(mode_of(folder), 0700);
    tree_put(&t, "a/prompt-cache/letter", "x", 1); /* later it does not matter, and stays */
    open_again(MIB);
    assert_int_equal(access(tree_path(&t, "a/prompt-cache/letter"), F_OK), 0);
}

static void a_folder_that_cannot_be_made(void **state)
{
    (void)state;
    tree_put(&t, "a", "", 0);
    assert_int_equal(try_open(MIB), -ENOTDIR);
    assert_non_null(strstr(err.text, folder));
    assert_null(s);
}

static void what_is_not_taken(void **state)
{
    static const struct prompt_chain none;
    struct taken out = {0};
    struct test_chain c;
    char path[256];
    (void)state;
    open_store(1000);
    assert_int_equal(take("id", "a", 'a', 1001).rc, -EFBIG);
    assert_int_equal(take("id", "a", 'a', 0).rc, -EBADMSG);
    snprintf(path, sizeof path, "%s/none", t.root);
    struct prompt_taking what = {path, "id", "m", chain_of(&c, "a"), 10, 5, 1};
    prompt_store_take(s, &what, on_taken, &out);
    await(&out.done);
    assert_int_equal(out.rc, -ENOENT);
    write_file(path, 'a', 6); /* not what the engine says */
    out.done = false;
    prompt_store_take(s, &what, on_taken, &out);
    await(&out.done);
    assert_int_equal(out.rc, -EBADMSG);
    write_file(path, 'a', 5);
    what.chain = &none;
    out.done = false;
    prompt_store_take(s, &what, on_taken, &out);
    await(&out.done);
    assert_int_equal(out.rc, -EINVAL);
    assert_int_equal(count_files(t.root, NULL), 1); /* each is removed in any case */
    assert_int_equal(count_files(folder, ".data") + count_files(folder, ".json"), 0);
    assert_int_equal(prompt_store_status(s).error, 0);
}

static void a_longer_prompt_supersedes(void **state)
{
    (void)state;
    open_store(MIB);
    uint64_t first = must_take("id", "ab", 'a', 100);
    uint64_t other = must_take("id", "ax", 'a', 100);
    uint64_t longer = must_take("id", "abc", 'a', 100);
    assert_null(prompt_store_get(s, first));
    assert_non_null(prompt_store_get(s, other));
    assert_int_equal(find("id", "ab"), longer);
    settle();
    assert_int_equal(count_files(folder, ".data"), 2);
    assert_int_equal(count_files(folder, ".json"), 2);
}

static void it_is_bounded(void **state)
{
    (void)state;
    open_store(1000);
    uint64_t a = must_take("id", "a", 'a', 400); /* 0.25 ms a byte */
    uint64_t b = must_take("id", "b", 'a', 200); /* 0.5 */
    assert_true(prompt_store_wants(s, 400, 100));
    assert_false(prompt_store_wants(s, 500, 100));
    assert_false(prompt_store_wants(s, 1001, 1e9));
    assert_true(prompt_store_wants(s, 500, 1000));
    /* 0.2: it is worth less than each that would have to go */
    assert_int_equal(take("id", "c", 'a', 500).rc, -ECANCELED);
    assert_non_null(prompt_store_get(s, a));
    uint64_t d = must_take("id", "d", 'a', 390); /* 0.256: 990 bytes are there */
    uint64_t e = must_take("id", "e", 'a', 100); /* 1: a goes */
    assert_null(prompt_store_get(s, a));
    assert_true(prompt_store_get(s, b) && prompt_store_get(s, d) && prompt_store_get(s, e));
    settle();
    assert_int_equal(count_files(folder, ".data"), 3);
    assert_int_equal(count_files(folder, ".json"), 3);
    assert_int_equal(prompt_store_status(s).bytes, 690);
    open_again(150); /* less than before */
    assert_int_equal(prompt_store_status(s).files, 1);
    assert_non_null(prompt_store_get(s, e));
    settle();
    assert_int_equal(count_files(folder, ".data"), 1);
}

static void the_default_bound_is_of_the_disk(void **state)
{
    (void)state;
    open_store(0);
    uint64_t max = prompt_store_status(s).max_bytes;
    assert_true(max > 0 && max <= 8192 * MIB);
}

/* --- damage --------------------------------------------------------------------------------------- */

static void overwrite(const char *path, long at, const char *text)
{
    FILE *f = fopen(path, "r+e");
    assert_non_null(f);
    fseek(f, at, SEEK_SET);
    fputs(text, f);
    fclose(f);
}

static void swap(const char *a, const char *b)
{
    char first[256], between[256];
    snprintf(first, sizeof first, "%s", a);
    snprintf(between, sizeof between, "%s/between", t.root);
    assert_int_equal(rename(first, between), 0);
    char second[256];
    snprintf(second, sizeof second, "%s", b);
    assert_int_equal(rename(second, first), 0);
    assert_int_equal(rename(between, second), 0);
}

enum damage { CUT, GROWN, FLIPPED, GONE, REPLACED, A_LINK, A_FOLDER, DAMAGES };

static void damage(enum damage how, const char *path)
{
    switch (how) {
    case CUT:
        assert_int_equal(truncate(path, 4999), 0);
        break;
    case GROWN:
        assert_int_equal(truncate(path, 5001), 0);
        break;
    case FLIPPED:
        overwrite(path, 4000, "!");
        break;
    case GONE:
        assert_int_equal(unlink(path), 0);
        break;
    case REPLACED:
        assert_int_equal(unlink(path), 0);
        write_file(path, 'b', 5000);
        break;
    case A_LINK:
        assert_int_equal(unlink(path), 0);
        assert_int_equal(symlink("/etc/passwd", path), 0);
        break;
    case A_FOLDER:
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkdir(path, 0700), 0);
        break;
    case DAMAGES:
        break;
    }
}

/* While the daemon runs that took it, or in the next one. */
static void damaged(bool restart)
{
    open_store(MIB);
    for (enum damage how = 0; how < DAMAGES; how++) {
        uint64_t number = must_take("id", "abc", 'a', 5000);
        must_take("id", "x", 'a', 50);
        assert_int_equal(lend(number, OUT), 0); /* verified */
        prompt_store_discard(s, OUT);
        settle();
        if (restart)
            close_store();
        damage(how, data_path(number, ".data"));
        if (restart)
            open_store(MIB);
        if (prompt_store_get(s, number)) {
            uint64_t broken = prompt_store_status(s).broken;
            assert_int_equal(lend(number, OUT), how == GONE ? -ENOENT : -EBADMSG);
            assert_int_equal(prompt_store_status(s).broken, broken + 1);
        }
        assert_int_equal(access(OUT, F_OK), -1);
        assert_int_equal(find("id", "abc"), 0);
        assert_int_equal(lend(number, OUT), -ENOENT);
        settle();
        assert_int_equal(access(data_path(number, ".json"), F_OK), -1);
        assert_int_equal(access(data_path(number, ".data"), F_OK), -1);
        assert_int_equal(prompt_store_status(s).error, 0);
    }
}

static void a_damaged_file_is_dropped(void **state)
{
    (void)state;
    damaged(false);
}

static void a_file_damaged_while_no_daemon_ran(void **state)
{
    (void)state;
    damaged(true);
}

/* Same size and same times, as far as they can be set. */
static void a_flip_with_the_old_time(void **state)
{
    struct stat st;
    (void)state;
    open_store(MIB);
    uint64_t number = must_take("id", "abc", 'a', 5000);
    const char *path = data_path(number, ".data");
    assert_int_equal(stat(path, &st), 0);
    overwrite(path, 10, "!");
    struct timespec times[] = {st.st_atim, st.st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    assert_int_equal(lend(number, OUT), -EBADMSG);
}

static void swapped_files(void **state)
{
    char a_data[256];
    (void)state;
    open_store(MIB);
    uint64_t a = must_take("id", "a", 'a', 5000), b = must_take("id", "b", 'b', 5000);
    snprintf(a_data, sizeof a_data, "%s", data_path(a, ".data"));
    swap(a_data, data_path(b, ".data"));
    assert_int_equal(lend(a, OUT), -EBADMSG);
    open_again(MIB);
    assert_int_equal(lend(b, OUT), -EBADMSG);
    assert_int_equal(prompt_store_status(s).files, 0);
}

static void new_times_are_no_damage(void **state)
{
    (void)state;
    open_store(MIB);
    uint64_t number = must_take("id", "abc", 'a', 5000);
    assert_int_equal(utime(data_path(number, ".data"), NULL), 0);
    assert_int_equal(lend(number, OUT), 0);
    open_again(MIB);
    struct utimbuf old = {1, 1};
    assert_int_equal(utime(data_path(number, ".data"), &old), 0);
    assert_int_equal(utime(data_path(number, ".json"), &old), 0);
    assert_int_equal(lend(number, OUT), 0);
    assert_true(file_is(OUT, 'a', 5000));
}

/* The borrower must only read. Where it does not, nobody gets the file again. */
static void a_borrower_that_writes(void **state)
{
    (void)state;
    open_store(MIB);
    uint64_t number = must_take("id", "abc", 'a', 5000);
    assert_int_equal(lend(number, OUT), 0);
    overwrite(OUT, 0, "!");
    prompt_store_discard(s, OUT);
    settle();
    assert_int_equal(lend(number, OUT), -EBADMSG);
}

static void halves_are_removed_at_the_start(void **state)
{
    static const char *const left[] = {"00000000000000aa.data",      "00000000000000ab.json",
                                       "00000000000000ac.json.next", "00000000000000ad.data",
                                       "00000000000000ad.json",      "seed.next"};
    char name[128];
    (void)state;
    open_store(MIB);
    uint64_t number = must_take("id", "abc", 'a', 5000);
    char *engine = prompt_store_create_folder(s);
    assert_non_null(engine);
    close_store();
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        snprintf(name, sizeof name, "a/prompt-cache/%s", left[i]);
        tree_put(&t, name, "{}", 2);
    }
    tree_folder(&t, "a/prompt-cache/engines/0123456789abcdef");
    tree_put(&t, "a/prompt-cache/engines/0123456789abcdef/slot", "x", 1);
    open_store(MIB);
    assert_int_equal(prompt_store_status(s).files, 1);
    for (size_t i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "a/prompt-cache/%s", left[i]);
        assert_int_equal(access(tree_path(&t, name), F_OK), -1);
    }
    assert_int_equal(access(tree_path(&t, "a/prompt-cache/engines/0123456789abcdef"), F_OK), -1);
    assert_int_equal(lend(number, OUT), 0);
    free(engine);
}

/* Any byte of it: then the prompt is gone, or what is known of it is as it was. */
static void a_flipped_index(void **state)
{
    struct stat st;
    (void)state;
    open_store(MIB);
    must_take("id", "abc", 'a', 10);
    for (long at = 0;; at += 5) {
        uint64_t number = must_take("id", "abc", 'a', 10);
        settle();
        close_store();
        assert_int_equal(stat(data_path(number, ".json"), &st), 0);
        if (at < st.st_size)
            overwrite(data_path(number, ".json"), at, "~");
        open_store(MIB);
        assert_int_equal(find("id", "abc"), at < st.st_size ? 0 : number);
        assert_int_equal(count_files(folder, ".data"), at < st.st_size ? 0 : 1);
        if (at >= st.st_size)
            break;
    }
}

static void a_lost_seed_loses_all(void **state)
{
    (void)state;
    open_store(MIB);
    uint64_t seed = prompt_store_seed(s);
    must_take("id", "abc", 'a', 10);
    close_store();
    char path[256];
    snprintf(path, sizeof path, "%s/seed", folder);
    overwrite(path, 3, "~");
    open_store(MIB);
    assert_true(prompt_store_seed(s) != seed);
    assert_int_equal(prompt_store_status(s).files, 0);
    assert_int_equal(count_files(folder, ".data") + count_files(folder, ".json"), 0);
}

static void uses_that_cannot_be_read(void **state)
{
    char path[256];
    (void)state;
    open_store(MIB);
    uint64_t number = must_take("id", "abc", 'a', 10);
    prompt_store_used(s, number, 1);
    close_store();
    snprintf(path, sizeof path, "%s/uses.json", folder);
    overwrite(path, 0, "[");
    open_store(MIB);
    assert_int_equal(find("id", "abc"), number);
    assert_int_equal(prompt_store_get(s, number)->hits, 0);
}

/* --- the clock ------------------------------------------------------------------------------------ */

static void a_clock_that_was_set_back(void **state)
{
    char text[256];
    (void)state;
    open_store(MIB);
    uint64_t number = must_take("id", "abc", 'a', 10);
    prompt_store_used(s, number, 1);
    close_store();
    snprintf(text, sizeof text,
             "{\"hits\":1,\"saved_ms\":1,\"files\":{\"%016llx\":[99999999999.0,1,1]}}",
             (unsigned long long)number);
    tree_put(&t, "a/prompt-cache/uses.json", text, strlen(text));
    open_store(MIB);
    assert_true(prompt_store_get(s, number)->used <= clock_unix());
    assert_int_equal(prompt_store_get(s, number)->hits, 1);
}

/* --- clear, drop, forget -------------------------------------------------------------------------- */

struct cleared {
    bool done;
    int rc;
    uint64_t files, bytes;
};

static void on_cleared(int rc, uint64_t files, uint64_t bytes, void *ctx)
{
    *(struct cleared *)ctx = (struct cleared){true, rc, files, bytes};
}

static void assert_clears(const char *model, uint64_t files, uint64_t bytes)
{
    struct cleared out = {0};
    prompt_store_clear(s, model, on_cleared, &out);
    await(&out.done);
    assert_int_equal(out.rc, 0);
    assert_int_equal(out.files, files);
    assert_int_equal(out.bytes, bytes);
}

static void it_is_cleared(void **state)
{
    struct taken on_its_way;
    (void)state;
    open_store(MIB);
    must_take("m1", "a", 'a', 10);
    must_take("m1", "b", 'a', 10);
    uint64_t kept = must_take("m2", "a", 'a', 10);
    begin_take(&on_its_way, "m1", "c", 'a', 10);
    assert_clears("m1", 3, 30);
    assert_true(on_its_way.done);
    assert_int_equal(count_files(folder, ".data"), 1);
    assert_int_equal(prompt_store_status(s).files, 1);
    assert_int_equal(find("m2", "a"), kept);
    assert_clears(NULL, 1, 10);
    assert_clears(NULL, 0, 0);
    assert_int_equal(count_files(folder, ".data") + count_files(folder, ".json"), 0);
    must_take("m1", "a", 'a', 10);
}

static void what_is_cleared_while_it_is_read(void **state)
{
    struct cleared out = {0};
    (void)state;
    open_store(MIB);
    must_take("m1", "a", 'a', 10);
    close_store();
    assert_int_equal(prompt_store_open(&s, &loop, folder, MIB, &err), 0);
    assert_true(prompt_store_status(s).loading);
    prompt_store_clear(s, "m1", on_cleared, &out);
    await(&out.done);
    assert_int_equal(out.files, 1);
    assert_int_equal(count_files(folder, ".data"), 0);
}

static void it_is_closed_while_it_is_read(void **state)
{
    (void)state;
    open_store(MIB);
    uint64_t number = must_take("id", "a", 'a', 10);
    close_store();
    assert_int_equal(prompt_store_open(&s, &loop, folder, MIB, &err), 0);
    close_store();
    open_store(MIB);
    assert_int_equal(find("id", "a"), number);
}

static void one_is_dropped(void **state)
{
    (void)state;
    open_store(MIB);
    uint64_t number = must_take("id", "a", 'a', 10);
    prompt_store_drop(s, number, NULL);
    prompt_store_drop(s, number, "twice");
    prompt_store_used(s, number, 1);
    assert_int_equal(find("id", "a"), 0);
    settle();
    assert_int_equal(count_files(folder, ".data"), 0);
}

static void who_does_not_wait_any_more(void **state)
{
    struct lent out = {0};
    (void)state;
    open_store(MIB);
    uint64_t number = must_take("id", "a", 'a', 10);
    prompt_store_lend(s, number, OUT, on_lent, &out);
    prompt_store_forget(s, &out);
    close_store();
    assert_false(out.done);
    assert_int_equal(access(OUT, F_OK), -1);
}

/* Its engine's folder was removed with it: that says nothing about the disk. */
static void whose_folder_is_gone(void **state)
{
    struct lent out = {0};
    (void)state;
    open_store(MIB);
    uint64_t number = must_take("id", "a", 'a', 10);
    prompt_store_lend(s, number, tree_path(&t, "nowhere/out"), on_lent, &out);
    prompt_store_forget(s, &out);
    settle();
    assert_false(out.done);
    assert_int_equal(prompt_store_status(s).error, 0);
    assert_true(prompt_store_wants(s, 10, 1000));
}

/* --- folders -------------------------------------------------------------------------------------- */

static void a_folder_for_each_engine(void **state)
{
    char *path[6] = {0};
    char name[256];
    (void)state;
    assert_int_equal(prompt_store_open(&s, &loop, folder, MIB, &err), 0);
    for (size_t i = 0; i < 6; i++) { /* at once: engines start with the daemon */
        path[i] = prompt_store_create_folder(s);
        assert_non_null(path[i]);
    }
    for (size_t i = 0; i < 6; i++) {
        settle();
        assert_int_equal(mode_of(path[i]), 0700);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(path[i], path[k]);
    }
    snprintf(name, sizeof name, "%s/slot", path[0]);
    write_file(name, 'a', 10);
    for (size_t i = 0; i < 20; i++) {
        char *more = prompt_store_create_folder(s);
        if (!more) {
            settle();
            settle();
            more = prompt_store_create_folder(s);
        }
        assert_non_null(more);
        free(more);
    }
    prompt_store_remove_folder(s, path[0]);
    prompt_store_remove_folder(s, "/etc"); /* none of its own */
    settle();
    assert_int_equal(access(path[0], F_OK), -1);
    uint64_t number = must_take("id", "a", 'a', 10);
    snprintf(name, sizeof name, "%s/slot", path[1]);
    assert_int_equal(lend(number, name), 0);
    assert_int_equal(lend(number, "/nonexistent/slot"), -ENOTDIR);
    assert_non_null(prompt_store_get(s, number));
    close_store();
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(access(path[i], F_OK), -1);
        free(path[i]);
    }
}

static int remove_folder(void)
{
    settle();
    settle(); /* spare folders are made */
    return nftw(folder, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void until_made_anew(void)
{
    for (int i = 0; i < 1000 && prompt_store_status(s).loading; i++)
        settle();
    assert_false(prompt_store_status(s).loading);
}

static void a_folder_that_vanishes(void **state)
{
    (void)state;
    open_store(MIB);
    uint64_t seed = prompt_store_seed(s), number = must_take("id", "a", 'a', 10);
    must_take("id", "b", 'a', 10);
    char *engine = prompt_store_create_folder(s);
    assert_int_equal(remove_folder(), 0);
    assert_int_equal(lend(number, OUT), -ENOENT);
    assert_int_equal(find("id", "b"), 0);
    until_made_anew();
    assert_int_equal(prompt_store_status(s).error, 0);
    assert_int_equal(prompt_store_status(s).broken, 0);
    assert_true(prompt_store_seed(s) == seed);
    assert_int_equal(access(engine, F_OK), 0); /* it works on */
    number = must_take("id", "abc", 'a', 10);
    assert_int_equal(lend(number, OUT), 0);
    assert_int_equal(remove_folder(), 0);
    assert_true(take("id", "x", 'a', 10).rc < 0);
    until_made_anew();
    must_take("id", "y", 'a', 10);
    open_again(MIB);
    assert_int_equal(prompt_store_status(s).files, 1);
    assert_true(prompt_store_seed(s) == seed);
    free(engine);
}

/* Somebody moves it aside and puts an empty one into its place: as if it were mounted over. */
static void a_folder_that_is_exchanged(void **state)
{
    char aside[256];
    (void)state;
    open_store(MIB);
    uint64_t seed = prompt_store_seed(s);
    must_take("id", "a", 'a', 10);
    snprintf(aside, sizeof aside, "%s/aside", t.root);
    assert_int_equal(rename(folder, aside), 0);
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(take("id", "b", 'a', 10).rc, -ESTALE);
    until_made_anew();
    must_take("id", "c", 'a', 10);
    assert_int_equal(count_files(folder, ".data"), 1);
    assert_int_equal(count_files(aside, ".data"), 1); /* is left as it was */
    assert_true(prompt_store_seed(s) == seed);
}

/* While it is gone nothing can be kept; requests do not notice. */
static void a_folder_that_cannot_be_made_anew(void **state)
{
    (void)state;
    open_store(MIB);
    must_take("id", "a", 'a', 10);
    assert_int_equal(remove_folder(), 0);
    tree_put(&t, "a/prompt-cache", "", 0);
    assert_true(take("id", "b", 'a', 10).rc < 0);
    until_made_anew();
    assert_int_equal(prompt_store_status(s).files, 0);
    assert_true(prompt_store_status(s).error < 0);
    assert_false(prompt_store_wants(s, 1, 1));
    assert_true(take("id", "c", 'a', 10).rc < 0);
    assert_null(prompt_store_create_folder(s));
    assert_int_equal(find("id", "a"), 0);
}

static void a_copy_where_no_link_can_be(void **state)
{
    char path[64];
    (void)state;
    open_store(MIB);
    if (access("/dev/shm", W_OK))
        skip();
    snprintf(path, sizeof path, "/dev/shm/hostler-test-%d", (int)getpid());
    uint64_t number = must_take("id", "a", 'a', 5000);
    assert_int_equal(lend(number, path), 0);
    assert_true(file_is(path, 'a', 5000));
    prompt_store_discard(s, path);
    settle();
    assert_int_equal(access(path, F_OK), -1);
    /* and from there */
    struct test_chain c;
    struct taken out = {0};
    write_file(path, 'b', 700);
    struct prompt_taking what = {path, "id", "m", chain_of(&c, "b"), 10, 700, 1};
    prompt_store_take(s, &what, on_taken, &out);
    await(&out.done);
    assert_int_equal(out.rc, 0);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(lend(out.number, OUT), 0);
    assert_true(file_is(OUT, 'b', 700));
}

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(what_is_taken_is_lent),
        STORE_TEST(it_outlasts_a_restart),
        STORE_TEST(one_daemon_at_a_time),
        STORE_TEST(a_folder_with_other_things),
        STORE_TEST(a_folder_that_cannot_be_made),
        STORE_TEST(what_is_not_taken),
        STORE_TEST(a_longer_prompt_supersedes),
        STORE_TEST(it_is_bounded),
        STORE_TEST(the_default_bound_is_of_the_disk),
        STORE_TEST(a_damaged_file_is_dropped),
        STORE_TEST(a_file_damaged_while_no_daemon_ran),
        STORE_TEST(a_flip_with_the_old_time),
        STORE_TEST(swapped_files),
        STORE_TEST(new_times_are_no_damage),
        STORE_TEST(a_borrower_that_writes),
        STORE_TEST(halves_are_removed_at_the_start),
        STORE_TEST(a_flipped_index),
        STORE_TEST(a_lost_seed_loses_all),
        STORE_TEST(uses_that_cannot_be_read),
        STORE_TEST(a_clock_that_was_set_back),
        STORE_TEST(it_is_cleared),
        STORE_TEST(what_is_cleared_while_it_is_read),
        STORE_TEST(it_is_closed_while_it_is_read),
        STORE_TEST(one_is_dropped),
        STORE_TEST(who_does_not_wait_any_more),
        STORE_TEST(whose_folder_is_gone),
        STORE_TEST(a_folder_for_each_engine),
        STORE_TEST(a_folder_that_vanishes),
        STORE_TEST(a_folder_that_is_exchanged),
        STORE_TEST(a_folder_that_cannot_be_made_anew),
        STORE_TEST(a_copy_where_no_link_can_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
