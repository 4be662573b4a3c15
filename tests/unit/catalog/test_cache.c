/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/memory.h"
#include "catalog/cache.h"
#include "few_files.h"
#include "tree.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

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

/* --- building a cache */

/* Makes the folders that lead to `path`. */
static void make_way(const char *path)
{
    char *copy = mem_strdup(path);
    for (char *slash = copy; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(tree_path(&t, copy), 0700);
        *slash = '/';
    }
    free(copy);
}

static void put_text(const char *path, const char *text)
{
    make_way(path);
    tree_put(&t, path, text, strlen(text));
}

static void put_ref(const char *repo, const char *ref, const char *commit)
{
    char *path = mem_printf("models--%s/refs/%s", repo, ref);
    put_text(path, commit);
    free(path);
}

/* As llama.cpp does it: the content in blobs, in the snapshot a relative link to it. */
static void put_blob(const char *repo, const char *commit, const char *name, const char *oid)
{
    char *blob = mem_printf("models--%s/blobs/%s", repo, oid);
    char *link = mem_printf("models--%s/snapshots/%s/%s", repo, commit, name);
    struct buf target;
    buf_init(&target, BUF_UNBOUNDED);
    for (const char *c = name; *c; c++)
        if (*c == '/')
            assert_int_equal(buf_puts(&target, "../"), 0);
    assert_int_equal(buf_printf(&target, "../../blobs/%s", oid), 0);
    put_text(blob, "0123456789");
    make_way(link);
    tree_link(&t, link, buf_cstr(&target));
    buf_finish(&target);
    free(blob);
    free(link);
}

/* Into repository u/r at its commit A; the blob has the file's name. */
static void put(const char *name)
{
    const char *slash = strrchr(name, '/');
    put_blob("u--r", A, name, slash ? slash + 1 : name);
    put_ref("u--r", "main", A);
}

static void put_link(const char *name, const char *target)
{
    char *path = mem_printf("models--u--r/snapshots/" A "/%s", name);
    make_way(path);
    tree_link(&t, path, target);
    free(path);
}

/* --- looking at it */

static void scan(void)
{
    folder_finish(&f);
    assert_int_equal(cache_read(&f, t.root, &err), 0);
}

static const struct folder_model *find(const char *id)
{
    for (size_t i = 0; i < f.n; i++)
        if (strcmp(f.v[i].id, id) == 0)
            return &f.v[i];
    fail_msg("no model %s", id);
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

/* `name` is below the snapshot A of u/r. */
static void assert_file(const char *path, const char *name)
{
    if (!name) {
        assert_null(path);
        return;
    }
    char *expected = mem_printf("%s/models--u--r/snapshots/" A "/%s", t.root, name);
    assert_non_null(path);
    assert_string_equal(path, expected);
    free(expected);
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(tree_path(&t, path), &st) == 0;
}

static bool has_blob(const char *name)
{
    char *path = mem_printf("models--u--r/blobs/%s", name);
    bool found = exists(path);
    free(path);
    return found;
}

static bool has_entry(const char *name)
{
    char *path = mem_printf("models--u--r/snapshots/" A "/%s", name);
    bool found = exists(path);
    free(path);
    return found;
}

static void assert_removes(const char *id)
{
    if (cache_remove(t.root, id, &err) != 0)
        fail_msg("%s", err.text);
}

/* --- where it is */

static void assert_folder(char *const *env, const char *expected)
{
    char *dir = cache_folder(env);
    assert_string_equal(dir, expected);
    free(dir);
}

static void folders(void **state)
{
    char *env[] = {"LLAMA_CACHE=/l/",
                   "HF_HUB_CACHE=/h",
                   "HUGGINGFACE_HUB_CACHE=/g",
                   "HF_HOME=/f",
                   "XDG_CACHE_HOME=/x//",
                   "HOME=/home/u",
                   NULL};
    (void)state;
    assert_folder(env, "/l");
    env[0] = "LLAMA_CACHE="; /* empty ones do not count */
    assert_folder(env, "/h");
    env[1] = "HF_HUB_CACHES=/no";
    assert_folder(env, "/g");
    env[2] = "HUGGINGFACE_HUB_CACHE=";
    assert_folder(env, "/f/hub");
    env[3] = "HF_HOME";
    assert_folder(env, "/x/huggingface/hub");
    env[4] = "XDG_CACHE_HOME=";
    assert_folder(env, "/home/u/.cache/huggingface/hub");
    env[5] = "LLAMA_CACHE=/";
    assert_folder(env, "/");
    char *dir = cache_folder(NULL); /* by the user's entry, if it has one */
    assert_true(!dir || strstr(dir, "/.cache/huggingface/hub"));
    free(dir);
}

static void missing_folder(void **state)
{
    (void)state;
    assert_int_equal(cache_read(&f, tree_path(&t, "none"), &err), 0);
    assert_int_equal(f.n, 0);
    assert_ids("");
    put_text("file", "x");
    assert_int_equal(cache_read(&f, tree_path(&t, "file"), &err), -ENOTDIR);
    assert_non_null(strstr(err.text, "/file"));
}

/* --- ids. What llama-server lists for the same names was compared by hand (build 11669). */

static void tags(void **state)
{
    (void)state;
    put("m-Q4_K_M.gguf");
    put("m-UD-Q4_K_XL.gguf");
    put("m.BF16.gguf");
    put("m-mxfp4.gguf");
    put("sub/dir/m-Q5_1.gguf");
    put("with blank-Q5_0.gguf");
    put(".hidden-Q3_K.gguf");
    put("v1.5.gguf");
    put("m-Q98.gguf.gguf");
    put("m_Q8_0.gguf");
    put("notag.gguf");
    put("Q7.gguf");
    put("m-.gguf");
    put("m-Q99.GGUF");
    put("m-Q9.md");
    put("._m-Q2_K.gguf");
    put("-Q1.gguf");
    assert_ids("u/r:5 u/r:BF16 u/r:GGUF u/r:MXFP4 u/r:Q1 u/r:Q3_K u/r:Q4_K_M u/r:Q4_K_XL "
               "u/r:Q5_0 u/r:Q5_1 ");
    const struct folder_model *m = find("u/r:Q5_1");
    assert_file(m->path, "sub/dir/m-Q5_1.gguf");
    assert_int_equal(m->size, 10);
    assert_int_equal(m->shards, 1);
    assert_true(m->mtime > 1600000000);
    assert_true(m->stamp != 0);
    assert_null(m->problem);
    assert_null(m->draft);
}

static void no_models(void **state)
{
    (void)state;
    put("mmproj-F16.gguf");
    put("m-mmproj-F32.gguf");
    put("mtp-m-Q4_0.gguf");
    put("m-mtp-Q4_0.gguf");
    put("eagle3-Q4_0.gguf");
    put("x-dflash-m-Q4_0.gguf");
    put("dspark-Q4_0.gguf");
    put("mtp-folder/m-Q4_0.gguf");
    assert_ids("");
}

static void importance_matrix(void **state)
{
    (void)state;
    put("imatrix-Q4_0.gguf");
    put("m-imatrix.gguf");
    put("z-Q4_0.gguf");
    assert_ids("u/r:IMATRIX u/r:Q4_0 ");
    assert_non_null(strstr(find("u/r:IMATRIX")->problem, "importance matrix"));
    assert_file(find("u/r:Q4_0")->path, "z-Q4_0.gguf");
}

static void shards(void **state)
{
    (void)state;
    put("m-Q6_K-00002-of-00002.gguf");
    put("m-Q6_K-00001-of-00002.gguf");
    put("sub/l-Q5_K-00001-of-00003.gguf");
    put("sub/l-Q5_K-00003-of-00003.gguf");
    put("only-Q2_K-00002-of-00002.gguf");
    put("odd-Q3_K-00000-of-00002.gguf");
    put("odd-Q90-00001-of-00000.gguf");
    put("odd-Q87-00001-OF-00002.gguf");
    assert_ids("u/r:Q5_K u/r:Q6_K u/r:Q87 u/r:Q90 ");
    const struct folder_model *m = find("u/r:Q6_K");
    assert_file(m->path, "m-Q6_K-00001-of-00002.gguf");
    assert_int_equal(m->shards, 2);
    assert_int_equal(m->size, 20);
    assert_null(m->problem);
    m = find("u/r:Q5_K");
    assert_int_equal(m->shards, 3);
    assert_non_null(strstr(m->problem, "1 of 3 shards"));
    assert_non_null(strstr(m->problem, "/sub/l-Q5_K-00002-of-00003.gguf"));
}

static void same_tag(void **state)
{
    (void)state;
    put("z-Q4_K_M.gguf");
    put("m-UD-Q4_K_M.gguf");
    put("m-Q4_K_M.gguf");
    put("m-BF16.gguf"); /* for `:F16` llama.cpp may load it */
    put("m-F16.gguf");
    assert_ids("u/r:BF16 u/r:F16 u/r:Q4_K_M ");
    assert_file(find("u/r:Q4_K_M")->path, "m-Q4_K_M.gguf");
    assert_file(find("u/r:F16")->path, "m-F16.gguf");
    put_link("a-Q4_K_M.gguf", "nowhere"); /* one that can run goes first */
    scan();
    assert_file(find("u/r:Q4_K_M")->path, "m-Q4_K_M.gguf");
}

static void repositories(void **state)
{
    static const char *const folders[] = {
        "models--u--x.y_z-1", "models--U--X",  "models--none",    "models--u--a--b",
        "models--u--..",      "models--..--x", "models--u--x y",  "models--u---x",
        "models--u--x-",      "models----x",   "models--u--x\n",  "models--u--\xC3\xBC",
        "datasets--u--x",     "models--u--.x", "models--u--x..y", "models--",
    };
    (void)state;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char *file = mem_printf("%s/snapshots/" A "/m-Q4_0.gguf", folders[i]);
        char *ref = mem_printf("%s/refs/main", folders[i]);
        put_text(file, "x");
        put_text(ref, A);
        free(file);
        free(ref);
    }
    put_text("models--u--afile", "x");
    assert_ids("U/X:Q4_0 u/x.y_z-1:Q4_0 ");
}

static void refs(void **state)
{
    (void)state;
    put_blob("r--none", A, "m-Q1.gguf", "1");
    put_blob("r--dev", A, "m-Q1.gguf", "1");
    put_ref("r--dev", "dev", A);
    put_blob("r--main", A, "m-Q1.gguf", "1");
    put_blob("r--main", B, "m-Q2.gguf", "2");
    put_ref("r--main", "a", B);
    put_ref("r--main", "main", A);
    put_blob("r--others", A, "m-Q1.gguf", "1");
    put_blob("r--others", B, "m-Q2.gguf", "2");
    put_ref("r--others", "b", A);
    put_ref("r--others", "a", B);
    put_blob("r--bad", A, "m-Q1.gguf", "1");
    put_ref("r--bad", "main", "../../../etc");
    put_ref("r--bad", "v1", A);
    put_blob("r--crlf", A, "m-Q1.gguf", "1");
    put_ref("r--crlf", "main", A "\r\n");
    put_blob("r--line", A, "m-Q1.gguf", "1");
    put_ref("r--line", "main", A "\nmore");
    put_blob("r--gone", A, "m-Q1.gguf", "1");
    put_ref("r--gone", "main", B);
    put_ref("r--gone", "old", A);
    put_blob("r--nested", A, "m-Q1.gguf", "1");
    put_ref("r--nested", "refs/pr/1", A);
    put_ref("r--fetched", "main", A); /* all that a failed download leaves */
    assert_ids("r/bad:Q1 r/dev:Q1 r/line:Q1 r/main:Q1 r/others:Q2 ");
}

static void hostile(void **state)
{
    (void)state;
    put("good-Q4_0.gguf");
    put("bad\xFF-Q1.gguf");
    put("new\nline-Q2.gguf");
    put("esc\x1b[31m-Q3.gguf");
    put("bad\xFF/m-Q5.gguf");
    put("..-Q8.gguf");
    put_link("dangling-Q6.gguf", "../../blobs/none");
    put_link("loop-Q7.gguf", "loop-Q7.gguf");
    put_link("folder-Q9.gguf", ".");
    put_link("folder", "../..");
    assert_int_equal(mkfifo(tree_path(&t, "models--u--r/snapshots/" A "/fifo-Q10.gguf"), 0600), 0);
    tree_folder(&t, "models--u--r/snapshots/" A "/folder-Q11.gguf");
    assert_ids("u/r:Q4_0 u/r:Q6 u/r:Q8 ");
    assert_file(find("u/r:Q6")->path, "dangling-Q6.gguf");
    assert_non_null(strstr(find("u/r:Q6")->problem, "not there"));
    assert_int_equal(find("u/r:Q6")->size, 0);
}

static void dangling_shard(void **state)
{
    (void)state;
    put("m-Q4_0-00001-of-00002.gguf");
    put_link("m-Q4_0-00002-of-00002.gguf", "nowhere");
    put_link("n-Q5_0-00001-of-00002.gguf", "nowhere");
    put("n-Q5_0-00002-of-00002.gguf");
    scan();
    assert_non_null(strstr(find("u/r:Q4_0")->problem, "m-Q4_0-00002-of-00002.gguf"));
    assert_non_null(strstr(find("u/r:Q5_0")->problem, "n-Q5_0-00001-of-00002.gguf"));
    assert_int_equal(find("u/r:Q5_0")->size, 10);
}

static void deep_folders(void **state)
{
    (void)state;
    struct buf name;
    buf_init(&name, BUF_UNBOUNDED);
    for (int i = 0; i < 200; i++)
        assert_int_equal(buf_puts(&name, "d/"), 0);
    assert_int_equal(buf_puts(&name, "m-Q1.gguf"), 0);
    put(buf_cstr(&name));
    put("m-Q2.gguf");
    buf_finish(&name);
    assert_ids("u/r:Q2 ");
}

/* However far it comes: what it cannot open is not "no model". */
static void too_many_open_files(void **state)
{
    (void)state;
    put("sub/m-Q1.gguf");
    for (unsigned more = 0; more < 4; more++) {
        struct rlimit before = few_files(more);
        int rc = cache_read(&f, t.root, &err);
        as_many_files(&before);
        folder_finish(&f);
        /* the cache, refs, refs/main; or the cache, the snapshot, its folder */
        assert_int_equal(rc, more < 3 ? -EMFILE : 0);
        assert_non_null(strstr(err.text, t.root));
    }
}

static void stamps(void **state)
{
    (void)state;
    put("m-Q4_0.gguf");
    put("mmproj-F16.gguf");
    scan();
    uint64_t model = find("u/r:Q4_0")->stamp, mmproj = find("u/r:Q4_0")->mmproj_stamp;
    scan();
    assert_true(find("u/r:Q4_0")->stamp == model && find("u/r:Q4_0")->mmproj_stamp == mmproj);
    tree_put(&t, "models--u--r/blobs/m-Q4_0.gguf", "longer than before", 18);
    scan();
    assert_true(find("u/r:Q4_0")->stamp != model && find("u/r:Q4_0")->mmproj_stamp == mmproj);
}

static void trailing_slashes(void **state)
{
    (void)state;
    char dir[128];
    put("m-Q4_0.gguf");
    snprintf(dir, sizeof dir, "%s//", t.root);
    assert_int_equal(cache_read(&f, dir, &err), 0);
    assert_file(find("u/r:Q4_0")->path, "m-Q4_0.gguf");
}

/* --- mmproj. Each choice was seen in llama-server's log too (--hf-repo … --offline). */

static void assert_mmproj(const char *id, const char *name)
{
    scan();
    assert_file(find(id)->mmproj, name);
}

static void mmproj_by_bits(void **state)
{
    (void)state;
    put("m-Q4_0.gguf");
    put("m-F16.gguf");
    put("m-none_at_all.gguf");
    assert_mmproj("u/r:Q4_0", NULL);
    put("mmproj-F16.gguf");
    put("mmproj-F32.gguf");
    assert_mmproj("u/r:Q4_0", "mmproj-F16.gguf");
    put("mmproj-Q8_0.gguf");
    assert_mmproj("u/r:Q4_0", "mmproj-Q8_0.gguf");
    assert_mmproj("u/r:F16", "mmproj-F16.gguf");
    assert_true(find("u/r:F16")->mmproj_stamp != 0);
    put("mmproj-BF16.gguf"); /* as near: the first by name */
    assert_mmproj("u/r:F16", "mmproj-BF16.gguf");
    put_link("mmproj-Q4_0.gguf", "nowhere");
    assert_mmproj("u/r:Q4_0", "mmproj-Q8_0.gguf");
    put("mmproj-Q99999999999999999999.gguf"); /* no overflow */
    assert_mmproj("u/r:Q4_0", "mmproj-Q8_0.gguf");
}

static void mmproj_by_folder(void **state)
{
    (void)state;
    put("d/m-Q4_0.gguf");
    put("m-Q5_0.gguf");
    put("e/mmproj-Q4_0.gguf");
    put("d2/mmproj-Q4_0.gguf");
    assert_mmproj("u/r:Q4_0", NULL);
    assert_mmproj("u/r:Q5_0", NULL);
    put("mmproj-Q4_0.gguf");
    assert_mmproj("u/r:Q4_0", "mmproj-Q4_0.gguf");
    put("d/mmproj-F16.gguf"); /* nearer in folders goes before nearer in bits */
    assert_mmproj("u/r:Q4_0", "d/mmproj-F16.gguf");
    assert_mmproj("u/r:Q5_0", "mmproj-Q4_0.gguf");
}

static void no_draft(void **state)
{
    (void)state;
    put("m-Q4_0.gguf");
    put("mtp-m-Q4_0.gguf");
    scan();
    assert_null(find("u/r:Q4_0")->draft);
}

/* --- removing */

static void removes(void **state)
{
    (void)state;
    put("m-Q4_0-00001-of-00002.gguf");
    put("m-Q4_0-00002-of-00002.gguf");
    put("sub/n-q4_0.gguf"); /* has the same id */
    put("m-Q8_0.gguf");
    put("mmproj-Q4_0.gguf"); /* has the tag, but serves the other too */
    put("README.md");
    assert_removes("u/r:Q4_0");
    assert_ids("u/r:Q8_0 ");
    assert_false(has_entry("m-Q4_0-00001-of-00002.gguf"));
    assert_false(has_blob("m-Q4_0-00001-of-00002.gguf"));
    assert_false(has_blob("m-Q4_0-00002-of-00002.gguf"));
    assert_false(has_entry("sub/n-q4_0.gguf"));
    assert_false(has_blob("n-q4_0.gguf"));
    assert_true(has_blob("m-Q8_0.gguf"));
    assert_mmproj("u/r:Q8_0", "mmproj-Q4_0.gguf");
    assert_int_equal(cache_remove(t.root, "u/r:Q4_0", &err), -ENOENT);
    assert_non_null(strstr(err.text, "models--u--r"));
    assert_removes("u/r:q8_0"); /* as llama.cpp, in any case */
    assert_ids("");
    assert_true(has_blob("mmproj-Q4_0.gguf") && has_blob("README.md")); /* they stay */
    assert_true(exists("models--u--r/refs/main"));
}

static void shared_blobs(void **state)
{
    (void)state;
    put_blob("u--r", A, "m-Q4_0.gguf", "one");
    put_blob("u--r", A, "copy-of.gguf", "one");
    put_blob("u--r", A, "m-Q5_0.gguf", "two");
    put_blob("u--r", B, "m-Q5_0.gguf", "two"); /* an older snapshot of it goes too */
    put_blob("u--r", B, "m-Q6_0.gguf", "three");
    put_ref("u--r", "main", A);
    assert_removes("u/r:Q4_0");
    assert_true(has_blob("one"));
    assert_removes("u/r:Q5_0");
    assert_false(has_blob("two"));
    assert_false(exists("models--u--r/snapshots/" B "/m-Q5_0.gguf"));
    assert_true(has_blob("three"));
}

static void leads_elsewhere(void **state)
{
    (void)state;
    char *absolute = mem_printf("%s/models--u--r/blobs/absolute", t.root);
    char *near = mem_printf("%s/models--u--rblobs/near", t.root);
    char *out = mem_printf("%s/models--u--r/blobs/../../outside", t.root);
    put("keep-F16.gguf");
    put_text("outside", "x");
    put_text("models--u--other/blobs/theirs", "x");
    put_text("models--u--r/blobs/absolute", "x");
    put_text("models--u--r/blobs/sub/x", "x");
    put_text("models--u--rblobs/near", "x");
    put_text("models--u--r/blobs/ blank", "x");
    put_text("models--u--r/blobs/blank", "x");
    put_text("models--u--r/blobs/kept", "x");
    put_text("models--u--r/blobs/near", "x");
    tree_link(&t, "models--u--r/blobs/chain", "../../outside");
    put_link("a-Q1.gguf", "../../../outside");
    put_link("b-Q1.gguf", "../../../models--u--other/blobs/theirs");
    put_link("c-Q1.gguf", absolute);
    put_link("d-Q1.gguf", "../../blobs/sub/x");
    put_link("e-Q1.gguf", near);
    put_link("f-Q1.gguf", "../../blobs/../../outside");
    put_link("g-Q1.gguf", "../../blobs/chain");
    put_link("h-Q1.gguf", "../../blobs/ blank");
    put_link("i-Q1.gguf", "../../blobs/..");
    put_link("j-Q1.gguf", "../../../../../../../../../..");
    put_link("k-Q1.gguf", out);
    put_link("l-Q1.gguf", "../../blobs//./none");
    put_link("m-Q1.gguf", "../../../../blobs/kept"); /* of the folder that `dir` is in */
    assert_removes("u/r:Q1");
    assert_ids("u/r:F16 ");
    assert_true(exists("outside") && exists("models--u--other/blobs/theirs"));
    assert_true(has_blob("sub/x") && exists("models--u--rblobs/near") && has_blob("blank"));
    assert_true(has_blob("kept") && has_blob("near"));
    assert_false(has_blob("absolute") || has_blob("chain") || has_blob(" blank"));
    for (char name[] = "a-Q1.gguf"; *name <= 'm'; ++*name)
        assert_false(has_entry(name));
    free(absolute);
    free(near);
    free(out);
}

static void folder_that_is_a_link(void **state)
{
    (void)state;
    put("m-Q4_0.gguf");
    tree_link(&t, "models--u--linked", "models--u--r");
    assert_ids("u/linked:Q4_0 u/r:Q4_0 ");
    assert_int_equal(cache_remove(t.root, "u/linked:Q4_0", &err), -ELOOP);
    assert_non_null(strstr(err.text, "by hand"));
    tree_link(&t, "models--u--r/snapshots/" B, A);
    assert_int_equal(cache_remove(t.root, "u/r:Q4_0", &err), -ELOOP);
    assert_true(has_blob("m-Q4_0.gguf") && has_entry("m-Q4_0.gguf"));
}

static void plain_files(void **state)
{
    (void)state;
    put_text("models--u--r/snapshots/" A "/m-Q4_0.gguf", "no links on this file system");
    put_ref("u--r", "main", A);
    assert_ids("u/r:Q4_0 ");
    assert_removes("u/r:Q4_0");
    assert_ids("");
}

static void not_removable(void **state)
{
    static const char *const ids[] = {
        "",          "u/r",       "u/r:",        "u/r:Q4_0:Q5_0", "r:Q4_0",
        "../x:Q4_0", "u/..:Q4_0", "u/r/..:Q4_0", "u/r:../x",      "u/r:Q4 0",
        "/u/r:Q4_0", ":",         "u/r:Q4_0\n",
    };
    (void)state;
    put("m-Q4_0.gguf");
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        assert_int_equal(cache_remove(t.root, ids[i], &err), -EINVAL);
    assert_int_equal(cache_remove(t.root, "u/none:Q4_0", &err), -ENOENT);
    assert_non_null(strstr(err.text, "models--u--none"));
    assert_int_equal(cache_remove(tree_path(&t, "none"), "u/r:Q4_0", &err), -ENOENT);
    assert_true(has_blob("m-Q4_0.gguf"));
}

static void not_permitted(void **state)
{
    (void)state;
    put("m-Q4_0.gguf");
    if (geteuid() == 0)
        skip(); /* root may */
    assert_int_equal(chmod(tree_path(&t, "models--u--r/snapshots/" A), 0500), 0);
    assert_int_equal(cache_remove(t.root, "u/r:Q4_0", &err), -EACCES);
    assert_non_null(strstr(err.text, "m-Q4_0.gguf"));
    assert_int_equal(chmod(tree_path(&t, "models--u--r/snapshots/" A), 0700), 0);
    assert_true(has_blob("m-Q4_0.gguf"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(folders),
        CASE(missing_folder),
        CASE(tags),
        CASE(no_models),
        CASE(importance_matrix),
        CASE(shards),
        CASE(same_tag),
        CASE(repositories),
        CASE(refs),
        CASE(hostile),
        CASE(dangling_shard),
        CASE(deep_folders),
        CASE(too_many_open_files),
        CASE(stamps),
        CASE(trailing_slashes),
        CASE(mmproj_by_bits),
        CASE(mmproj_by_folder),
        CASE(no_draft),
        CASE(removes),
        CASE(shared_blobs),
        CASE(leads_elsewhere),
        CASE(folder_that_is_a_link),
        CASE(plain_files),
        CASE(not_removable),
        CASE(not_permitted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
