/* SPDX-License-Identifier: MIT */
/*
 * The parser on a help text of our own in llama-server's layout, and on the real one when
 * LLAMA_SERVER names a binary.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/llama/help.h"

#define INDENT "                                        "

static const char help[] =
    "----- general -----\n"
    "\n"
    "-h,    --help, --usage                  say this and end\n"
    "-m,    --model FNAME                    the file with the weights\n" INDENT
    "(env: LLAMA_ARG_MODEL)\n"
    "-c,    --ctx-size N                     room for tokens (default: 0)\n" INDENT
    "--not-an-option in a description\n" INDENT "(env: LLAMA_ARG_CTX_SIZE)\n"
    "--port PORT                             where to listen\n" INDENT "(env: LLAMA_ARG_PORT)\n"
    "-fa,   --flash-attn [on|off|auto]       faster (see (env: OTHER_NAME) below)\n" INDENT
    "(env: LLAMA_ARG_FLASH_ATTN)\n"
    "--mmap, --no-mmap                       map the file\n" INDENT "(env: LLAMA_ARG_MMAP)\n"
    "-kvo,  --kv-offload, -nkvo, --no-kv-offload\n" INDENT "where the cache lives\n" INDENT
    "(env: LLAMA_ARG_KV_OFFLOAD)\n"
    "--repack, -nr, --no-repack              lay weights out anew\n"
    "-ag,   --agent, -no-ag, --no-agent      let it act\n"
    "--gui, --webgui, --no-gui, --no-webgui  pages; this line has its text right behind two "
    "blanks\n"
    "--auto-proj, --no-proj, --no-auto-proj  find the projector\n"
    "--no-host                               a switch of its own, negating nothing\n" INDENT
    "(env: LLAMA_ARG_NO_HOST)\n"
    "-cmoe, --cpu-moe                        experts stay here\n"
    "-ncmoe, --n-cpu-moe N                   the first N of them\n"
    "--draft-cpu-moe, -ncmd, --cpu-moe-d     a switch with a short form between\n"
    "-ot,   --override-tensor <tensor name>=<buffer type>,...\n" INDENT "where a tensor lives\n"
    "--layer-range START END                 from and to\n"
    "-r\n" INDENT "has no long name\n"
    "-x,\n"
    "--env-odd                               nothing here (env: lower) (env: )\n" INDENT
    "(env: UNCLOSED\n"
    "\n\n----- the end -----\n"
    "--last N";

static struct engine_options *parse(const char *text)
{
    struct engine_options *o = NULL;
    struct error err = {0};
    assert_int_equal(llama_help_parse(&o, text, "--port", &err), 0);
    return o;
}

static const struct engine_option *must_find(const struct engine_options *o, const char *name)
{
    bool negated = true;
    const struct engine_option *option = engine_options_find(o, name, &negated);
    if (!option)
        fail_msg("%s is not known", name);
    assert_false(negated);
    return option;
}

static void assert_names(const struct strv *names, const char *list)
{
    struct strv wanted = {0};
    strv_split(&wanted, list, ' ');
    assert_true(strv_equal(names, &wanted));
    strv_finish(&wanted);
}

static void every_option(void **state)
{
    (void)state;
    static const struct {
        const char *canonical, *names, *negations, *value, *env;
    } wanted[] = {
        {"--usage", "-h --help --usage", "", NULL, NULL},
        {"--model", "-m --model", "", "FNAME", "LLAMA_ARG_MODEL"},
        {"--ctx-size", "-c --ctx-size", "", "N", "LLAMA_ARG_CTX_SIZE"},
        {"--port", "--port", "", "PORT", "LLAMA_ARG_PORT"},
        {"--flash-attn", "-fa --flash-attn", "", "[on|off|auto]", "LLAMA_ARG_FLASH_ATTN"},
        {"--mmap", "--mmap", "--no-mmap", NULL, "LLAMA_ARG_MMAP"},
        {"--kv-offload", "-kvo --kv-offload", "-nkvo --no-kv-offload", NULL,
         "LLAMA_ARG_KV_OFFLOAD"},
        {"--repack", "--repack", "-nr --no-repack", NULL, NULL},
        {"--agent", "-ag --agent", "-no-ag --no-agent", NULL, NULL},
        {"--webgui", "--gui --webgui", "--no-gui --no-webgui", NULL, NULL},
        {"--auto-proj", "--auto-proj", "--no-proj --no-auto-proj", NULL, NULL},
        {"--no-host", "--no-host", "", NULL, "LLAMA_ARG_NO_HOST"},
        {"--cpu-moe", "-cmoe --cpu-moe", "", NULL, NULL},
        {"--n-cpu-moe", "-ncmoe --n-cpu-moe", "", "N", NULL},
        {"--cpu-moe-d", "--draft-cpu-moe -ncmd --cpu-moe-d", "", NULL, NULL},
        {"--override-tensor", "-ot --override-tensor", "", "<tensor name>=<buffer type>,...", NULL},
        {"--layer-range", "--layer-range", "", "START END", NULL},
        {"-r", "-r", "", NULL, NULL},
        {"-x", "-x", "", NULL, NULL},
        {"--env-odd", "--env-odd", "", NULL, NULL},
        {"--last", "--last", "", "N", NULL},
    };
    struct engine_options *o = parse(help);
    assert_int_equal(engine_options_count(o), sizeof wanted / sizeof wanted[0]);
    for (size_t i = 0; i < engine_options_count(o); i++) {
        const struct engine_option *option = engine_options_at(o, i);
        assert_string_equal(option->canonical, wanted[i].canonical);
        assert_names(&option->names, wanted[i].names);
        assert_names(&option->negations, wanted[i].negations);
        assert_int_equal(option->takes_value, wanted[i].value != NULL);
        assert_int_equal(option->two_values, i == 16);
        assert_string_equal(option->value ? option->value : "",
                            wanted[i].value ? wanted[i].value : "");
        assert_string_equal(option->env ? option->env : "", wanted[i].env ? wanted[i].env : "");
    }
    assert_null(engine_options_at(o, engine_options_count(o)));
    assert_string_equal(engine_options_version(o), "");
    engine_options_destroy(o);
}

static void find(void **state)
{
    (void)state;
    struct engine_options *o = parse(help);
    bool negated;
    assert_ptr_equal(must_find(o, "-c"), must_find(o, "--ctx-size"));
    assert_ptr_equal(must_find(o, "--ctx_size"), must_find(o, "--ctx-size"));
    assert_ptr_equal(engine_options_find(o, "-nkvo", &negated), must_find(o, "-kvo"));
    assert_true(negated);
    assert_ptr_equal(engine_options_find(o, "--no_mmap", &negated), must_find(o, "--mmap"));
    assert_true(negated);
    assert_non_null(engine_options_find(o, "--no-host", &negated));
    assert_false(negated);
    static const char *const unknown[] = {"ctx-size", "--ctx", "--ctx-size2", "-C",
                                          "--nope",   "",      "-",           "--not-an-option"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        assert_null(engine_options_find(o, unknown[i], NULL));
    assert_ptr_equal(engine_options_find_env(o, "LLAMA_ARG_CTX_SIZE"), must_find(o, "-c"));
    assert_null(engine_options_find_env(o, "OTHER_NAME"));
    engine_options_destroy(o);
}

static void not_a_help(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "hello\n", "--model\n--port PORT\n", "-m, --model FNAME\n", "-", "--", "---", "- -,",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct engine_options *o;
        struct error err = {0};
        assert_int_equal(llama_help_parse(&o, texts[i], "--port", &err), -EPROTO);
        assert_true(err.text[0]);
    }
    engine_options_destroy(NULL);
}

/* --- binaries ---------------------------------------------------------------------------- */
/* Writes an executable script into a folder of its own. */
static void write_script(char path[64], const char *body)
{
    char folder[] = "/tmp/hostler-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    snprintf(path, 64, "%s/engine", folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "#!/bin/sh\n%s\n", body);
    fclose(f);
    assert_int_equal(chmod(path, 0700), 0);
}

static void remove_script(char *path)
{
    unlink(path);
    *strrchr(path, '/') = '\0';
    rmdir(path);
}

static int load_script(const char *body, struct engine_options **o, struct error *err)
{
    char path[64];
    write_script(path, body);
    int rc = llama_help_load(o, path, err);
    remove_script(path);
    return rc;
}

static void load(void **state)
{
    (void)state;
    struct engine_options *o;
    struct error err = {0};
    /* Options for the engines must not reach the question. */
    setenv("LLAMA_ARG_PORT", "nonsense", 1);
    setenv("LLAMA_SERVER_ROUTER_PORT", "1", 1);
    setenv("HOSTLER_TEST_KEPT", "1", 1);
    assert_int_equal(load_script("[ -z \"$LLAMA_ARG_PORT$LLAMA_SERVER_ROUTER_PORT\" ] || exit 7\n"
                                 "[ -n \"$HOSTLER_TEST_KEPT\" ] || exit 8\n"
                                 "read x && exit 9\n"
                                 "if [ $1 = --version ]; then echo noise >&2; echo version: 1 >&2\n"
                                 "else printf '%s\\n' '--model F' '--port N'; fi",
                                 &o, &err),
                     0);
    unsetenv("LLAMA_ARG_PORT");
    unsetenv("LLAMA_SERVER_ROUTER_PORT");
    assert_int_equal(engine_options_count(o), 2);
    assert_string_equal(engine_options_version(o), "version: 1");
    engine_options_destroy(o);
}

static void the_build_of_a_version(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"version: 4719 (ae1b2c3)", "b4719-ae1b2c3"},
        {"version: 0.7.0 (build 11669, commit ae1b2c3)", "b11669-ae1b2c3"},
        {"version: 0.7.0", ""},
        {"version: (none)", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct engine_options *o;
        struct error err = {0};
        char script[200];
        snprintf(script, sizeof script,
                 "[ $1 = --help ] || { echo '%s'; exit 0; }\n"
                 "printf '%%s\\n' '--model F' '--port N'",
                 cases[i][0]);
        assert_int_equal(load_script(script, &o, &err), 0);
        assert_string_equal(engine_options_build(o), cases[i][1]);
        engine_options_destroy(o);
    }
}

static void load_without_version(void **state)
{
    (void)state;
    struct engine_options *o;
    struct error err = {0};
    assert_int_equal(
        load_script("[ $1 = --help ] || exit 3\nprintf '%s\\n' '--model F' '--port N'", &o, &err),
        0);
    assert_string_equal(engine_options_version(o), "");
    engine_options_destroy(o);
}

static void load_fails(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *text;
    } cases[] = {
        {"echo hello", "no llama-server"},
        {"echo first >&2; echo the reason >&2; exit 3", "exit code 3: the reason"},
        {"kill -SEGV $$", "signal 11"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct engine_options *o;
        struct error err = {0};
        assert_int_equal(load_script(cases[i].body, &o, &err), -EPROTO);
        if (!strstr(err.text, cases[i].text))
            fail_msg("%s", err.text);
    }
}

static void load_nothing(void **state)
{
    (void)state;
    struct engine_options *o;
    struct error err = {0};
    assert_int_equal(llama_help_load(&o, "/nonexistent/llama-server", &err), -ENOENT);
    assert_non_null(strstr(err.text, "--engine PATH"));
    assert_int_equal(llama_help_load(&o, "hostler-no-such-engine", &err), -ENOENT);
    assert_non_null(strstr(err.text, "not on PATH"));
    assert_int_equal(llama_help_load(&o, "/etc/passwd", &err), -EACCES);
}

/* --- the real one ------------------------------------------------------------------------ */
/* A switch that the table does not know is classed by what --help says of it, wherever its lines break. */
static void classes_of_new_switches(void **state)
{
    (void)state;
    struct engine_options *o = parse(
        "-m, --model FNAME\n--port PORT\n"
        "--list-features                         print what is built in and\n" INDENT "exit\n"
        "--new-model-default                     use a new model (note: can download\n" INDENT
        "weights from the internet)\n"
        "--runtime OPTION                        clean up and exit\n"
        "--embd-gemma-default                    use it\n"
        "--port-less                             nothing of the kind, and\n" INDENT "no exit\n");
    assert_int_equal(must_find(o, "--list-features")->class, ENGINE_OPTION_ENDS);
    assert_int_equal(must_find(o, "--new-model-default")->class, ENGINE_OPTION_CHOOSES);
    assert_int_equal(must_find(o, "--new-model-default")->role, ENGINE_OPTION_MODEL_SET);
    assert_int_equal(must_find(o, "--new-model-default")->port, 0);
    assert_true(must_find(o, "--new-model-default")->fetches);
    assert_int_equal(must_find(o, "--runtime")->class, ENGINE_OPTION_TUNES);
    assert_int_equal(must_find(o, "--port-less")->class, ENGINE_OPTION_TUNES);
    assert_int_equal(must_find(o, "--embd-gemma-default")->class, ENGINE_OPTION_CHOOSES);
    assert_int_equal(must_find(o, "--embd-gemma-default")->port, 8011);
    engine_options_destroy(o);
}

static void real_pairs(const struct engine_options *o)
{
    static const struct {
        const char *name, *canonical;
    } same[] = {
        {"-c", "--ctx-size"},  {"-m", "--model"},       {"-ngl", "--n-gpu-layers"},
        {"-np", "--parallel"}, {"-fa", "--flash-attn"}, {"-a", "--alias"},
    };
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        assert_string_equal(must_find(o, same[i].name)->canonical, same[i].canonical);
        assert_true(must_find(o, same[i].name)->takes_value);
    }
    static const char *const negations[] = {"--no-warmup", "-nocb", "--no-mmproj", "-nkvo",
                                            "--no-jinja"};
    for (size_t i = 0; i < sizeof negations / sizeof negations[0]; i++) {
        bool negated = false;
        const struct engine_option *option = engine_options_find(o, negations[i], &negated);
        assert_non_null(option);
        assert_true(negated);
        assert_false(option->takes_value);
    }
    assert_ptr_equal(engine_options_find_env(o, "LLAMA_ARG_CTX_SIZE"), must_find(o, "-c"));
    assert_true(must_find(o, "--control-vector-layer-range")->two_values);
}

static void real(void **state)
{
    (void)state;
    const char *binary = getenv("LLAMA_SERVER");
    if (!binary || !*binary)
        skip();
    struct engine_options *o;
    struct error err = {0};
    if (llama_help_load(&o, binary, &err))
        fail_msg("%s", err.text);
    assert_true(engine_options_count(o) > 150);
    assert_int_equal(strncmp(engine_options_version(o), "version: ", 9), 0);
    real_pairs(o);
    /* Each name belongs to one option only, and is found. */
    for (size_t i = 0; i < engine_options_count(o); i++) {
        const struct engine_option *option = engine_options_at(o, i);
        for (size_t k = 0; k < option->names.n; k++)
            assert_ptr_equal(must_find(o, option->names.v[k]), option);
    }
    engine_options_destroy(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_option),
        cmocka_unit_test(find),
        cmocka_unit_test(classes_of_new_switches),
        cmocka_unit_test(not_a_help),
        cmocka_unit_test(load),
        cmocka_unit_test(the_build_of_a_version),
        cmocka_unit_test(load_without_version),
        cmocka_unit_test(load_fails),
        cmocka_unit_test(load_nothing),
        cmocka_unit_test(real),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
