/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/args.h"
#include "engine/llama/help.h"

static const char help[] = "-m, --model FNAME\n"
                           "-c, --ctx-size N\n"
                           "-a, --alias STRING\n"
                           "--host HOST\n"
                           "--port PORT\n"
                           "--api-key KEY\n"
                           "--api-key-file FNAME\n"
                           "--ssl-key-file FNAME\n"
                           "--ssl-cert-file FNAME\n"
                           "--models-dir PATH\n"
                           "--models-preset PATH\n"
                           "--models-max N\n"
                           "--models-autoload, --no-models-autoload\n"
                           "-kvo, --kv-offload, -nkvo, --no-kv-offload\n"
                           "--no-host\n"
                           "--swa-full\n"
                           "--lora FNAME\n"
                           "-ot, --override-tensor A=B\n"
                           "--control-vector-layer-range START END\n"
                           "--fim-qwen-3b-default\n"
                           "--timeout N\n";

static struct engine_options *options;

static int set_up(void **state)
{
    (void)state;
    struct error err;
    return llama_help_parse(&options, help, "--port", &err);
}

static int tear_down(void **state)
{
    (void)state;
    engine_options_destroy(options);
    return 0;
}

static const struct engine_option *opt(const char *name)
{
    const struct engine_option *option = engine_options_find(options, name, NULL);
    assert_non_null(option);
    return option;
}

static void set(struct engine_args *a, const char *name, const char *value, enum args_origin origin)
{
    bool negated;
    const struct engine_option *option = engine_options_find(options, name, &negated);
    assert_non_null(option);
    engine_args_set(a, option, negated, value, origin);
}

/* The command line that they make, parted by blanks. */
static void assert_line(const struct engine_args *a, const char *line)
{
    struct strv argv = {0}, wanted = {0};
    engine_args_append(a, &argv);
    strv_split(&wanted, line, ' ');
    assert_int_equal(argv.n, wanted.n);
    for (size_t i = 0; i < argv.n; i++)
        assert_string_equal(argv.v[i], wanted.v[i]);
    strv_finish(&argv);
    strv_finish(&wanted);
}

static void set_and_replace(void **state)
{
    (void)state;
    struct engine_args a = {0};
    set(&a, "-m", "x.gguf", ARGS_FROM_SOURCE);
    set(&a, "-c", "512", ARGS_FROM_SECTION);
    set(&a, "--swa-full", NULL, ARGS_FROM_SECTION);
    assert_line(&a, "--model x.gguf --ctx-size 512 --swa-full");
    set(&a, "--model", "y.gguf", ARGS_FROM_COMMAND_LINE);
    assert_line(&a, "--model y.gguf --ctx-size 512 --swa-full");
    assert_int_equal(engine_args_get(&a, opt("-m"))->origin, ARGS_FROM_COMMAND_LINE);
    assert_null(engine_args_get(&a, opt("--timeout")));
    /* A value that is its own. */
    set(&a, "-c", engine_args_get(&a, opt("-c"))->value, ARGS_FROM_COMMAND_LINE);
    assert_line(&a, "--model y.gguf --ctx-size 512 --swa-full");
    engine_args_finish(&a);
    assert_line(&a, "");
}

static void negations(void **state)
{
    (void)state;
    struct engine_args a = {0};
    set(&a, "-kvo", NULL, ARGS_FROM_DEFAULTS);
    assert_line(&a, "--kv-offload");
    set(&a, "-nkvo", NULL, ARGS_FROM_DEFAULTS);
    assert_line(&a, "--no-kv-offload");
    set(&a, "--no-host", NULL, ARGS_FROM_DEFAULTS);
    assert_line(&a, "--no-kv-offload --no-host");
    /* Off, and without a word for it: left out, but still set, so that a merge does not turn it on.
     */
    engine_args_set(&a, opt("--swa-full"), true, NULL, ARGS_FROM_COMMAND_LINE);
    assert_line(&a, "--no-kv-offload --no-host");
    assert_non_null(engine_args_get(&a, opt("--swa-full")));
    engine_args_finish(&a);
}

static void accumulating(void **state)
{
    (void)state;
    struct engine_args a = {0};
    set(&a, "--lora", "a", ARGS_FROM_SECTION);
    set(&a, "-c", "1", ARGS_FROM_SECTION);
    set(&a, "--lora", "b", ARGS_FROM_SECTION);
    assert_line(&a, "--lora a --ctx-size 1 --lora b");
    /* Another origin replaces them all. */
    set(&a, "--lora", "c", ARGS_FROM_COMMAND_LINE);
    set(&a, "--lora", "d", ARGS_FROM_COMMAND_LINE);
    assert_line(&a, "--ctx-size 1 --lora c --lora d");
    engine_args_finish(&a);
}

static void merge(void **state)
{
    (void)state;
    struct engine_args line = {0}, section = {0};
    set(&line, "-c", "1", ARGS_FROM_COMMAND_LINE);
    set(&line, "-nkvo", NULL, ARGS_FROM_COMMAND_LINE);
    set(&section, "--lora", "a", ARGS_FROM_SECTION);
    set(&section, "-c", "2", ARGS_FROM_SECTION);
    set(&section, "-kvo", NULL, ARGS_FROM_SECTION);
    set(&section, "--lora", "b", ARGS_FROM_SECTION);
    engine_args_merge(&line, &section);
    assert_line(&line, "--ctx-size 1 --no-kv-offload --lora a --lora b");
    assert_int_equal(engine_args_get(&line, opt("--lora"))->origin, ARGS_FROM_SECTION);
    /* Once more adds nothing, not even to itself. */
    engine_args_merge(&line, &section);
    engine_args_merge(&line, &line);
    engine_args_finish(&section);
    assert_line(&line, "--ctx-size 1 --no-kv-offload --lora a --lora b");
    engine_args_finish(&line);
}

static void two_values(void **state)
{
    (void)state;
    struct engine_args a = {0};
    set(&a, "--control-vector-layer-range", "1 12", ARGS_FROM_COMMAND_LINE);
    struct strv argv = {0};
    engine_args_append(&a, &argv);
    assert_int_equal(argv.n, 3);
    assert_string_equal(argv.v[2], "12");
    strv_finish(&argv);
    engine_args_finish(&a);
}

static void many(void **state)
{
    (void)state;
    struct engine_args a = {0};
    for (int i = 0; i < 100; i++)
        set(&a, "-ot", "x=y", ARGS_FROM_SECTION);
    assert_int_equal(a.n, 100);
    for (int i = 0; i < 100; i++)
        set(&a, "-c", "1", ARGS_FROM_SECTION);
    assert_int_equal(a.n, 101);
    set(&a, "-ot", "z=y", ARGS_FROM_COMMAND_LINE);
    assert_line(&a, "--ctx-size 1 --override-tensor z=y");
    engine_args_finish(&a);
}

static struct error err;

/* As a preset does: by a name without dashes. */
static int set_text(struct engine_args *a, const char *name, const char *text)
{
    bool negated;
    const struct engine_option *option = engine_options_find(options, name, &negated);
    assert_non_null(option);
    err = (struct error){0};
    return engine_args_set_text(a, option, negated, text, ARGS_FROM_SECTION, &err);
}

static void texts(void **state)
{
    (void)state;
    struct engine_args a = {0};
    assert_int_equal(set_text(&a, "-c", "512"), 0);
    assert_int_equal(set_text(&a, "-m", "a file.gguf"), 0);
    assert_string_equal(engine_args_get(&a, opt("-m"))->value, "a file.gguf");
    engine_args_unset(&a, opt("-m"));
    assert_int_equal(set_text(&a, "--control-vector-layer-range", " 1  12 "), 0);
    assert_line(&a, "--ctx-size 512 --control-vector-layer-range 1 12");
    engine_args_finish(&a);
}

static void texts_of_switches(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *line;
    } table[] = {
        {"-kvo", "on", "--kv-offload"},          {"-kvo", "0", "--no-kv-offload"},
        {"-nkvo", "on", "--no-kv-offload"},      {"--no-kv-offload", "FALSE", "--kv-offload"},
        {"--swa-full", "enabled", "--swa-full"}, {"--swa-full", "disabled", ""},
        {"--no-host", "true", "--no-host"},      {"--no-host", "false", ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct engine_args a = {0};
        assert_int_equal(set_text(&a, table[i].name, table[i].text), 0);
        assert_int_equal(a.n, 1); /* also what is off: it hides what another layer says */
        assert_line(&a, table[i].line);
        engine_args_finish(&a);
    }
}

static void texts_refused(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {"-kvo", "maybe"},
        {"--swa-full", ""},
        {"--control-vector-layer-range", "1"},
        {"--control-vector-layer-range", "1 2 3"},
        {"--control-vector-layer-range", ""},
    };
    struct engine_args a = {0};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        assert_int_equal(set_text(&a, table[i][0], table[i][1]), -EINVAL);
        assert_non_null(strstr(err.text, table[i][1]));
    }
    assert_int_equal(a.n, 0);
}

static void unset(void **state)
{
    (void)state;
    struct engine_args a = {0};
    engine_args_unset(&a, opt("-c"));
    set(&a, "--lora", "a", ARGS_FROM_SECTION);
    set(&a, "-c", "1", ARGS_FROM_SECTION);
    set(&a, "--lora", "b", ARGS_FROM_SECTION);
    engine_args_unset(&a, opt("--lora"));
    assert_line(&a, "--ctx-size 1");
    engine_args_unset(&a, opt("-c"));
    assert_int_equal(a.n, 0);
    set(&a, "-c", "2", ARGS_FROM_SECTION);
    assert_line(&a, "--ctx-size 2");
    engine_args_finish(&a);
}

static void sorted(void **state)
{
    (void)state;
    struct engine_args a = {0};
    engine_args_sort(&a);
    set(&a, "-m", "x", ARGS_FROM_SOURCE);
    set(&a, "--lora", "z", ARGS_FROM_SECTION);
    set(&a, "-nkvo", NULL, ARGS_FROM_DEFAULTS);
    set(&a, "--control-vector-layer-range", "1 2", ARGS_FROM_SECTION);
    set(&a, "--lora", "b", ARGS_FROM_SECTION);
    set(&a, "-c", "1", ARGS_FROM_COMMAND_LINE);
    set(&a, "--lora", "a", ARGS_FROM_SECTION);
    engine_args_sort(&a);
    /* By first names (`--control…`, `--lora`, `-c`, `-kvo`, `-m`); what accumulates in its order. */
    assert_line(&a, "--control-vector-layer-range 1 2 --lora z --lora b --lora a --ctx-size 1 "
                    "--no-kv-offload --model x");
    engine_args_finish(&a);
}

/* The engine's last word counts: what follows a set on the command line changes it, and it changes what stands
 * before it. A section has no order: there it is the set that is changed. */
static void a_set_in_its_place(void **state)
{
    (void)state;
    struct engine_args a = {0}, section = {0};
    set(&a, "-c", "1", ARGS_FROM_COMMAND_LINE);
    set(&a, "--fim-qwen-3b-default", NULL, ARGS_FROM_COMMAND_LINE);
    set(&a, "--api-key", "x", ARGS_FROM_COMMAND_LINE);
    set(&a, "--timeout", "5", ARGS_FROM_ENVIRONMENT);
    engine_args_sort(&a);
    assert_line(&a, "--timeout 5 --ctx-size 1 --fim-qwen-3b-default --api-key x");
    assert_ptr_equal(engine_args_model(&a)->option, opt("--fim-qwen-3b-default"));
    set(&section, "--alias", "x", ARGS_FROM_SECTION);
    set(&section, "--fim-qwen-3b-default", NULL, ARGS_FROM_SECTION);
    engine_args_sort(&section);
    assert_line(&section, "--fim-qwen-3b-default --alias x");
    section.v[0].negated = true;
    assert_null(engine_args_model(&section));
    engine_args_finish(&section);
    engine_args_finish(&a);
}

static void as_ini(void **state)
{
    (void)state;
    struct engine_args a = {0};
    struct buf b;
    buf_init(&b, BUF_UNBOUNDED);
    engine_args_print_ini(&a, &b);
    assert_int_equal(b.len, 0);
    set(&a, "-c", "512", ARGS_FROM_SECTION);
    set(&a, "-nkvo", NULL, ARGS_FROM_SECTION);
    set(&a, "--swa-full", NULL, ARGS_FROM_SECTION);
    set(&a, "--no-host", NULL, ARGS_FROM_SECTION);
    set(&a, "--control-vector-layer-range", "1 2", ARGS_FROM_SECTION);
    engine_args_print_ini(&a, &b);
    assert_string_equal(buf_cstr(&b), "ctx-size = 512\nkv-offload = false\nswa-full = true\n"
                                      "no-host = true\ncontrol-vector-layer-range = 1 2\n");
    buf_finish(&b);
    engine_args_finish(&a);
}

static void classes(void **state)
{
    (void)state;
    static const char *const owned[] = {
        "--host",
        "--port",
        "-a",
        "--api-key",
        "--api-key-file",
        "--ssl-key-file",
        "--ssl-cert-file",
        "--models-dir",
        "--models-preset",
        "--models-max",
        "--no-models-autoload",
    };
    static const char *const passed_on[] = {"-c", "--no-host", "--timeout", "--lora"};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++)
        assert_int_equal(opt(owned[i])->class, ENGINE_OPTION_ROUTERS);
    for (size_t i = 0; i < sizeof passed_on / sizeof passed_on[0]; i++)
        assert_int_equal(opt(passed_on[i])->class, ENGINE_OPTION_TUNES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_and_replace),
        cmocka_unit_test(negations),
        cmocka_unit_test(accumulating),
        cmocka_unit_test(merge),
        cmocka_unit_test(two_values),
        cmocka_unit_test(many),
        cmocka_unit_test(classes),
        cmocka_unit_test(texts),
        cmocka_unit_test(texts_of_switches),
        cmocka_unit_test(texts_refused),
        cmocka_unit_test(unset),
        cmocka_unit_test(sorted),
        cmocka_unit_test(a_set_in_its_place),
        cmocka_unit_test(as_ini),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
