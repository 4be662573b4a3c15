/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/llama/help.h"
#include "engine/llama/values.h"

static const char help[] = "-m,    --model FNAME                    model path to load\n"
                           "-c,    --ctx-size N                     size of the prompt context\n"
                           "                                        (env: LLAMA_ARG_CTX_SIZE)\n"
                           "--mlock                                 keep the model in RAM\n"
                           "--port PORT                             port to listen\n";

static char folder[64], engine[80];
static struct engine_options *options;
static struct engine_args args;
static struct error err;

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/hostler-values-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(engine, sizeof engine, "%s/engine", folder);
    assert_int_equal(llama_help_parse(&options, help, "--port", &err), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    engine_args_finish(&args);
    engine_options_destroy(options);
    unlink(engine);
    return rmdir(folder);
}

/* An engine that does this with its arguments. */
static void write_engine(const char *commands)
{
    FILE *f = fopen(engine, "we");
    assert_non_null(f);
    assert_true(fprintf(f, "#!/bin/sh\n%s\n", commands) > 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(engine, 0700), 0);
}

static int check(enum args_origin origin, const char *value)
{
    engine_args_finish(&args);
    engine_args_set(&args, engine_options_find(options, "-c", NULL), false, value, origin);
    err = (struct error){0};
    return llama_values_check(engine, &args, &err);
}

static void what_the_engine_says(void **state)
{
    (void)state;
    write_engine("echo 'error while handling argument \"--ctx-size\": stoi' >&2; echo; echo usage: "
                 ">&2; exit 1");
    assert_int_equal(check(ARGS_FROM_COMMAND_LINE, "abc"), -EINVAL);
    assert_string_equal(err.text,
                        "--ctx-size: the engine refuses 'abc': it is no number of its range");
    assert_int_equal(check(ARGS_FROM_ENVIRONMENT, "abc"), -EINVAL);
    assert_non_null(strstr(err.text, "environment variable LLAMA_ARG_CTX_SIZE: "));
    write_engine("echo 'error while handling argument \"--ctx-size\": error: too odd'; exit 1");
    assert_int_equal(check(ARGS_FROM_COMMAND_LINE, "3"), -EINVAL);
    assert_string_equal(err.text, "--ctx-size: the engine refuses '3': too odd");
    write_engine("echo 'error while handling argument \"half of'; exit 1");
    assert_int_equal(check(ARGS_FROM_COMMAND_LINE, "3"), -EINVAL);
    write_engine("echo 'error while handling argument \"--other\": why'; exit 1");
    assert_int_equal(check(ARGS_FROM_COMMAND_LINE, "3"), -EINVAL);
    assert_string_equal(err.text, "--other: the engine refuses '': why");
}

static void what_it_is_asked(void **state)
{
    (void)state;
    write_engine("[ \"$*\" = '--ctx-size 5 --version' ] || { echo 'error while handling argument "
                 "\"x\": y'; exit 1; }");
    assert_int_equal(check(ARGS_FROM_COMMAND_LINE, "5"), 0);
    assert_int_equal(check(ARGS_FROM_COMMAND_LINE, "6"), -EINVAL);
}

/* It may be another kind of mistake, which a load shows. */
static void what_is_no_evidence(void **state)
{
    (void)state;
    static const char *const quiet[] = {
        "exit 1", "echo 'no CUDA driver' >&2; exit 1", "kill -9 $$",
        "echo 'error while handling argument \"--ctx-size\": stoi'"};
    for (size_t i = 0; i < sizeof quiet / sizeof *quiet; i++) {
        write_engine(quiet[i]);
        assert_int_equal(check(ARGS_FROM_COMMAND_LINE, "5"), 0);
    }
    unlink(engine);
    assert_int_equal(check(ARGS_FROM_COMMAND_LINE, "5"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_engine_says),
        cmocka_unit_test(what_it_is_asked),
        cmocka_unit_test(what_is_no_evidence),
    };
    return cmocka_run_group_tests_name("engine_llama_values", tests, set_up, tear_down);
}
