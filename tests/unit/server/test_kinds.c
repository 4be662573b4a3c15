/* SPDX-License-Identifier: MIT */
/* Models of two kinds beside each other: the second one is made of tests/kind/ alone. */
#include "config_test.h"

#include "../../kind/kinds.c"
#include "../../kind/script.c"
#include "api/usage.h"
#include "base/log.h"
#include "server/compose.h"
#include "server/model.h"

#define PRESET MODELS, "--models-preset", "/p.ini"
#define SCRIPT "[s]\nscript = /s.py\n"

static struct presets p;
static struct engine_launch *out;
static char id[] = "s";
static struct catalog_model model = {.id = id};

static int forget(void **state)
{
    engine_launch_release(out);
    out = NULL;
    presets_finish(&p);
    return finish(state);
}

static int read_presets(const char *text)
{
    log_setup(LOG_ERROR, LOG_TEXT);
    parse(ARGV(PRESET, "-c", "1"),
          ENV("PATH=/usr/bin:/bin", "LLAMA_ARG_MLOCK=1", "HF_TOKEN=secret"));
    presets_finish(&p);
    return presets_parse(&p, &c, text, true, &err);
}

static void compose_with(const char *text)
{
    if (read_presets(text))
        fail_msg("%s", err.text);
    engine_launch_release(out);
    out = compose(&c, &p, &model, NULL, NULL);
}

static void a_key_selects_the_kind(void **state)
{
    (void)state;
    assert_int_equal(read_presets("[m]\nc = 2\n" SCRIPT "[t]\ncheck = /up\nscript = /t.py\n"), 0);
    assert_ptr_equal(presets_of(&p, "m")->program, &c.engine);
    assert_ptr_equal(presets_of(&p, "none")->program, &c.engine);
    assert_ptr_equal(presets_of(&p, "s")->program, &c.others[0]);
    assert_ptr_equal(presets_of(&p, "t")->program, &c.others[0]);
    assert_ptr_equal(c.others[0].kind, &script_kind);
}

/* Keys of one kind are mistakes in a section of the other. hostler's own are good in each. */
static void keys_of_a_kind(void **state)
{
    (void)state;
    assert_int_equal(read_presets("[m]\ncheck = /up\n"), -EINVAL);
    assert_non_null(strstr(err.text, "line 2: check: no such key"));
    assert_int_equal(read_presets(SCRIPT "scirpt = /x\n"), -EINVAL);
    assert_non_null(strstr(err.text, "did you mean 'script'?"));
    assert_int_equal(read_presets(SCRIPT "c = 2\n"), -EINVAL);
    assert_int_equal(read_presets(SCRIPT "ttl = 5\nalias = a, b\ntags = t\nenv = A=1\n"), 0);
    const struct preset *s = presets_of(&p, "s");
    assert_int_equal(s->settings.ttl_ms, 5000);
    assert_int_equal(s->aliases.n, 2);
    assert_int_equal(s->tags.n, 1);
    assert_int_equal(s->args.n, 1);
}

/* What is given to all models of the default kind is nothing to the other one. */
static void it_composes_by_its_kind(void **state)
{
    (void)state;
    compose_with("[*]\nparallel = 3\n" SCRIPT "env = A=1\n");
    assert_ptr_equal(out->program, &c.others[0]);
    assert_int_equal(out->argv.n, 1);
    assert_string_equal(out->argv.v[0], "/s.py");
    assert_int_equal(out->env.n, 1);
    assert_string_equal(out->env.v[0], "A=1");
    assert_non_null(strstr(engine_launch_path(out), "python"));
    assert_string_equal(engine_launch_ready_path(out), "/");
    assert_null(engine_launch_health_path(out));
    assert_string_equal(engine_args_model(&out->args)->value, "/s.py");
    compose_with(SCRIPT "check = /up\nfolder = /tmp\n");
    assert_string_equal(engine_launch_ready_path(out), "/up");
    assert_string_equal(engine_launch_health_path(out), "/up");
    assert_string_equal(out->own->directory, "/tmp");
}

static void what_needs_another_process(void **state)
{
    static const struct {
        const char *text;
        bool equal;
    } table[] = {
        {SCRIPT "check = /up\nfolder = /tmp\n", true},
        {SCRIPT "check = /down\nfolder = /tmp\n", true},
        {SCRIPT "check = /up\nfolder = /var\n", false},
        {SCRIPT "check = /up\n", false},
        {"[s]\nscript = /t.py\ncheck = /up\nfolder = /tmp\n", false},
        {"[s]\nmodel = /s.py\n", false},
    };
    (void)state;
    compose_with(table[0].text);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        presets_finish(&p);
        assert_int_equal(presets_parse(&p, &c, table[i].text, true, &err), 0);
        struct engine_launch *other = compose(&c, &p, &model, NULL, NULL);
        assert_int_equal(engine_launch_equal(out, other), table[i].equal);
        engine_launch_release(other);
    }
}

static const struct engine_route *llama_route(const char *path)
{
    for (size_t i = 0; i < llama_kind.routes->n; i++)
        if (strcmp(llama_kind.routes->v[i].path, path) == 0)
            return &llama_kind.routes->v[i];
    fail_msg("no route %s", path);
    return NULL;
}

static void routes_of_a_model(void **state)
{
    (void)state;
    compose_with(SCRIPT);
    assert_string_equal(
        engine_launch_route(out, llama_route("/v1/audio/transcriptions"))->engine_path,
        "/inference");
    assert_null(engine_launch_route(out, llama_route("/v1/chat/completions")));
    assert_ptr_equal(engine_launch_route(out, &script_kind.routes->v[1]),
                     &script_kind.routes->v[1]);
    compose_with(SCRIPT "inference = /run\n");
    assert_string_equal(
        engine_launch_route(out, llama_route("/v1/audio/transcriptions"))->engine_path, "/run");
    assert_null(engine_launch_route(out, &script_kind.routes->v[1]));
}

static void estimates_and_usage(void **state)
{
    struct footprint f;
    struct model m = {.entry = &model};
    struct usage u = {.kind = &script_kind};
    static const char answer[] = "{\"text\":\"…\",\"spent\":{\"words\":3}}";
    (void)state;
    compose_with(SCRIPT);
    m.launch = out;
    model_estimate(&m, NULL, &f);
    assert_int_equal(f.bytes[0], SCRIPT_BYTES);
    assert_int_equal(f.bytes[1] + f.mapped, 0);
    usage_add(&u, answer, strlen(answer));
    usage_end(&u);
    assert_true(u.known);
    assert_int_equal(u.said.tokens, 3);
}

/* Without its program there is no such kind, and without a section of it nobody notices. */
static void a_kind_that_is_not_installed(void **state)
{
    (void)state;
    parse(ARGV(PRESET), ENV("PATH=/nonexistent"));
    assert_int_equal(c.n_others, 0);
    assert_int_equal(presets_parse(&p, &c, SCRIPT, true, &err), -EINVAL);
    assert_non_null(strstr(err.text, "line 2: script: no such key"));
}

#define CASE(name) cmocka_unit_test_teardown(name, forget)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_key_selects_the_kind),       CASE(keys_of_a_kind),    CASE(it_composes_by_its_kind),
        CASE(what_needs_another_process),   CASE(routes_of_a_model), CASE(estimates_and_usage),
        CASE(a_kind_that_is_not_installed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
