/* SPDX-License-Identifier: MIT */
/* A shell script stands for llama-fit-params: it says how much context it was asked for, and notes
 * that it ran. */
#include "../http/loop_test.h"

#include "../catalog/tree.h"
#include "base/memory.h"
#include "engine/llama/help.h"
#include "server/fitter.h"

#define OPTIONS                                                                                    \
    "-c,    --ctx-size N                     size of the prompt context (default: 0)\n"            \
    "-m,    --model FNAME                    model path to load\n"                                 \
    "--fit-print [on|off]                    print the estimate\n"

static const char program[] = "#!/bin/sh\n"
                              "[ \"$1\" = --help ] && { cat <<'END'\n" OPTIONS "END\nexit; }\n"
                              "echo run $2 >>\"${0%/*}/runs\"\n"
                              "[ \"$2\" = 13 ] && { echo unlucky >&2; exit 1; }\n"
                              "echo \"Host 1 $2 3\"\n";

static struct tree t;
static struct loop_test l;
static struct fitter *fitter;
static struct engine_program engine;

/* One who asks; told when the answer is there. */
struct asker {
    unsigned told;
    uint64_t context; /* MiB; 0: no answer */
    char why[200];
    struct asker *forgets; /* while it is told */
    bool closes;
};

static int set_up(void **state)
{
    struct error err;
    (void)state;
    tree_create(&t);
    loop_test_init(&l);
    tree_put(&t, "llama-fit-params", program, sizeof program - 1);
    assert_int_equal(chmod(tree_path(&t, "llama-fit-params"), 0700), 0);
    assert_int_equal(llama_help_parse(&engine.options, OPTIONS, "--model", &err), 0);
    assert_int_equal(setenv("PATH", "/usr/bin:/bin", 1), 0);
    engine.kind = engine_kind_default();
    engine.path = mem_strdup(tree_path(&t, "llama-server"));
    fitter = fitter_create(&l.loop);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (fitter)
        fitter_close(fitter);
    fitter = NULL;
    loop_test_finish(&l);
    engine_options_destroy(engine.options);
    free(engine.path);
    tree_remove(&t);
    return 0;
}

static void note(const struct engine_estimate *result, const char *why, void *ctx)
{
    struct asker *a = ctx;
    a->told++;
    a->context = result ? (result->bytes[0] >> 20) - 96 - 3 : 0; /* without process and compute */
    snprintf(a->why, sizeof a->why, "%s", why ? why : "");
    if (a->forgets)
        fitter_cancel(fitter, a->forgets);
    if (a->closes)
        fitter_close(fitter);
    if (a->closes)
        fitter = NULL;
}

/* What it is given is the asker's only until then. */
static void ask_for(struct asker *a, const char *context)
{
    struct engine_args args = {0};
    struct strv env = {0};
    engine_args_set(&args, engine_options_find(engine.options, "-c", NULL), false, context,
                    ARGS_FROM_COMMAND_LINE);
    const struct engine_question q = {.args = &args, .env = &env};
    fitter_ask(fitter, &engine, &q, FITTER_LATER, note, a);
    engine_args_finish(&args);
}

static void assert_runs(const char *wanted)
{
    char runs[256] = "";
    FILE *f = fopen(tree_path(&t, "runs"), "re");
    size_t n = f ? fread(runs, 1, sizeof runs - 1, f) : 0;
    if (f)
        fclose(f);
    runs[n] = '\0';
    assert_string_equal(runs, wanted);
}

static void one_after_the_other(void **state)
{
    struct asker a = {0}, b = {0}, c = {0};
    (void)state;
    ask_for(&a, "1");
    ask_for(&b, "13");
    ask_for(&c, "3");
    assert_int_equal(a.told + b.told + c.told, 0);
    UNTIL(&l, c.told);
    assert_int_equal(a.told + b.told + c.told, 3);
    assert_int_equal(a.context, 1);
    assert_int_equal(b.context, 0);
    assert_non_null(strstr(b.why, "llama-fit-params failed: unlucky"));
    assert_int_equal(c.context, 3);
    assert_string_equal(c.why, "");
    assert_runs("run 1\nrun 13\nrun 3\n");
    ask_for(&a, "4");
    UNTIL(&l, a.told == 2);
    assert_int_equal(a.context, 4);
}

/* Who asks and goes away leaves no work behind. */
static void some_are_forgotten(void **state)
{
    struct asker b = {0}, c = {0}, a = {.forgets = &b};
    (void)state;
    ask_for(&a, "1");
    ask_for(&b, "2");
    ask_for(&c, "3");
    ask_for(&b, "4");
    UNTIL(&l, c.told);
    UNTIL(&l, !uv_loop_alive(&l.loop));
    assert_int_equal(a.told + c.told, 2);
    assert_int_equal(b.told, 0);
    assert_runs("run 1\nrun 3\n");
    ask_for(&b, "5"); /* what is asked later counts */
    UNTIL(&l, b.told);
    assert_int_equal(b.context, 5);
    ask_for(&b, "6");
    fitter_cancel(fitter, &b); /* it is being done */
    UNTIL(&l, !uv_loop_alive(&l.loop));
    assert_int_equal(b.told, 1);
}

static void nobody_is_told_behind_the_end(void **state)
{
    struct asker a = {0}, b = {0};
    (void)state;
    ask_for(&a, "1");
    ask_for(&b, "2");
    fitter_close(fitter);
    fitter = NULL;
    UNTIL(&l, !uv_loop_alive(&l.loop));
    assert_int_equal(a.told + b.told, 0);
    assert_runs("run 1\n");
}

static void the_end_comes_while_one_is_told(void **state)
{
    struct asker a = {.closes = true}, b = {0};
    (void)state;
    ask_for(&a, "1");
    ask_for(&b, "2");
    UNTIL(&l, !uv_loop_alive(&l.loop));
    assert_int_equal(a.told, 1);
    assert_int_equal(b.told, 0);
}

static void there_is_no_program(void **state)
{
    struct asker a = {0}, b = {0};
    (void)state;
    tree_delete(&t, "llama-fit-params");
    assert_int_equal(setenv("PATH", "/nonexistent", 1), 0);
    ask_for(&a, "1");
    ask_for(&b, "2");
    UNTIL(&l, b.told);
    assert_int_equal(a.told, 1);
    assert_int_equal(a.context + b.context, 0);
    assert_non_null(strstr(a.why, "there is no llama-fit-params beside"));
    assert_non_null(strstr(b.why, "there is no llama-fit-params beside"));
}

#define FITTER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FITTER_TEST(one_after_the_other),           FITTER_TEST(some_are_forgotten),
        FITTER_TEST(nobody_is_told_behind_the_end), FITTER_TEST(the_end_comes_while_one_is_told),
        FITTER_TEST(there_is_no_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
