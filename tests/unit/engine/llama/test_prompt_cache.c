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
    "                                        (env: LLAMA_ARG_CACHE_RAM)\n"
    "-ctk,  --cache-type-k TYPE\n"
    "-ctv,  --cache-type-v TYPE\n"
    "-c,    --ctx-size N\n"
    "-np,   --parallel N\n"
    "--swa-full\n"
    "-ctxcp, --ctx-checkpoints, --swa-checkpoints N\n"
    "                                        max number of context checkpoints (default: 32)\n"
    "                                        (env: LLAMA_ARG_CTX_CHECKPOINTS)\n";

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

/* --- checkpoints */

/* Gemma 3 270M: 15 of 18 layers have a window. A checkpoint of a prompt of 1,980 tokens had 7.506 MiB by the server's log. */
static const struct engine_figures gemma = {.has_header = true,
                                            .architecture = "gemma3",
                                            .context_length = 32768,
                                            .embedding_length = 640,
                                            .block_count = 18,
                                            .head_count = 4,
                                            .head_count_kv = 1,
                                            .key_length = 256,
                                            .value_length = 256,
                                            .sliding_window = 512};
#define CHECKPOINT (512 * (15 * 1024 + 16)) /* 7.508 MiB */

static uint64_t checkpoints(const struct engine_figures *f, const struct engine_options *of_program)
{
    const struct engine_question q = {
        .figures = *f, .args = &args, .env = &env, .options = of_program};
    return llama_checkpoints_most(&q);
}

static void checkpoints_of_windows(void **state)
{
    (void)state;
    assert_int_equal(checkpoints(&gemma, options), 4 * 32 * CHECKPOINT);
    assert_int_equal(checkpoints(&gemma, old_options), 0);
    strv_add(&env, "LLAMA_ARG_CTX_CHECKPOINTS=5");
    assert_int_equal(checkpoints(&gemma, options), 4 * 5 * CHECKPOINT);
    set_arg("--ctx-checkpoints", "7");
    set_arg("--parallel", "2");
    assert_int_equal(checkpoints(&gemma, options), 2 * 7 * CHECKPOINT);
    set_arg("--ctx-size", "592"); /* 296 tokens for each slot: 4.340 MiB by the log */
    assert_int_equal(checkpoints(&gemma, options), 2 * 7 * CHECKPOINT / 512 * 296);
    set_arg("--cache-type-k", "q8_0");
    set_arg("--cache-type-v", "q8_0");
    assert_int_equal(checkpoints(&gemma, options), 2 * 7 * 296 * (15 * 544 + 16));
    set_arg("--ctx-checkpoints", "0");
    assert_int_equal(checkpoints(&gemma, options), 0);
}

static void none_where_tokens_can_be_forgotten(void **state)
{
    struct engine_figures plain = gemma;
    (void)state;
    plain.sliding_window = 0;
    assert_int_equal(checkpoints(&plain, options), 0);
    set_arg("--embedding", NULL);
    assert_int_equal(checkpoints(&gemma, options), 0);
    engine_args_finish(&args);
    set_arg("--swa-full", NULL);
    assert_int_equal(checkpoints(&gemma, options), 0);
}

static void checkpoints_of_states(void **state)
{
    struct engine_figures hybrid = gemma;
    (void)state;
    hybrid.sliding_window = 0;
    hybrid.ssm_conv_kernel = 4;
    hybrid.ssm_inner_size = 1024;
    hybrid.ssm_state_size = 16;
    hybrid.head_count_kv_sum = 6;
    hybrid.head_count_kv_layers = 6;
    assert_int_equal(checkpoints(&hybrid, options),
                     (uint64_t)4 * 32 * 12 * (3 * 1024 + 16 * 1024) * 4);
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

static void compose_share(const struct engine_figures *figures, uint64_t share, const char *first,
                          const char *second)
{
    const struct engine_program program = {.options = options};
    const struct engine_setup setup = {
        .program = &program, .section = &args, .env = &env, .growth = &share, .figures = figures};
    struct engine_launch out = {.program = &program};
    llama_compose(&out, &setup);
    assert_int_equal(out.env.n, second ? 2 : 1);
    assert_string_equal(out.env.v[0], first);
    if (second)
        assert_string_equal(out.env.v[1], second);
    engine_args_finish(&out.args);
    strv_finish(&out.argv);
    strv_finish(&out.env);
}

/* 30.03 MiB for one of each of 4 slots. */
static void a_share_for_checkpoints_and_cache(void **state)
{
    static const struct engine_figures unread;
    (void)state;
    compose_share(&gemma, 512 * MIB, "LLAMA_ARG_CTX_CHECKPOINTS=8", "LLAMA_ARG_CACHE_RAM=271");
    compose_share(&gemma, 128 * MIB, "LLAMA_ARG_CTX_CHECKPOINTS=3", "LLAMA_ARG_CACHE_RAM=64");
    compose_share(&gemma, 3840 * MIB, "LLAMA_ARG_CACHE_RAM=2879",
                  NULL); /* 32 of each come to 961 */
    compose_share(&unread, 512 * MIB, "LLAMA_ARG_CACHE_RAM=512", NULL);
    set_arg("--ctx-checkpoints", "32");
    compose_share(&gemma, 512 * MIB, "LLAMA_ARG_CACHE_RAM=256", NULL);
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
        CASE(checkpoints_of_windows),
        CASE(none_where_tokens_can_be_forgotten),
        CASE(checkpoints_of_states),
        CASE(a_share_where_nobody_set_it),
        CASE(a_share_for_checkpoints_and_cache),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
