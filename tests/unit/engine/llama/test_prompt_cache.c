/* SPDX-License-Identifier: MIT */
/* How far an engine's cache of prompts grows, by who limits it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "engine/llama/compose.h"
#include "engine/llama/help.h"
#include "engine/llama/prompt_cache.h"

#define MIB ((uint64_t)1 << 20)
#define CONTEXT (90 * MIB) /* 4096 × 30 × 3 × 128 × 2 bytes */

static const char help[] =
    "-m,    --model FNAME\n"
    "--embedding, --embeddings               restrict to only support embedding use case\n"
    "--rerank, --reranking                   enable reranking endpoint\n"
    "-cram, --cache-ram N                    set the maximum cache size in MiB (default: 8192)\n"
    "                                        (env: LLAMA_ARG_CACHE_RAM)\n";

static struct engine_options *options, *old_options;
static struct engine_args args;
static struct strv env;

static int set_up(void **state)
{
    struct error err;
    (void)state;
    if (llama_help_parse(&options, help, "--model", &err) ||
        llama_help_parse(&old_options, "-m,    --model FNAME\n", "--model", &err))
        fail_msg("%s", err.text);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    engine_options_destroy(options);
    engine_options_destroy(old_options);
    return 0;
}

static int forget(void **state)
{
    (void)state;
    engine_args_finish(&args);
    strv_finish(&env);
    return 0;
}

static void set_arg(const char *name, const char *value)
{
    engine_args_set(&args, engine_options_find(options, name, NULL), false, value,
                    ARGS_FROM_SECTION);
}

static uint64_t most(const struct engine_options *of_program)
{
    const struct engine_question q = {.figures = {.has_header = true,
                                                  .context_length = 4096,
                                                  .embedding_length = 576,
                                                  .block_count = 30,
                                                  .head_count = 9,
                                                  .head_count_kv = 3},
                                      .args = &args,
                                      .env = &env,
                                      .options = of_program};
    return llama_prompt_cache_most(&q);
}

static void by_default_as_the_program_does(void **state)
{
    (void)state;
    assert_int_equal(most(options), 8192 * MIB);
    assert_int_equal(most(old_options), 0); /* it has no such cache */
    assert_int_equal(most(NULL), 0);
}

static void by_environment_and_argument(void **state)
{
    (void)state;
    strv_add(&env, "LLAMA_ARG_CACHE_RAM_MORE=7");
    strv_add(&env, "LLAMA_ARG_CACHE_RAM=5");
    strv_add(&env, "LLAMA_ARG_CACHE_RAM=100");
    assert_int_equal(most(options), 100 * MIB);
    set_arg("--cache-ram", "300"); /* goes before */
    assert_int_equal(most(options), 300 * MIB);
    set_arg("--cache-ram", "0");
    assert_int_equal(most(options), 0);
    set_arg("--cache-ram",
            "-1"); /* it keeps the tokens of one context, and the prompt that comes */
    assert_int_equal(most(options), 2 * CONTEXT);
}

static void what_completes_nothing_keeps_no_prompts(void **state)
{
    (void)state;
    set_arg("--embedding", NULL);
    assert_int_equal(most(options), 0);
    engine_args_finish(&args);
    set_arg("--reranking", NULL);
    assert_int_equal(most(options), 0);
}

/* --- what is composed */

static void assert_composed(const struct engine_program *program, const uint64_t *growth,
                            const char *wanted)
{
    const struct engine_setup setup = {
        .program = program, .section = &args, .env = &env, .growth = growth};
    struct engine_launch out = {.program = program};
    llama_compose(&out, &setup);
    assert_int_equal(out.env.n, wanted ? 1 : 0);
    if (wanted)
        assert_string_equal(out.env.v[0], wanted);
    for (size_t i = 0; i < out.argv.n; i++) /* clients see no argument that nobody gave */
        assert_null(strstr(out.argv.v[i], "cache-ram") && !args.n ? out.argv.v[i] : NULL);
    engine_args_finish(&out.args);
    strv_finish(&out.argv);
    strv_finish(&out.env);
}

static void a_share_where_nobody_set_it(void **state)
{
    const struct engine_program program = {.options = options}, old = {.options = old_options};
    const uint64_t share = 448 * MIB, nothing = 0;
    (void)state;
    assert_composed(&program, &share, "LLAMA_ARG_CACHE_RAM=448");
    assert_composed(&program, &nothing, "LLAMA_ARG_CACHE_RAM=0");
    assert_composed(&program, NULL, NULL);
    assert_composed(&old, &share, NULL);
    set_arg("--cache-ram", "100");
    assert_composed(&program, &share, NULL);
    engine_args_finish(&args);
    strv_add(&env, "LLAMA_ARG_CACHE_RAM=7"); /* of a preset */
    assert_composed(&program, &share, "LLAMA_ARG_CACHE_RAM=7");
}

#define CASE(name) cmocka_unit_test_teardown(name, forget)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(by_default_as_the_program_does),
        CASE(by_environment_and_argument),
        CASE(what_completes_nothing_keeps_no_prompts),
        CASE(a_share_where_nobody_set_it),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
