/* SPDX-License-Identifier: MIT */
/* Which options of llama-server leave saved prompts usable, and which may come from somebody else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "engine/llama/option_traits.h"

#define N(list) (sizeof(list) / sizeof *(list))

static bool ask(const char *name, bool (*trait)(const struct engine_option *o))
{
    struct engine_option o = {0};
    strv_add(&o.names, name);
    bool yes = trait(&o);
    strv_finish(&o.names);
    return yes;
}

static void what_touches_the_cache_counts(void **state)
{
    static const char *const counts[] = {
        "--ctx-size",
        "--parallel",
        "--kv-unified",
        "--kv-unified-per-slot",
        "--cache-type-k",
        "--cache-type-v",
        "--flash-attn",
        "--swa-full",
        "--context-shift",
        "--rope-scaling",
        "--rope-scale",
        "--rope-freq-base",
        "--rope-freq-scale",
        "--yarn-orig-ctx",
        "--yarn-ext-factor",
        "--yarn-attn-factor",
        "--yarn-beta-slow",
        "--yarn-beta-fast",
        "--lora",
        "--lora-scaled",
        "--lora-init-without-apply",
        "--control-vector",
        "--control-vector-scaled",
        "--control-vector-layer-range",
        "--gpu-layers",
        "--n-gpu-layers",
        "--split-mode",
        "--tensor-split",
        "--main-gpu",
        "--device",
        "--override-tensor",
        "--override-kv",
        "--cpu-moe",
        "--n-cpu-moe",
        "--kv-offload",
        "--op-offload",
        "--repack",
        "--no-host",
        "--rpc",
        "--batch-size",
        "--ubatch-size",
        "--fit",
        "--fit-ctx",
        "--fit-target",
        "--mmproj",
        "--image-min-tokens",
        "--image-max-tokens",
        "--spec-draft-model",
        "--model-draft",
        "--spec-type",
        "--spec-draft-device",
        "--ctx-checkpoints",
        "--pooling",
        "--unknown-of-a-later-build",
    };
    (void)state;
    for (size_t i = 0; i < N(counts); i++)
        if (ask(counts[i], option_leaves_cache_alone))
            fail_msg("%s", counts[i]);
}

static void what_does_not_touch_it_leaves_files_usable(void **state)
{
    static const char *const alone[] = {
        "--host",
        "--port",
        "--api-key",
        "--api-key-file",
        "--threads",
        "--threads-batch",
        "--threads-http",
        "--timeout",
        "--sse-ping-interval",
        "--temp",
        "--temperature",
        "--seed",
        "--samplers",
        "--n-predict",
        "--metrics",
        "--props",
        "--slots",
        "--log-file",
        "--log-jsonl",
        "--log-prompts-dir",
        "--log-verbosity",
        "--verbose",
        "--cors-origins",
        "--ui-config",
        "--webui-config",
        "--tools",
        "--alias",
        "--tags",
        "--load-mode",
        "--lazy-mode",
        "--mmap",
        "--mlock",
        "--warmup",
        "--cache-ram",
        "--chat-template",
        "--jinja",
        "--reasoning",
        "--spm-infill",
        "--escape",
        "--backend-sampling",
        "--prio",
        "--poll",
        "--cpu-mask",
        "--numa",
        "--threads-draft",
        "--sleep-idle-seconds",
        "--slot-save-path",
    };
    (void)state;
    for (size_t i = 0; i < N(alone); i++)
        if (!ask(alone[i], option_leaves_cache_alone))
            fail_msg("%s", alone[i]);
}

/* The two traits are of different kinds: none follows from the other. */
static void who_may_choose_them_is_another_question(void **state)
{
    (void)state;
    assert_true(ask("--ctx-size", option_is_harmless));
    assert_true(ask("--temp", option_is_harmless));
    assert_false(ask("--log-file", option_is_harmless));
    assert_false(ask("--api-key", option_is_harmless));
    assert_false(ask("--tools", option_is_harmless));
    assert_false(ask("--unknown-of-a-later-build", option_is_harmless));
}

/* `--no-…` without a positive name is kept as a negation or as a name. */
static void a_negation_is_the_same_option(void **state)
{
    struct engine_option o = {0};
    (void)state;
    strv_add(&o.negations, "--warmup");
    assert_true(option_leaves_cache_alone(&o));
    strv_finish(&o.negations);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_touches_the_cache_counts),
        cmocka_unit_test(what_does_not_touch_it_leaves_files_usable),
        cmocka_unit_test(who_may_choose_them_is_another_question),
        cmocka_unit_test(a_negation_is_the_same_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
