/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/memory.h"
#include "catalog/folder.h"
#include "few_files.h"
#include "tree.h"

static struct tree t;
static struct folder f;
static struct error err;

static int setup(void **state)
{
    (void)state;
    log_setup(LOG_ERROR, LOG_TEXT); /* what is left out is warned of */
    tree_create(&t);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    folder_finish(&f);
    tree_remove(&t);
    return 0;
}

static void put(const char *name)
{
    tree_put(&t, name, "0123456789", 10);
}

static void scan(void)
{
    folder_finish(&f);
    assert_int_equal(folder_read(&f, t.root, &err), 0);
}

static const struct folder_model *find(const char *id)
{
    for (size_t i = 0; i < f.n; i++)
        if (strcmp(f.v[i].id, id) == 0)
            return &f.v[i];
    return NULL;
}

/* All ids, in order, each with a blank behind it. */
static void assert_ids(const char *expected)
{
    char ids[4096] = "";
    scan();
    for (size_t i = 0; i < f.n; i++) {
        strcat(ids, f.v[i].id);
        strcat(ids, " ");
    }
    assert_string_equal(ids, expected);
}

static void assert_file(const char *path, const char *name)
{
    if (name)
        assert_string_equal(path, tree_path(&t, name));
    else
        assert_null(path);
}

static void assert_model(const char *id, const char *path, const char *mmproj, const char *draft)
{
    const struct folder_model *m = find(id);
    assert_non_null(m);
    assert_file(m->path, path);
    assert_file(m->mmproj, mmproj);
    assert_file(m->draft, draft);
}

static void top_files(void **state)
{
    (void)state;
    put("b.gguf");
    put("a.gguf");
    put("UP.GGUF");
    put("notes.txt");
    put(".hidden.gguf");
    put("._a.gguf");
    put(".gguf");
    put(".gguf.gguf");
    put("two.gguf.gguf");
    put("mid.gguf-v2.gguf");
    put("mmproj-a.gguf");
    put("a-mmproj-f16.gguf");
    put("mtp-a.gguf");
    put("eagle3-a.gguf");
    put("dflash-a.gguf");
    put("dspark-a.gguf");
    put("a-mtp-.gguf");
    assert_ids(".hidden a a-mtp- b mid-v2 two ");
    assert_model("two", "two.gguf.gguf", NULL, NULL);
    assert_int_equal(find("a")->size, 10);
    assert_int_equal(find("a")->shards, 1);
    assert_null(find("a")->problem);
    assert_true(find("a")->mtime > 1600000000);
}

static void subfolders(void **state)
{
    (void)state;
    tree_folder(&t, "empty");
    tree_folder(&t, "one");
    put("one/anything.gguf");
    tree_folder(&t, "several");
    put("several/c.gguf");
    put("several/a.gguf");
    put("several/._a.gguf");
    tree_folder(&t, "companions");
    put("companions/mmproj.gguf");
    put("companions/mtp-x.gguf");
    tree_folder(&t, "deep");
    tree_folder(&t, "deep/er");
    put("deep/er/m.gguf");
    tree_folder(&t, "name.gguf");
    put("name.gguf/m.gguf");
    tree_folder(&t, ".hidden");
    put(".hidden/m.gguf");
    assert_ids(".hidden name.gguf one several ");
    assert_model("several", "several/a.gguf", NULL, NULL);
    assert_model("one", "one/anything.gguf", NULL, NULL);
}

static void companions(void **state)
{
    (void)state;
    tree_folder(&t, "m");
    put("m/model.gguf");
    put("m/mmproj-f16.gguf");
    put("m/mmproj-bf16.gguf");
    put("m/x-mmproj.gguf");
    put("m/mmproj.txt");
    put("m/mtp-b.gguf");
    put("m/dspark-a.gguf");
    scan();
    assert_model("m", "m/model.gguf", "m/mmproj-bf16.gguf", "m/dspark-a.gguf");
    assert_true(find("m")->mmproj_stamp != 0);
    assert_true(find("m")->draft_stamp != 0);
    assert_int_equal(find("m")->size, 10);
}

static void shards(void **state)
{
    (void)state;
    put("s-00002-of-00002.gguf");
    put("s-00001-of-00002.gguf");
    put("s-00001-of-00003.gguf");
    put("s-00002-of-00003.gguf");
    put("s-00003-of-00003.gguf");
    put("odd-00001-of-2.gguf");
    put("odd-00004-of-00003.gguf");
    put("odd-00000-of-00003.gguf");
    tree_folder(&t, "d");
    put("d/z-00001-of-00002.gguf");
    put("d/z-00002-of-00002.gguf");
    put("d/a.gguf");
    put("d/mmproj.gguf");
    assert_ids("d odd-00000-of-00003 odd-00001-of-2 odd-00004-of-00003 "
               "s-00001-of-00002 s-00001-of-00003 ");
    assert_int_equal(find("s-00001-of-00003")->shards, 3);
    assert_int_equal(find("s-00001-of-00003")->size, 30);
    assert_null(find("s-00001-of-00003")->problem);
    assert_int_equal(find("odd-00001-of-2")->shards, 1);
    assert_model("d", "d/z-00001-of-00002.gguf", "d/mmproj.gguf", NULL);
    assert_int_equal(find("d")->size, 20);
}

static void missing_shards(void **state)
{
    (void)state;
    put("last-00001-of-00003.gguf");
    put("last-00002-of-00003.gguf");
    put("first-00002-of-00002.gguf");
    tree_folder(&t, "middle");
    put("middle/m-00001-of-00004.gguf");
    put("middle/m-00004-of-00004.gguf");
    tree_folder(&t, "mixed");
    put("mixed/x-00002-of-00003.gguf");
    put("mixed/y.gguf");
    assert_ids("first-00001-of-00002 last-00001-of-00003 middle mixed ");
    assert_non_null(strstr(find("last-00001-of-00003")->problem, "last-00003-of-00003.gguf"));
    assert_non_null(strstr(find("first-00001-of-00002")->problem, "first-00001-of-00002.gguf"));
    assert_non_null(strstr(find("middle")->problem, "2 of 4 shards"));
    assert_non_null(strstr(find("middle")->problem, "m-00002-of-00004.gguf"));
    assert_model("mixed", "mixed/y.gguf", NULL, NULL);
    assert_null(find("mixed")->problem);
}

/* The folder wins, whatever order the file system lists them in. */
static void collisions(void **state)
{
    (void)state;
    put("x.gguf");
    tree_folder(&t, "x");
    put("x/m.gguf");
    put("y.gguf.gguf");
    put("y.gguf");
    assert_ids("x y ");
    assert_model("x", "x/m.gguf", NULL, NULL);
    assert_model("y", "y.gguf", NULL, NULL);
}

static void odd_files(void **state)
{
    (void)state;
    put("good.gguf");
    tree_folder(&t, "sub");
    put("sub/m.gguf");
    tree_link(&t, "link.gguf", "good.gguf");
    tree_link(&t, "linked", "sub");
    tree_link(&t, "broken.gguf", "nowhere");
    tree_link(&t, "broken", "nowhere");
    tree_link(&t, "loop.gguf", "loop.gguf");
    tree_link(&t, "self", ".");
    assert_int_equal(mkfifo(tree_path(&t, "fifo.gguf"), 0600), 0);
    put("bad\xFF.gguf");
    put("new\nline.gguf");
    put("blank in it.gguf");
    put("\xC3\xBC.gguf");
    assert_ids("blank in it good link linked self sub \xC3\xBC ");
    assert_model("linked", "linked/m.gguf", NULL, NULL);
}

static void unreadable(void **state)
{
    (void)state;
    put("good.gguf");
    tree_folder(&t, "locked");
    put("locked/m.gguf");
    assert_int_equal(chmod(tree_path(&t, "locked"), 0), 0);
    scan();
    /* root reads it all the same */
    assert_int_equal(f.n, geteuid() == 0 ? 2 : 1);
    assert_non_null(find("good"));
    assert_int_equal(chmod(tree_path(&t, "locked"), 0700), 0);
    folder_finish(&f);
    assert_int_equal(folder_read(&f, tree_path(&t, "none"), &err), -ENOENT);
    assert_non_null(strstr(err.text, "none"));
    assert_int_equal(folder_read(&f, tree_path(&t, "good.gguf"), &err), -ENOTDIR);
}

static void too_many_open_files(void **state)
{
    (void)state;
    tree_folder(&t, "sub");
    put("sub/m.gguf");
    for (unsigned more = 0; more < 3; more++) {
        struct rlimit before = few_files(more);
        int rc = folder_read(&f, t.root, &err);
        as_many_files(&before);
        folder_finish(&f);
        assert_int_equal(rc, more < 2 ? -EMFILE : 0);
        assert_non_null(strstr(err.text, t.root));
    }
}

static void trailing_slashes(void **state)
{
    (void)state;
    char dir[128];
    put("a.gguf");
    snprintf(dir, sizeof dir, "%s//", t.root);
    assert_int_equal(folder_read(&f, dir, &err), 0);
    assert_model("a", "a.gguf", NULL, NULL);
}

static void stamps(void **state)
{
    (void)state;
    put("a.gguf");
    put("s-00001-of-00002.gguf");
    put("s-00002-of-00002.gguf");
    scan();
    uint64_t a = find("a")->stamp, s = find("s-00001-of-00002")->stamp;
    scan();
    assert_true(find("a")->stamp == a);
    assert_true(find("s-00001-of-00002")->stamp == s);
    tree_put(&t, "a.gguf", "longer than before", 18);
    tree_put(&t, "s-00002-of-00002.gguf", "1", 1);
    scan();
    assert_true(find("a")->stamp != a);
    assert_true(find("s-00001-of-00002")->stamp != s);
}

static void one_file(void **state)
{
    (void)state;
    struct folder_model m;
    put("a.gguf");
    put("s-00001-of-00002.gguf");
    assert_int_equal(folder_read_file(&m, "id", tree_path(&t, "a.gguf"), &err), 0);
    assert_string_equal(m.id, "id");
    assert_int_equal(m.size, 10);
    scan();
    assert_true(m.stamp == find("a")->stamp);
    folder_model_finish(&m);
    const char *first = tree_path(&t, "s-00001-of-00002.gguf");
    assert_int_equal(folder_read_file(&m, "id", first, &err), -ENOENT);
    assert_non_null(strstr(err.text, "s-00002-of-00002.gguf"));
    put("s-00002-of-00002.gguf");
    first = tree_path(&t, "s-00001-of-00002.gguf");
    assert_int_equal(folder_read_file(&m, "id", first, &err), 0);
    assert_int_equal(m.shards, 2);
    assert_int_equal(m.size, 20);
    folder_model_finish(&m);
    const char *second = tree_path(&t, "s-00002-of-00002.gguf");
    assert_int_equal(folder_read_file(&m, "id", second, &err), -EINVAL);
    assert_non_null(strstr(err.text, "s-00001-of-00002.gguf"));
    assert_int_equal(folder_read_file(&m, "id", t.root, &err), -EINVAL);
    assert_int_equal(folder_read_file(&m, "id", tree_path(&t, "none.gguf"), &err), -ENOENT);
}

static void shard_paths(void **state)
{
    (void)state;
    char *path = folder_shard_path("/m/x-00001-of-00012.gguf", 7, 12);
    assert_string_equal(path, "/m/x-00007-of-00012.gguf");
    free(path);
    path = folder_shard_path("/m/x.gguf", 1, 1);
    assert_string_equal(path, "/m/x.gguf");
    free(path);
}

/* --- several sources ----------------------------------------------------------------------------
 */

static void insert(struct folder *to, const char *id, unsigned shards)
{
    struct folder_model m = {.id = mem_strdup(id), .path = mem_strdup(id), .shards = shards};
    struct folder_model *in = folder_insert(to, &m);
    assert_null(m.id); /* taken */
    assert_string_equal(in->id, id);
    assert_ptr_equal(folder_find(to, id), in);
}

static void assert_holds(const struct folder *in, const char *expected)
{
    char ids[4096] = "";
    for (size_t i = 0; i < in->n; i++)
        snprintf(ids + strlen(ids), sizeof ids - strlen(ids), "%s%u ", in->v[i].id,
                 in->v[i].shards);
    assert_string_equal(ids, expected);
}

static void inserting_keeps_the_order(void **state)
{
    (void)state;
    assert_null(folder_find(&f, "m"));
    insert(&f, "m", 1);
    insert(&f, "a", 1);
    insert(&f, "z", 1);
    insert(&f, "b", 1);
    insert(&f, "Z", 1);
    assert_holds(&f, "Z1 a1 b1 m1 z1 ");
    assert_null(folder_find(&f, "c"));
    assert_null(folder_find(&f, ""));
    assert_null(folder_find(&f, "zz"));
}

static void copying(void **state)
{
    (void)state;
    insert(&f, "a", 1);
    insert(&f, "b", 2);
    struct folder copy = {0};
    folder_copy(&copy, &f);
    folder_finish(&f);
    f = copy;
    assert_holds(&f, "a1 b2 ");
}

/* Of one id the first folder's record stays. */
static void merging(void **state)
{
    (void)state;
    struct folder more = {0};
    folder_merge(&f, &more);
    assert_int_equal(f.n, 0);
    insert(&more, "b", 2);
    folder_merge(&f, &more);
    assert_holds(&f, "b2 ");
    insert(&more, "a", 3);
    insert(&more, "b", 3);
    insert(&more, "c", 3);
    folder_merge(&f, &more);
    assert_holds(&f, "a3 b2 c3 ");
    assert_int_equal(more.n, 0);
    assert_null(more.v);
    folder_merge(&f, &more);
    assert_holds(&f, "a3 b2 c3 ");
    insert(&f, "bb", 1); /* as any other */
    assert_holds(&f, "a3 b2 bb1 c3 ");
}

static void fresh(void **state)
{
    (void)state;
    struct folder_model m = {.changed = 1000};
    assert_true(folder_model_is_fresh(&m, 1000));
    assert_true(folder_model_is_fresh(&m, 1000 + FOLDER_SETTLE_S - 1));
    assert_false(folder_model_is_fresh(&m, 1000 + FOLDER_SETTLE_S));
    /* A clock that was set back, or a file from the future, must not keep a model out for ever. */
    assert_false(folder_model_is_fresh(&m, 999));
}

static void touch(const char *name, time_t when)
{
    struct timespec times[2] = {{.tv_sec = when}, {.tv_sec = when}};
    assert_int_equal(utimensat(AT_FDCWD, tree_path(&t, name), times, 0), 0);
}

static void changed_is_that_of_the_youngest_file(void **state)
{
    (void)state;
    tree_folder(&t, "m");
    put("m/m-00001-of-00002.gguf");
    put("m/m-00002-of-00002.gguf");
    put("m/mmproj.gguf");
    put("m/mtp-m.gguf");
    touch("m/m-00001-of-00002.gguf", 1000);
    touch("m/m-00002-of-00002.gguf", 2000);
    touch("m/mmproj.gguf", 1500);
    touch("m/mtp-m.gguf", 1600);
    scan();
    assert_int_equal(find("m")->changed, 2000);
    touch("m/mmproj.gguf", 3000);
    scan();
    assert_int_equal(find("m")->changed, 3000);
    touch("m/mtp-m.gguf", 4000);
    scan();
    assert_int_equal(find("m")->changed, 4000);
    assert_int_equal(find("m")->mtime, 2000); /* without its companions */
}

static void the_stamp_of_one_file(void **state)
{
    (void)state;
    put("a.gguf");
    scan();
    assert_true(folder_stamp(tree_path(&t, "a.gguf")) == find("a")->stamp);
    assert_int_equal(folder_stamp(tree_path(&t, "none.gguf")), 0);
    struct folder_model m;
    assert_int_equal(folder_read_file(&m, "a", tree_path(&t, "a.gguf"), &err), 0);
    assert_true(m.stamp == find("a")->stamp); /* a section that names it does not change it */
    assert_true(m.changed >= m.mtime && m.mtime > 1600000000);
    folder_model_finish(&m);
}

static void many_entries(void **state)
{
    (void)state;
    char name[64];
    for (int i = 0; i < 10000; i++) {
        snprintf(name, sizeof name, "m%05d.gguf", i);
        put(name);
    }
    double before = tree_now_ms();
    scan();
    print_message("10,000 files: %.1f ms\n", tree_now_ms() - before);
    assert_int_equal(f.n, 10000);
    for (int i = 0; i < 10000; i++) {
        snprintf(name, sizeof name, "d%05d", i);
        tree_folder(&t, name);
        strcat(name, "/m.gguf");
        put(name);
    }
    before = tree_now_ms();
    scan();
    double ms = tree_now_ms() - before;
    print_message("10,000 files and 10,000 subfolders: %.1f ms\n", ms);
    assert_int_equal(f.n, 20000);
    assert_true(ms < 10000);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(top_files),
        CASE(subfolders),
        CASE(companions),
        CASE(shards),
        CASE(missing_shards),
        CASE(collisions),
        CASE(odd_files),
        CASE(unreadable),
        CASE(too_many_open_files),
        CASE(trailing_slashes),
        CASE(stamps),
        CASE(one_file),
        CASE(shard_paths),
        CASE(many_entries),
        CASE(inserting_keeps_the_order),
        CASE(copying),
        CASE(merging),
        CASE(fresh),
        CASE(changed_is_that_of_the_youngest_file),
        CASE(the_stamp_of_one_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
