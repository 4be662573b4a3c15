/* SPDX-License-Identifier: MIT */
/* The table of placements.h by the arithmetic alone; tests/integration/test_placements.py has the daemon do them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../../placements.h"
#include "engine/llama/estimate.h"
#include "engine/llama/help.h"
#include "engine/llama/llama.h"
#include "help_test.h"

#define MIB ((uint64_t)1 << 20)

static struct memory_figures machine;

/* --- cards, as tests/fake_nvml.c makes them */

static struct memory_device *add_device(const char *name, uint64_t mib)
{
    struct memory_device *d = &machine.device[machine.n++];
    snprintf(d->name, sizeof d->name, "%s", name);
    d->total = d->available = mib * MIB;
    return d;
}

static struct card *add_card(const char *product, const char *uuid, uint64_t mib)
{
    struct card card = {.total = mib * MIB, .device = (uint8_t)machine.n};
    snprintf(card.product, sizeof card.product, "%s", product);
    snprintf(card.uuid, sizeof card.uuid, "%s-0000-0000-0000-000000000000", uuid);
    snprintf(card.pci, sizeof card.pci, "0000:%02x:00.0", (unsigned)machine.n);
    return card_list_add(&machine.cards, &card);
}

static void add_whole(unsigned number, const char *product, uint64_t mib, uint64_t free_mib)
{
    char name[16], uuid[16];
    snprintf(name, sizeof name, "gpu%u", number);
    snprintf(uuid, sizeof uuid, "GPU-%08x", number + 1);
    add_card(product, uuid, mib);
    add_device(name, mib)->available = free_mib * MIB;
}

static void add_partitioned(void)
{
    struct card whole = *add_card("NVIDIA A", "GPU-00000001", 0);
    machine.cards.card[0].partitioned = true;
    for (unsigned i = 0; i < 2; i++) {
        struct card card = whole;
        card.instance = true;
        card.device = (uint8_t)machine.n;
        snprintf(card.uuid, sizeof card.uuid, "MIG-00000001-0000-0000-0000-%012x", i);
        card_list_add(&machine.cards, &card);
        add_device(i ? "gpu0.1" : "gpu0.0", 20480);
    }
}

static void set_cards(const char *name)
{
    static const char *const alike[] = {"", "one", "two", "", "four", "", "", "", "eight"};
    machine = (struct memory_figures){0};
    add_device("host", 65536);
    for (unsigned n = 0; n < sizeof alike / sizeof *alike; n++)
        for (unsigned i = 0; *alike[n] && strcmp(name, alike[n]) == 0 && i < n; i++)
            add_whole(i, "NVIDIA A", 24576, 24576);
    if (strcmp(name, "mixed") == 0) {
        add_whole(0, "NVIDIA A", 24576, 24576);
        add_whole(1, "NVIDIA B", 49152, 49152);
    } else if (strcmp(name, "uneven") == 0) {
        add_whole(0, "NVIDIA A", 24576, 6144);
        add_whole(1, "NVIDIA A", 24576, 18432);
    } else if (strcmp(name, "small") == 0) {
        add_whole(0, "NVIDIA A", 2048, 2048);
    } else if (strcmp(name, "mig") == 0) {
        add_partitioned();
        add_whole(1, "NVIDIA B", 24576, 24576);
    }
    assert_true(machine.n > 1);
}

/* --- models */

static struct engine_figures blocks(uint32_t n, uint64_t mib, uint64_t ends)
{
    return (struct engine_figures){.file_bytes = (n * mib + 2 * ends) * MIB,
                                   .has_header = true,
                                   .context_length = 4096,
                                   .embedding_length = 256,
                                   .block_count = n,
                                   .head_count = 8,
                                   .head_count_kv = 2,
                                   .vocab_size = 1024,
                                   .architecture = "llama",
                                   .input_bytes = ends * MIB,
                                   .output_bytes = ends * MIB,
                                   .block_bytes = n * mib * MIB,
                                   .block_most = mib * MIB};
}

static void set_model(struct engine_question *q, const char *name)
{
    struct engine_figures *f = &q->figures;
    *f = blocks(8, 64, 32);
    if (strcmp(name, "moe") == 0)
        f->expert_bytes = 8 * 48 * MIB;
    else if (strcmp(name, "eyes") == 0)
        f->projector_bytes = 100 * MIB;
    else if (strcmp(name, "draft") == 0)
        q->draft = blocks(2, 16, 8);
    else if (strcmp(name, "tied") == 0) {
        f->output_bytes = 0;
        f->file_bytes -= f->input_bytes;
    } else if (strcmp(name, "window") == 0) {
        f->sliding_window = 512;
        f->swa_period = 4;
    } else if (strcmp(name, "hybrid") == 0) {
        f->head_count_kv_sum = 4;
        f->head_count_kv_layers = 2;
        f->ssm_conv_kernel = 4;
        f->ssm_inner_size = 4096;
        f->ssm_state_size = 128;
        f->ssm_group_count = 1;
    }
}

/* --- lines */

static void set_args(struct engine_args *args, const struct engine_options *options,
                     const char *text)
{
    struct strv words = {0};
    strv_split(&words, text, ' ');
    for (size_t i = 0; i < words.n; i++) {
        bool negated;
        const struct engine_option *o = engine_options_find(options, words.v[i], &negated);
        if (!o)
            fail_msg("the help of the test has no %s", words.v[i]);
        engine_args_set(args, o, negated, o->takes_value ? words.v[++i] : NULL, ARGS_FROM_SECTION);
    }
    strv_finish(&words);
}

static const char *text_of(const struct engine_estimate *e)
{
    static char text[256];
    size_t len =
        (size_t)snprintf(text, sizeof text, "host %llu", (unsigned long long)(e->bytes[0] / MIB));
    if (e->mapped)
        len += (size_t)snprintf(text + len, sizeof text - len, " mapped %llu",
                                (unsigned long long)(e->mapped / MIB));
    for (size_t d = 1; d < machine.n; d++)
        if (e->bytes[d])
            len +=
                (size_t)snprintf(text + len, sizeof text - len, " %s %llu", machine.device[d].name,
                                 (unsigned long long)(e->bytes[d] / MIB));
    snprintf(text + len, sizeof text - len, "%s%s", e->undecided ? " ?" : "",
             e->guessed ? " ~" : "");
    return text;
}

static void check(const struct placement *p, const struct engine_options *options, unsigned *wrong)
{
    struct engine_args args = {0};
    struct strv env = {0};
    struct engine_estimate e;
    struct engine_question q = {.args = &args, .env = &env, .machine = &machine};
    set_cards(p->cards);
    set_model(&q, p->model);
    set_args(&args, options, p->args);
    if (q.draft.file_bytes)
        set_args(&args, options, "--model-draft draft.gguf");
    if (*p->env)
        strv_add(&env, p->env);
    llama_kind.estimate(&e, &q);
    if (strcmp(text_of(&e), p->expected) != 0) {
        print_error("%s | %s | %s | %s\n    is %s\n    not %s\n", p->cards, p->env, p->args,
                    p->model, text_of(&e), p->expected);
        ++*wrong;
    }
    engine_args_finish(&args);
    strv_finish(&env);
}

static void all_lines(void **state)
{
    static const char *const variables[] = {"CUDA_DEVICE_ORDER",       "CUDA_VISIBLE_DEVICES",
                                            "HIP_VISIBLE_DEVICES",     "ROCR_VISIBLE_DEVICES",
                                            "GGML_VK_VISIBLE_DEVICES", "ONEAPI_DEVICE_SELECTOR"};
    struct engine_options *options;
    struct error err;
    unsigned wrong = 0;
    (void)state;
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
    if (llama_help_parse(&options, smol_help, "--model", &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < sizeof placements / sizeof *placements; i++)
        check(&placements[i], options, &wrong);
    engine_options_destroy(options);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_lines)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
