/* SPDX-License-Identifier: MIT */
#include "config_test.h"

#include "../catalog/tree.h"
#include "base/log.h"
#include "base/memory.h"
#include "catalog/catalog.h"
#include "server/sources.h"

static struct tree t;
static struct sources s;
static char *preset_path, *cache_variable;

#define COMMIT "0123456789abcdef0123456789abcdef01234567"

static int begin(void **state)
{
    (void)state;
    log_setup(LOG_ERROR, LOG_TEXT);
    tree_create(&t);
    tree_folder(&t, "models");
    preset_path = mem_strdup(tree_path(&t, "p.ini"));
    cache_variable = mem_printf("LLAMA_CACHE=%s", tree_path(&t, "cache"));
    return 0;
}

static int end(void **state)
{
    sources_finish(&s);
    tree_remove(&t);
    free(preset_path);
    free(cache_variable);
    return finish(state);
}

static void put_file(const char *name)
{
    tree_put(&t, name, "GGUF", 4);
}

/* user/repo:Q4_K_M */
static void put_cached(void)
{
    tree_folder(&t, "cache");
    tree_folder(&t, "cache/models--user--repo");
    tree_folder(&t, "cache/models--user--repo/refs");
    tree_folder(&t, "cache/models--user--repo/snapshots");
    tree_folder(&t, "cache/models--user--repo/snapshots/" COMMIT);
    tree_put(&t, "cache/models--user--repo/refs/main", COMMIT, 40);
    put_file("cache/models--user--repo/snapshots/" COMMIT "/x-Q4_K_M.gguf");
}

static void configure(const char *preset)
{
    char models[100];
    snprintf(models, sizeof models, "%s/models", t.root);
    if (preset)
        tree_put(&t, "p.ini", preset, strlen(preset));
    if (preset)
        parse(ARGV("--models-dir", models, "--models-preset", preset_path), ENV(cache_variable));
    else
        parse(ARGV("--models-dir", models), ENV(cache_variable));
    sources_finish(&s);
}

static void read_all(const char *preset)
{
    configure(preset);
    if (sources_read(&s, &c, NULL, &err))
        fail_msg("%s", err.text);
}

static void refuses(const char *preset, const char *line, const char *why)
{
    configure(preset);
    assert_true(sources_read(&s, &c, NULL, &err) < 0);
    if (!strstr(err.text, line) || !strstr(err.text, why) || !strstr(err.text, preset_path))
        fail_msg("'%s … %s' is not: %s", line, why, err.text);
    assert_null(s.preset_text);
    assert_int_equal(s.models.n + s.presets.n + s.watched.folders.n, 0);
}

static void assert_models(const char *expected)
{
    char ids[1000] = "";
    for (size_t i = 0; i < s.models.n; i++)
        snprintf(ids + strlen(ids), sizeof ids - strlen(ids), "%s:%s ", s.models.v[i].id,
                 model_source_name(s.models.v[i].source));
    assert_string_equal(ids, expected);
}

static const struct folder_model *model(const char *id)
{
    const struct folder_model *m = folder_find(&s.models, id);
    assert_non_null(m);
    return m;
}

static void all_in_one_list(void **state)
{
    (void)state;
    put_file("models/a.gguf");
    put_file("models/b.gguf");
    put_file("own.gguf");
    put_cached();
    char *preset = mem_printf("[b]\nctx-size = 1\n[c]\nmodel = %s\n[d]\nhf-repo = x/y\n",
                              tree_path(&t, "own.gguf"));
    read_all(preset);
    assert_models("a:models_dir b:preset c:preset d:preset user/repo:Q4_K_M:cache ");
    assert_string_equal(s.preset_text, preset);
    assert_string_equal(model("b")->path, tree_path(&t, "models/b.gguf"));
    assert_string_equal(model("c")->path, tree_path(&t, "own.gguf"));
    assert_int_equal(model("c")->size, 4);
    assert_null(model("d")->path); /* the engine fetches it */
    free(preset);
}

static void without_presets(void **state)
{
    (void)state;
    put_file("models/a.gguf");
    read_all(NULL);
    assert_models("a:models_dir ");
    assert_null(s.preset_text);
    assert_int_equal(presets_of(&s.presets, "a")->settings.stop_timeout_ms, 10000);
}

static void without_a_folder(void **state)
{
    (void)state;
    parse(ARGV("--models-dir", "/nonexistent"), ENV(cache_variable));
    assert_int_equal(sources_read(&s, &c, NULL, &err), -ENOENT);
    assert_non_null(strstr(err.text, "cannot read the models folder /nonexistent"));
    tree_put(&t, "p.ini", "[m]\nmodel = /x.gguf\n", 20);
    parse(ARGV("--models-preset", preset_path), ENV(cache_variable));
    assert_int_equal(sources_read(&s, &c, NULL, &err), 0);
    assert_models("m:preset ");
}

/* A section gives a model another file: nothing of the first stays. */
static void a_section_replaces_the_file(void **state)
{
    (void)state;
    tree_folder(&t, "models/m");
    put_file("models/m/x.gguf");
    put_file("models/m/mmproj.gguf");
    put_file("own.gguf");
    read_all("[m]\nctx-size = 1\n");
    assert_non_null(model("m")->mmproj);
    char *preset = mem_printf("[m]\nmodel = %s\n", tree_path(&t, "own.gguf"));
    read_all(preset);
    assert_string_equal(model("m")->path, tree_path(&t, "own.gguf"));
    assert_null(model("m")->mmproj);
    free(preset);
}

static void a_section_names_a_projector(void **state)
{
    (void)state;
    put_file("models/m.gguf");
    put_file("proj.gguf");
    char *preset = mem_printf("[m]\nmmproj = %s\n", tree_path(&t, "proj.gguf"));
    read_all(preset);
    assert_string_equal(model("m")->mmproj, tree_path(&t, "proj.gguf"));
    assert_true(model("m")->mmproj_stamp != 0);
    free(preset);
}

static void a_file_that_is_not_there(void **state)
{
    (void)state;
    read_all("[m]\nmodel = /nonexistent/x.gguf\n");
    assert_string_equal(model("m")->path, "/nonexistent/x.gguf");
    assert_non_null(strstr(model("m")->problem, "/nonexistent/x.gguf"));
}

static void a_section_knows_its_cached_file(void **state)
{
    (void)state;
    put_cached();
    read_all("[m]\nhf-repo = user/repo:q4_k_m\n[n]\nhf-repo = user/repo:Q8_0\n");
    assert_non_null(strstr(model("m")->path, "x-Q4_K_M.gguf"));
    assert_int_equal(model("m")->size, 4);
    assert_null(model("n")->path);
    assert_models("m:preset n:preset user/repo:Q4_K_M:cache ");
    read_all("[m]\nhf-repo = user/repo:q4_k_m\ndedup-cache-models = on\n");
    assert_models("m:preset user/repo:Q4_K_M:cache ");
    assert_true(model("user/repo:Q4_K_M")->hidden && !model("m")->hidden);
    read_all("[user/repo:Q4_K_M]\nctx-size = 5\n");
    assert_models("user/repo:Q4_K_M:preset ");
}

static void the_defaults_may_name_a_model_for_sections_that_have_none(void **state)
{
    (void)state;
    put_file("models/a.gguf");
    put_file("own.gguf");
    char *preset =
        mem_printf("[*]\nmodel = %s\n[a]\nc = 1\n[b]\nc = 2\n", tree_path(&t, "own.gguf"));
    read_all(preset);
    assert_string_equal(model("a")->path, tree_path(&t, "models/a.gguf"));
    assert_string_equal(model("b")->path, tree_path(&t, "own.gguf"));
    free(preset);
}

static void a_section_whose_model_is_not_there(void **state)
{
    (void)state;
    put_file("models/a.gguf");
    read_all("[a]\n[none]\nctx-size = 1\n");
    assert_models("a:preset none:preset ");
    assert_true(model("none")->missing && !model("a")->missing);
    assert_non_null(strstr(model("none")->problem, "[none] (line 2 of "));
    assert_true(s.watched.awaited.n > 0);
}

static void mistakes(void **state)
{
    (void)state;
    put_file("models/a.gguf");
    put_file("models/b.gguf");
    refuses("[a]\nalias = b\n", "line 2: ", "alias 'b' of [a] is a name of model 'b' already");
    refuses("[a]\nalias = x\n[b]\nalias = y,x\n", "line 4: ", "alias 'x'");
    refuses("[a]\nttl = x\n", "line 2: ", "ttl");
    read_all("[a]\nalias = x,x\n"); /* of one model it is none */
}

/* What was right when somebody asked is not a mistake because files came or went since. */
static void files_come_and_go(void **state)
{
    (void)state;
    put_file("models/a.gguf");
    put_file("models/b.gguf");
    read_all("[a]\nctx-size = 1\n[b]\nalias = c\n");
    char *text = s.preset_text;
    s.preset_text = NULL;
    tree_delete(&t, "models/a.gguf");
    put_file("models/c.gguf");
    tree_put(&t, "p.ini", "[half", 5); /* being written: not looked into */
    sources_finish(&s);
    assert_int_equal(sources_read(&s, &c, text, &err), 0);
    assert_models("a:preset b:preset c:models_dir ");
    assert_true(model("a")->missing);
    assert_null(s.preset_text);
    sources_finish(&s);
    assert_true(sources_read(&s, &c, NULL, &err) < 0); /* asked for */
    free(text);
}

#define SNAPSHOT "cache/models--user--repo/snapshots/" COMMIT

static void the_folders_to_watch(void **state)
{
    (void)state;
    tree_folder(&t, "models/sub");
    tree_folder(&t, "models/sub/deeper");
    tree_link(&t, "models/link", "sub");
    put_file("models/a.gguf");
    put_cached();
    tree_folder(&t, "cache/models--user--repo/blobs");
    tree_folder(&t, SNAPSHOT "/UD");
    tree_folder(&t, SNAPSHOT "/UD/deeper");
    tree_link(&t, SNAPSHOT "/UD/loop", ".");
    read_all(NULL);
    static const char *const watched[] = {"models",
                                          "models/sub",
                                          "models/link",
                                          "cache",
                                          "cache/models--user--repo",
                                          "cache/models--user--repo/snapshots",
                                          SNAPSHOT,
                                          SNAPSHOT "/UD",
                                          SNAPSHOT "/UD/deeper"};
    for (size_t i = 0; i < sizeof watched / sizeof *watched; i++)
        assert_true(strv_has(&s.watched.folders, tree_path(&t, watched[i])));
    assert_false(strv_has(&s.watched.folders, tree_path(&t, SNAPSHOT "/UD/loop")));
    assert_false(strv_has(&s.watched.folders, tree_path(&t, "models/sub/deeper")));
    assert_false(strv_has(&s.watched.folders, tree_path(&t, "cache/models--user--repo/blobs")));
}

static void one_model(void **state)
{
    (void)state;
    char *path = mem_strdup(tree_path(&t, "one.gguf"));
    tree_put(&t, "one.gguf", "something else", 14);
    parse(ARGV("-m", path), ENV(cache_variable));
    assert_int_equal(sources_read(&s, &c, NULL, &err), -EINVAL); /* no GGUF file */
    assert_non_null(strstr(err.text, "one.gguf"));
    parse(ARGV("-hf", "user/repo:Q4"), ENV(cache_variable));
    assert_int_equal(sources_read(&s, &c, NULL, &err), 0);
    assert_models("user/repo:Q4:preset ");
    assert_int_equal(s.watched.folders.n, 0);
    free(path);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(all_in_one_list),
        CASE(without_presets),
        CASE(without_a_folder),
        CASE(a_section_replaces_the_file),
        CASE(a_section_names_a_projector),
        CASE(a_file_that_is_not_there),
        CASE(a_section_knows_its_cached_file),
        CASE(the_defaults_may_name_a_model_for_sections_that_have_none),
        CASE(a_section_whose_model_is_not_there),
        CASE(mistakes),
        CASE(files_come_and_go),
        CASE(the_folders_to_watch),
        CASE(one_model),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
