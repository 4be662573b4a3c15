/* SPDX-License-Identifier: MIT */
#include "config_test.h"

#include "base/log.h"
#include "server/compose.h"

static struct presets p;
static struct engine_launch *out;
static char id[] = "m", file[] = "/m.gguf";
static struct catalog_model model = {.id = id, .path = file};

static int forget(void **state)
{
    engine_launch_release(out);
    out = NULL;
    presets_finish(&p);
    model = (struct catalog_model){.id = id, .path = file};
    return finish(state);
}

static void compose_with(char *const *argv, char *const *env, const char *text)
{
    log_setup(LOG_ERROR, LOG_TEXT);
    parse(argv, env);
    presets_finish(&p);
    if (presets_parse(&p, &c, text, true, &err))
        fail_msg("%s", err.text);
    engine_launch_release(out);
    out = compose(&c, &p, &model, NULL, NULL);
}

static void assert_words(const struct strv *v, const char *expected)
{
    struct strv wanted = {0};
    strv_split(&wanted, expected, ' ');
    for (size_t i = 0; i < v->n && i < wanted.n; i++)
        assert_string_equal(v->v[i], wanted.v[i]);
    assert_int_equal(v->n, wanted.n);
    strv_finish(&wanted);
}

static void assert_origin(const char *name, const char *value, enum args_origin origin)
{
    const struct engine_arg *a =
        engine_args_get(&out->args, engine_options_find(c.engine.options, name, NULL));
    assert_non_null(a);
    assert_string_equal(a->value, value);
    assert_int_equal(a->origin, origin);
}

#define THREADS "LLAMA_ARG_THREADS_HTTP=32"
#define PRESET MODELS, "--models-preset", "/p.ini"

static void a_model_without_a_preset(void **state)
{
    (void)state;
    compose_with(ARGV(MODELS), ENV(NULL), NULL);
    assert_words(&out->argv, "--alias m --model /m.gguf");
    assert_words(&out->env, THREADS);
    assert_int_equal(out->connections, 32);
    assert_origin("--model", "/m.gguf", ARGS_FROM_SOURCE);
    assert_origin("--alias", "m", ARGS_FROM_ROUTER);
}

static void precedence(void **state)
{
    (void)state;
    static const char text[] = "[*]\nc = 4\nmmproj = 4\nlora = 4\nparallel = 4\n"
                               "[m]\nc = 2\nmodel-draft = 2\nparallel = 2\n";
    model.mmproj = (char[]){"/proj"};
    model.draft = (char[]){"/draft"};
    compose_with(ARGV(PRESET, "-c", "1"),
                 ENV("LLAMA_ARG_CTX_SIZE=5", "LLAMA_ARG_N_PARALLEL=5", "LLAMA_ARG_MLOCK=1",
                     "LLAMA_ARG_THREADS_HTTP=5"),
                 text);
    assert_origin("-c", "1", ARGS_FROM_COMMAND_LINE);
    assert_origin("--parallel", "2", ARGS_FROM_SECTION);
    assert_origin("--model-draft", "2", ARGS_FROM_SECTION);
    assert_origin("--mmproj", "/proj", ARGS_FROM_SOURCE);
    assert_origin("--lora", "4", ARGS_FROM_DEFAULTS);
    assert_origin("--threads-http", "5", ARGS_FROM_ENVIRONMENT);
    assert_int_equal(out->connections, 5);
    assert_int_equal(
        engine_args_get(&out->args, engine_options_find(c.engine.options, "--mlock", NULL))->origin,
        ARGS_FROM_ENVIRONMENT);
    model.mmproj = model.draft = NULL;
    /* What accumulates is a section's or the defaults', not both together. */
    compose_with(ARGV(PRESET), ENV(NULL), "[*]\nlora = 1\nlora = 2\n[m]\nlora = 3\nlora = 4\n");
    assert_words(&out->argv, "--lora 3 --lora 4 --alias m --model /m.gguf");
}

static void a_switch_that_is_off_hides_one_that_is_on(void **state)
{
    (void)state;
    compose_with(ARGV(PRESET), ENV("LLAMA_ARG_MLOCK=1"), "[*]\nmmap = on\n[m]\nmmap=0\nmlock=0\n");
    assert_words(&out->argv, "--no-mmap --alias m --model /m.gguf");
}

/* The section's own file, by whichever option, is in place of the model's. */
static void a_section_names_the_model(void **state)
{
    (void)state;
    compose_with(ARGV(PRESET), ENV(NULL), "[m]\nhf-repo = u/r:Q4\n");
    assert_words(&out->argv, "--alias m --hf-repo u/r:Q4");
    model.path = NULL;
    compose_with(ARGV(PRESET), ENV(NULL), "[m]\nhf-repo = u/r:Q4\n");
    assert_words(&out->argv, "--alias m --hf-repo u/r:Q4");
    compose_with(ARGV(PRESET), ENV(NULL), "[m]\nmodel = /other.gguf\n");
    assert_words(&out->argv, "--alias m --model /other.gguf");
}

static void threads_for_each_slot(void **state)
{
    (void)state;
    compose_with(ARGV(PRESET), ENV(NULL), "[m]\nparallel = 64\n");
    assert_int_equal(out->connections, 96);
    compose_with(ARGV(PRESET), ENV(NULL), "[m]\nthreads-http = 3\n");
    assert_int_equal(out->connections, 3);
    compose_with(ARGV(PRESET), ENV(NULL), "[m]\nparallel = -1\n"); /* auto */
    assert_int_equal(out->connections, 32);
}

static void tokens_go_by_the_environment(void **state)
{
    (void)state;
    compose_with(ARGV(PRESET), ENV(NULL), "[m]\nhf-token = secret\nenv = A=1\n");
    assert_words(&out->argv, "--alias m --model /m.gguf");
    assert_words(&out->env, THREADS " A=1 HF_TOKEN=secret");
    compose_with(ARGV(MODELS, "--hf-token", "line"), ENV(NULL), NULL);
    assert_words(&out->argv, "--alias m --model /m.gguf");
    assert_words(&out->env, THREADS " HF_TOKEN=line");
}

/* The token of the environment is for an engine that goes to the hub, for whatever it fetches. */
static void what_leads_to_the_hub(void **state)
{
    static const char *const fetching[] = {"hf-repo = u/r", "hf-repo-draft = u/d",
                                           "mmproj-url = http://h/p", "gpt-oss-20b-default = on"};
    char text[64];
    (void)state;
    for (size_t i = 0; i < sizeof fetching / sizeof *fetching; i++) {
        snprintf(text, sizeof text, "[m]\n%s\n", fetching[i]);
        compose_with(ARGV(PRESET), ENV("HF_TOKEN=secret"), text);
        assert_words(&out->env, THREADS " HF_TOKEN=secret");
    }
    compose_with(ARGV(PRESET), ENV("HF_TOKEN=secret"), "[m]\nmodel-draft = /d.gguf\n");
    assert_words(&out->env, THREADS);
}

static void equal_means_the_same_engine(void **state)
{
    (void)state;
    compose_with(ARGV(PRESET), ENV(NULL), "[m]\nc = 1\nparallel = 2\nenv = A=1\n");
    static const struct {
        const char *text;
        bool equal;
    } table[] = {
        {"[m]\nparallel = 2\nc = 1\nenv = A=1\n", true}, /* another order */
        {"[*]\nc = 1\n[m]\nnp = 2\nenv = A=1\n", true},  /* another place */
        {"[m]\nc = 1\nparallel = 2\nenv = A=1\nttl = 9\npin = on\nalias = x\n", true},
        {"[m]\nc = 2\nparallel = 2\nenv = A=1\n", false},
        {"[m]\nc = 1\nparallel = 2\nenv = A=2\n", false},
        {"[m]\nc = 1\nparallel = 2\nenv = A=1\nhf-token = x\n", false},
        {"[m]\nc = 1\nparallel = 2\nenv = A=1\nmlock = on\n", false},
        {"[m]\nc = 1\nparallel = 2\n", false},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        presets_finish(&p);
        assert_int_equal(presets_parse(&p, &c, table[i].text, true, &err), 0);
        struct engine_launch *other = compose(&c, &p, &model, NULL, NULL);
        assert_int_equal(engine_launch_equal(out, other), table[i].equal);
        engine_launch_release(other);
    }
}

static void assert_ini(const char *expected)
{
    char *text = compose_ini(out, &p, "m");
    assert_string_equal(text, expected);
    free(text);
}

static void as_ini(void **state)
{
    (void)state;
    compose_with(ARGV(MODELS), ENV(NULL), NULL);
    assert_ini("[m]\nmodel = /m.gguf\n\n");
    compose_with(ARGV(PRESET, "-c", "1"), ENV(NULL),
                 "[*]\nttl = 5\npin = on\n[m]\nttl = 6\nkvo = off\nalias = x\ntags = y\n"
                 "hf-token = secret\nenv = KEY=secret\n");
    assert_ini("[m]\nctx-size = 1\nkv-offload = false\nmodel = /m.gguf\n"
               "ttl = 6\npin = on\n\n");
    compose_with(ARGV(PRESET), ENV(NULL), "[*]\nttl = 5\n[n]\n");
    assert_ini("[m]\nmodel = /m.gguf\nttl = 5\n\n");
}

static void classic_mode(void **state)
{
    (void)state;
    compose_with(ARGV("-m", "/m.gguf", "-a", "one, two", "-c", "5"), ENV(NULL), NULL);
    assert_words(&out->argv, "--alias one,two --ctx-size 5 --model /m.gguf");
}

#define CASE(name) cmocka_unit_test_teardown(name, forget)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_model_without_a_preset),
        CASE(precedence),
        CASE(a_switch_that_is_off_hides_one_that_is_on),
        CASE(a_section_names_the_model),
        CASE(threads_for_each_slot),
        CASE(tokens_go_by_the_environment),
        CASE(what_leads_to_the_hub),
        CASE(equal_means_the_same_engine),
        CASE(as_ini),
        CASE(classic_mode),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
