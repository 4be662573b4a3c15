/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include "../../catalog/tree.h"
#include "base/memory.h"
#include "engine/llama/fit.h"
#include "engine/llama/help.h"

#define MIB ((uint64_t)1 << 20)

static struct tree t;
static struct error err;
static struct fit fit;

static int set_up(void **state)
{
    (void)state;
    tree_create(&t);
    err = (struct error){0};
    return setenv("PATH", "/usr/bin:/bin", 1);
}

static int tear_down(void **state)
{
    (void)state;
    tree_remove(&t);
    return 0;
}

static void put_program(const char *name, const char *script)
{
    tree_put(&t, name, script, strlen(script));
    assert_int_equal(chmod(tree_path(&t, name), 0700), 0);
}

/* --- reading ------------------------------------------------------------------------------------ */

static void assert_device(size_t i, const char *name, uint64_t model, uint64_t context,
                          uint64_t compute)
{
    assert_true(i < fit.n);
    assert_string_equal(fit.device[i].name, name);
    assert_int_equal(fit.device[i].model, model * MIB);
    assert_int_equal(fit.device[i].context, context * MIB);
    assert_int_equal(fit.device[i].compute, compute * MIB);
}

static void a_line_a_device(void **state)
{
    (void)state;
    assert_int_equal(fit_parse(&fit, "CUDA0 4000 512 300 \nCUDA1 3000 0 1\r\nHost 92 90 106", &err),
                     0);
    assert_int_equal(fit.n, 3);
    assert_device(0, "CUDA0", 4000, 512, 300);
    assert_device(1, "CUDA1", 3000, 0, 1);
    assert_device(2, "Host", 92, 90, 106);
}

static void what_is_no_device(void **state)
{
    static const char *const lines[] = {
        "",
        "\n\n",
        "Host",
        "Host 1 2",
        "Host 1 2 3 4",
        "Host 1 2 3 MiB",
        "Host -1 2 3",
        "Host 1 2 -3",
        "Host 1.5 2 3",
        "Host 0x1 2 3",
        "Host 1099511627777 2 3",
        "Host 1 2 99999999999999999999999999",
        "a-name-of-more-than-15 1 2 3",
        "ANameOfMoreThan15 1 2 3",
        "ggml_cuda_init: found 2 devices",
    };
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (fit_parse(&fit, lines[i], &err) != -EPROTO || fit.n)
            fail_msg("'%s' is a device", lines[i]);
    assert_int_equal(fit_parse(&fit, "what is this?", &err), -EPROTO);
    assert_non_null(strstr(err.text, "llama-fit-params printed no device: what is this?"));
    /* Between other lines it is found all the same. */
    assert_int_equal(fit_parse(&fit, "hello\nHost 1 2 3\nHost 1 2\nCUDA0 4 5 6\n\nbye", &err), 0);
    assert_int_equal(fit.n, 2);
    assert_device(0, "Host", 1, 2, 3);
    assert_device(1, "CUDA0", 4, 5, 6);
}

static void bounds(void **state)
{
    struct buf text;
    (void)state;
    buf_init(&text, BUF_UNBOUNDED);
    for (int i = 0; i < FIT_DEVICES_MAX + 3; i++)
        buf_printf(&text, "CUDA%d %d 0 0\n", i, i);
    assert_int_equal(fit_parse(&fit, buf_cstr(&text), &err), 0);
    assert_int_equal(fit.n, FIT_DEVICES_MAX);
    assert_device(FIT_DEVICES_MAX - 1, "CUDA15", 15, 0, 0);
    buf_clear(&text);
    for (int i = 0; i < 1000; i++)
        buf_printf(&text, "x");
    buf_printf(&text, " 1 2 3\nHost 1099511627776 0 0");
    assert_int_equal(fit_parse(&fit, buf_cstr(&text), &err), 0);
    assert_int_equal(fit.n, 1);
    assert_device(0, "Host", (uint64_t)1 << 40, 0, 0);
    buf_finish(&text);
}

/* --- finding ------------------------------------------------------------------------------------ */

static void assert_found(const char *engine, const char *program)
{
    char wanted[PATH_MAX] = "";
    if (program)
        snprintf(wanted, sizeof wanted, "%s", tree_path(&t, program));
    char *found = fit_find(tree_path(&t, engine));
    if (program) {
        assert_non_null(found);
        assert_string_equal(found, wanted);
    } else {
        assert_null(found);
    }
    free(found);
}

static void where_it_is(void **state)
{
    (void)state;
    tree_folder(&t, "bin");
    tree_folder(&t, "build");
    tree_folder(&t, "path");
    put_program("build/llama-server", "");
    tree_link(&t, "bin/llama-server", "../build/llama-server");
    assert_found("bin/llama-server", NULL);
    char *path = mem_printf("/nonexistent:%s", tree_path(&t, "path"));
    assert_int_equal(setenv("PATH", path, 1), 0);
    free(path);
    assert_found("bin/llama-server", NULL);
    put_program("path/llama-fit-params", "");
    assert_found("bin/llama-server", "path/llama-fit-params");
    put_program("build/llama-fit-params", "");
    assert_found("build/llama-server", "build/llama-fit-params");
    assert_found("bin/llama-server", "build/llama-fit-params"); /* through the link */
    put_program("bin/llama-fit-params", "");
    assert_found("bin/llama-server", "bin/llama-fit-params");
    assert_int_equal(chmod(tree_path(&t, "bin/llama-fit-params"), 0600), 0); /* not to be run */
    assert_found("bin/llama-server", "build/llama-fit-params");
    assert_int_equal(unsetenv("PATH"), 0);
    assert_found("bin/llama-server", "build/llama-fit-params");
    assert_found("path/llama-server", "path/llama-fit-params"); /* an engine that is not there */
}

/* --- running ------------------------------------------------------------------------------------ */

#define HELP                                                                                       \
    "cat <<'END'\n"                                                                                \
    "-h,    --help, --usage                  print usage and exit\n"                               \
    "-c,    --ctx-size N                     size of the prompt context (default: 0)\n"            \
    "--mmap, --no-mmap                       map the model\n"                                      \
    "-m,    --model FNAME                    model path to load\n"                                 \
    "-fitp, --fit-print [on|off]             print the estimate\n"                                 \
    "END\n"
#define KNOWS_HELP "#!/bin/sh\nif [ \"$1\" = --help ]; then\n" HELP "exit 0; fi\n"

static struct engine_options *of_engine, *of_program;
static struct engine_args args;

static void read_engine(void)
{
    static const char help[] =
        "-h,    --help, --usage                  print usage and exit\n"
        "-c,    --ctx-size N                     size of the prompt context (default: 0)\n"
        "--mmap, --no-mmap                       map the model\n"
        "-m,    --model FNAME                    model path to load\n"
        "-a,    --alias STRING                   names of the model\n"
        "--metrics                               enable metrics\n";
    assert_int_equal(llama_help_parse(&of_engine, help, "--alias", &err), 0);
}

static void set(const char *name, const char *value)
{
    bool negated;
    const struct engine_option *o = engine_options_find(of_engine, name, &negated);
    assert_non_null(o);
    engine_args_set(&args, o, negated, value, ARGS_FROM_COMMAND_LINE);
}

static void forget(void)
{
    engine_args_finish(&args);
    engine_options_destroy(of_engine);
    engine_options_destroy(of_program);
    of_engine = of_program = NULL;
}

static int run(const char *script, const struct strv *env)
{
    put_program("llama-fit-params", script);
    char *program = mem_strdup(tree_path(&t, "llama-fit-params"));
    int rc = of_program ? 0 : fit_options(&of_program, program, &err);
    if (!rc)
        rc = fit_run(&fit, program, of_program, &args, env, &err);
    free(program);
    return rc;
}

/* What only a server has is not passed: the program would refuse it. */
static void only_the_options_it_knows(void **state)
{
    struct strv env = {0};
    char line[256] = "";
    (void)state;
    read_engine();
    set("--model", "/a b.gguf");
    set("--ctx-size", "4096");
    set("--no-mmap", NULL);
    set("--alias", "m");
    set("--metrics", NULL);
    strv_add(&env, "NAME=value");
    assert_int_equal(setenv("SECRET", "s", 1), 0);
    assert_int_equal(run(KNOWS_HELP "cd \"${0%/*}\"; for a; do printf '%s|' \"$a\"; done >args\n"
                                    "echo \"$NAME,$SECRET\" >env; echo Host 1 2 3\n",
                         &env),
                     0);
    assert_device(0, "Host", 1, 2, 3);
    FILE *f = fopen(tree_path(&t, "args"), "re");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    fclose(f);
    assert_string_equal(line, "--model|/a b.gguf|--ctx-size|4096|--no-mmap|--fit-print|on|");
    f = fopen(tree_path(&t, "env"), "re");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    fclose(f);
    assert_string_equal(line, "value,\n"); /* of ours an engine gets no secret */
    strv_finish(&env);
    forget();
}

static void it_fails(void **state)
{
    (void)state;
    read_engine();
    /* As llama.cpp's programs log: what they do comes before what went wrong. */
    assert_int_equal(run(KNOWS_HELP
                         "echo '0.00.019.970 I main: printing estimated memory in MiB' >&2\n"
                         "echo '0.00.022.566 E gguf: failed to open X' >&2\n"
                         "echo '0.00.022.755 E load: failed to load model' >&2; exit 1",
                         NULL),
                     -EPROTO);
    assert_non_null(strstr(err.text, "llama-fit-params failed: gguf: failed to open X"));
    assert_null(strchr(err.text, '\n'));
    assert_int_equal(run("#!/bin/sh\necho sorry >&2; kill -ABRT $$", NULL), -EPROTO);
    assert_non_null(strstr(err.text, "llama-fit-params failed: sorry"));
    assert_int_equal(run("#!/bin/sh\nexit 3", NULL), -EPROTO);
    assert_non_null(strstr(err.text, "exit code 3"));
    assert_int_equal(run("#!/bin/sh\necho hello", NULL), -EPROTO);
    assert_non_null(strstr(err.text, "printed no device: hello"));
    assert_int_equal(run("#!/nonexistent", NULL), -ENOENT);
    forget();
}

static void its_help_is_not_llama_cpps(void **state)
{
    (void)state;
    read_engine();
    assert_int_equal(run("#!/bin/sh\necho 'usage: -m, --model FNAME'", NULL), -EPROTO);
    assert_null(of_program);
    assert_int_equal(run("#!/bin/sh\necho no >&2; exit 1", NULL), -EPROTO);
    assert_non_null(strstr(err.text, "failed: no"));
    forget();
}

#define FIT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIT_TEST(a_line_a_device),
        FIT_TEST(what_is_no_device),
        FIT_TEST(bounds),
        FIT_TEST(where_it_is),
        FIT_TEST(only_the_options_it_knows),
        FIT_TEST(it_fails),
        FIT_TEST(its_help_is_not_llama_cpps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
