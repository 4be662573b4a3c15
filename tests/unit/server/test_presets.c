/* SPDX-License-Identifier: MIT */
/* The engine's options are those of config_test.h's script. */
#include "config_test.h"

#include "base/log.h"
#include "server/presets.h"

static struct presets p;

static int forget(void **state)
{
    presets_finish(&p);
    return finish(state);
}

static void configured(char *const *argv)
{
    log_setup(LOG_ERROR, LOG_TEXT);
    parse(argv, ENV(NULL));
}

static void read_text(const char *text)
{
    if (!c.engine.options)
        configured(ARGV(MODELS, "--models-preset", "/p.ini"));
    presets_finish(&p);
    if (presets_parse(&p, &c, text, true, &err))
        fail_msg("%s", err.text);
}

/* `line` is where, `why` a part of the text. */
static void refuses(const char *text, int line, const char *why)
{
    char begin[64];
    if (!c.engine.options)
        configured(ARGV(MODELS, "--models-preset", "/p.ini"));
    presets_finish(&p);
    assert_true(presets_parse(&p, &c, text, true, &err) < 0);
    snprintf(begin, sizeof begin, "/p.ini: line %d: ", line);
    if (strncmp(err.text, begin, strlen(begin)) != 0 || !strstr(err.text, why))
        fail_msg("'%s … %s' is not: %s", begin, why, err.text);
    assert_int_equal(p.n, 0); /* nothing to finish */
    assert_null(p.defaults.name);
}

static const char *value_of(const struct preset *preset, const char *name)
{
    const struct engine_arg *a =
        engine_args_get(&preset->args, engine_options_find(c.engine.options, name, NULL));
    return a ? a->value ? a->value : a->negated ? "off" : "on" : NULL;
}

static const struct preset *of(const char *model)
{
    return presets_of(&p, model);
}

static void without_a_file(void **state)
{
    (void)state;
    configured(ARGV(MODELS, "--ttl", "5m", "--stop-timeout", "3s"));
    assert_int_equal(presets_parse(&p, &c, NULL, true, &err), 0);
    assert_int_equal(p.n, 0);
    const struct settings *s = &of("anything")->settings;
    assert_int_equal(s->ttl_ms, 300000);
    assert_int_equal(s->stop_timeout_ms, 3000);
    assert_false(s->pinned || s->load_on_startup || s->hides_cached);
    assert_int_equal(s->env.n, 0);
}

static void sections_and_defaults(void **state)
{
    (void)state;
    read_text("version = 1\n"
              "[b]\nctx-size = 512\n"
              "[*]\nmlock = on\nparallel = 2\n"
              "[a]\nmodel = /a.gguf\nctx-size = 1024\nparallel = 4\n");
    assert_int_equal(p.n, 2);
    assert_string_equal(p.v[0].name, "a"); /* in order of name */
    assert_int_equal(p.v[0].line, 7);
    assert_string_equal(value_of(of("a"), "--model"), "/a.gguf");
    assert_string_equal(value_of(of("a"), "--ctx-size"), "1024");
    assert_string_equal(value_of(of("a"), "--parallel"), "4");
    assert_null(value_of(of("a"), "--mlock")); /* compose.c puts them together */
    assert_string_equal(value_of(of("b"), "--ctx-size"), "512");
    assert_ptr_equal(of("none"), &p.defaults);
    assert_string_equal(value_of(of("none"), "--mlock"), "on");
    assert_int_equal(engine_args_find(&p.defaults.args, "--parallel")->origin, ARGS_FROM_DEFAULTS);
    assert_int_equal(engine_args_find(&of("a")->args, "--parallel")->origin, ARGS_FROM_SECTION);
}

static void each_form_of_a_key(void **state)
{
    (void)state;
    static const struct {
        const char *line, *option, *value;
    } table[] = {
        {"ctx-size = 7", "-c", "7"},
        {"ctx_size = 7", "-c", "7"},
        {"c = 7", "-c", "7"},
        {"LLAMA_ARG_CTX_SIZE = 7", "-c", "7"},
        {"kv-offload = on", "-kvo", "on"},
        {"kvo = 0", "-kvo", "off"},
        {"no-kv-offload = true", "-kvo", "off"},
        {"nkvo = false", "-kvo", "on"},
        {"LLAMA_ARG_KV_OFFLOAD = off", "-kvo", "off"},
        {"mlock = disabled", "--mlock", "off"},
        {"control-vector-layer-range = 1 12", "--control-vector-layer-range", "1 12"},
        {"hf-repo = user/repo:Q4", "-hf", "user/repo:Q4"},
        {"hfr = user/repo:Q4", "-hf", "user/repo:Q4"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char text[200];
        snprintf(text, sizeof text, "[m]\n%s\n", table[i].line);
        read_text(text);
        assert_string_equal(value_of(of("m"), table[i].option), table[i].value);
        assert_int_equal(of("m")->args.n, 1);
    }
}

static void the_last_of_a_key_counts(void **state)
{
    (void)state;
    read_text("[m]\nc = 1\nctx-size = 2\nttl = 1\nttl = 2\nkvo = on\nno-kv-offload = on\n");
    assert_string_equal(value_of(of("m"), "-c"), "2");
    assert_string_equal(value_of(of("m"), "-kvo"), "off");
    assert_int_equal(of("m")->settings.ttl_ms, 2000);
    assert_int_equal(of("m")->own.n, 1);
    assert_string_equal(of("m")->own.v[0], "ttl = 2");
}

static void settings_of_a_section(void **state)
{
    (void)state;
    read_text("[m]\nload-on-startup = true\nstop-timeout = 20\ndedup-cache-models = 1\n"
              "ttl = 1h30m\npin = on\npriority = -3\nmax-requests = 8\nenv = A=1, B=x y,C=\n");
    const struct settings *s = &of("m")->settings;
    assert_true(s->load_on_startup && s->hides_cached && s->pinned);
    assert_int_equal(s->stop_timeout_ms, 20000);
    assert_int_equal(s->ttl_ms, 5400000);
    assert_int_equal(s->priority, -3);
    assert_int_equal(s->max_requests, 8);
    assert_int_equal(s->env.n, 3);
    assert_string_equal(s->env.v[1], "B=x y");
    assert_string_equal(s->env.v[2], "C=");
    /* All are the router's: none reaches the engine's command line. */
    assert_int_equal(of("m")->args.n, 0);
}

/* The commas of a list of devices are its own. */
static void lists_of_devices(void **state)
{
    (void)state;
    read_text("[m]\nenv = CUDA_VISIBLE_DEVICES=0,1, A=1,ONEAPI_DEVICE_SELECTOR=level_zero:0,1\n");
    const struct settings *s = &of("m")->settings;
    assert_int_equal(s->env.n, 3);
    assert_string_equal(s->env.v[0], "CUDA_VISIBLE_DEVICES=0,1");
    assert_string_equal(s->env.v[1], "A=1");
    assert_string_equal(s->env.v[2], "ONEAPI_DEVICE_SELECTOR=level_zero:0,1");
}

static void a_section_has_the_settings_of_the_defaults(void **state)
{
    (void)state;
    configured(ARGV(MODELS, "--models-preset", "/p.ini", "--ttl", "9"));
    read_text("[a]\nttl = 0\n[b]\nenv = X=1\n[*]\nttl = 5m\npin = on\nenv = D=1,E=2\ntags = t\n");
    assert_int_equal(of("a")->settings.ttl_ms, 0);
    assert_true(of("a")->settings.pinned);
    assert_int_equal(of("a")->settings.env.n, 2);
    assert_string_equal(of("a")->tags.v[0], "t");
    assert_int_equal(of("b")->settings.ttl_ms, 300000);
    assert_int_equal(of("b")->settings.env.n, 1); /* replaced, not added to */
    assert_string_equal(of("b")->settings.env.v[0], "X=1");
    assert_int_equal(of("none")->settings.ttl_ms, 300000); /* before the command line's */
}

static void names_and_tags(void **state)
{
    (void)state;
    read_text("[m]\nalias = two, one ,two,\ntags = vision,chat\n[n]\n");
    const struct preset *m = of("m");
    assert_int_equal(m->aliases.n, 2);
    assert_string_equal(m->aliases.v[0], "one");
    assert_string_equal(m->aliases.v[1], "two");
    assert_string_equal(m->tags.v[0], "chat");
    assert_int_equal(of("n")->aliases.n + of("n")->tags.n, 0);
    assert_null(value_of(m, "--alias"));
    read_text("[m]\nalias = one\nLLAMA_ARG_ALIAS = two\n"); /* the last one */
    assert_int_equal(of("m")->aliases.n, 1);
    assert_string_equal(of("m")->aliases.v[0], "two");
}

static void what_only_the_router_may_set_is_dropped(void **state)
{
    (void)state;
    read_text("[m]\nhost = 0.0.0.0\nport = 1\napi-key = k\nssl-key-file = f\nmodels-dir = d\n"
              "models-preset = p\nc = 1\n[*]\nport = 2\n");
    assert_int_equal(of("m")->args.n, 1);
    assert_int_equal(p.defaults.args.n, 0);
}

static void of_others_presets_only_what_is_harmless_counts(void **state)
{
    (void)state;
    configured(ARGV("-hf", "u/p"));
    config_serve_presets(&c, "/p.ini");
    read_text(
        "[*]\nlora = /f\nc = 1\n"
        "[m]\nhf-repo = u/r\nalias = x\ntags = y\nparallel = 2\nno-kv-offload = on\nttl = 5m\n"
        "[n]\nLLAMA_ARG_MODEL = /f\nm = /f\nmd = /f\nmodel-url = http://h/f\nhf-token = k\ntools = "
        "all\n"
        "env = A=1\nmemory = host=1M\nstop-timeout = 9h\ncontrol-vector-layer-range = 1 2\nport = "
        "1\n");
    assert_int_equal(p.defaults.args.n, 1);
    assert_string_equal(value_of(of("m"), "--hf-repo"), "u/r");
    assert_string_equal(value_of(of("m"), "--parallel"), "2");
    assert_string_equal(value_of(of("m"), "--kv-offload"), "off");
    assert_string_equal(of("m")->aliases.v[0], "x");
    assert_string_equal(of("m")->tags.v[0], "y");
    assert_int_equal(of("m")->settings.ttl_ms, 300000);
    assert_int_equal(of("n")->args.n, 0);
    assert_int_equal(of("n")->settings.env.n, 0);
    assert_null(of("n")->settings.memory);
    assert_int_equal(of("n")->settings.stop_timeout_ms, c.stop_timeout_ms);
}

static void of_two_sections_of_a_name_the_last_counts(void **state)
{
    (void)state;
    read_text("[m]\nc = 1\nalias = x\npin = on\n[n]\n[m]\nparallel = 3\n");
    assert_int_equal(p.n, 2);
    assert_int_equal(of("m")->line, 6);
    assert_int_equal(of("m")->args.n, 1);
    assert_int_equal(of("m")->aliases.n, 0);
    assert_false(of("m")->settings.pinned);
}

static void many_sections(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    for (int i = 0; i < 3000; i++)
        fprintf(f, "[m%d]\nctx-size = %d\n", i, i);
    fclose(f);
    read_text(text);
    free(text);
    assert_int_equal(p.n, 3000);
    for (int i = 0; i < 3000; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%d", i);
        assert_string_equal(value_of(of(name), "-c"), name + 1);
    }
}

static void mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int line;
        const char *why;
    } table[] = {
        {"[m]\n\nctx-sise = 1\n", 3, "ctx-sise: no such key; did you mean 'ctx-size'?"},
        {"[m]\npinn = on\n", 2, "did you mean 'pin'?"},
        {"[m]\nno-mlok = on\n", 2, "no such key"},
        {"[m]\nzzzzzzzzzz = 1\n", 2, "a key is an option of the engine without its dashes"},
        {"[m]\nttl = soon\n", 2, "ttl: 'soon' is no time: write 90, 90s, 5m or 1h30m"},
        {"[m]\nstop-timeout = -1\n", 2, "stop-timeout: '-1' is no time"},
        {"[m]\nstop-timeout = 200000d\n", 2, "longer than 100 years"},
        {"[m]\npin = maybe\n", 2, "pin: 'maybe' is neither on nor off"},
        {"[m]\nload-on-startup =\n", 2, "'' is neither on nor off"},
        {"[m]\npriority = high\n", 2, "priority: 'high' is no whole number"},
        {"[m]\nmax-requests = -1\n", 2, "give 0 or more"},
        {"[m]\nenv = A\n", 2, "env: entry 1 of the list is not NAME=VALUE"},
        {"[m]\nenv = A=1, =2\n", 2, "env: entry 2 of the list is not NAME=VALUE"},
        {"[m]\nkv-offload = x\n", 2, "kv-offload: 'x' is neither on nor off"},
        {"[m]\nno-kv-offload = x\n", 2, "no-kv-offload: 'x' is neither on nor off"},
        {"[m]\ncontrol-vector-layer-range = 1\n", 2, "must be two values"},
        {"[*]\nalias = x\n", 2, "it would name every model: give it to one"},
        {"ctx-size = 1\n[m]\n", 1, "'ctx-size' stands before any section: put it below [*]"},
        {"[m]\n--ctx-size = 1\n", 2, "without its dashes"},
        {"[m]\nmmap\n", 2, "neither [SECTION] nor KEY = VALUE"},
        {"[m\n", 1, "'[' without ']'"},
        {"[m]\nc = 1\n[*]\nttl = x\n", 4, "ttl: 'x'"}, /* the defaults behind the sections */
        {"[m]\nc = \x01\n", 2, "not UTF-8"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        refuses(table[i].text, table[i].line, table[i].why);
}

/* --- the file ----------------------------------------------------------------------------------- */

static char *loaded;

static int load(const char *name)
{
    static char path[100];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    configured(ARGV(MODELS, "--models-preset", path));
    free(loaded);
    return presets_load(&loaded, &c, &err);
}

static void load_refuses(const char *name, const char *why)
{
    assert_true(load(name) < 0);
    assert_null(loaded);
    if (!strstr(err.text, why) || !strstr(err.text, c.models_preset))
        fail_msg("'%s' is not in: %s", why, err.text);
}

static void the_file(void **state)
{
    (void)state;
    assert_int_equal(load("keys"), 0);
    assert_string_equal(loaded, "# a comment\nk1\r\n\nk,2\n");
    put("empty", "", 0600);
    assert_int_equal(load("empty"), 0);
    assert_string_equal(loaded, ""); /* a file without presets, which is not no file */
    free(loaded);
    loaded = NULL;
    load_refuses("none", "cannot read the presets in");
    load_refuses(".", "Is a directory");
    char path[100];
    snprintf(path, sizeof path, "%s/odd", folder);
    FILE *f = fopen(path, "we");
    fwrite("[a]\0", 1, 4, f);
    fclose(f);
    load_refuses("odd", "zero bytes");
    f = fopen(path, "we");
    for (size_t i = 0; i < (4 * 1024 * 1024 + 1) / 8 + 1; i++)
        fputs("# 45678\n", f);
    fclose(f);
    load_refuses("odd", "larger than 4 MiB");
    unlink(path);
    snprintf(path, sizeof path, "%s/empty", folder);
    unlink(path);
}

#define CASE(name) cmocka_unit_test_teardown(name, forget)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(without_a_file),
        CASE(sections_and_defaults),
        CASE(each_form_of_a_key),
        CASE(the_last_of_a_key_counts),
        CASE(settings_of_a_section),
        CASE(lists_of_devices),
        CASE(a_section_has_the_settings_of_the_defaults),
        CASE(names_and_tags),
        CASE(what_only_the_router_may_set_is_dropped),
        CASE(of_others_presets_only_what_is_harmless_counts),
        CASE(of_two_sections_of_a_name_the_last_counts),
        CASE(many_sections),
        CASE(mistakes),
        CASE(the_file),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
