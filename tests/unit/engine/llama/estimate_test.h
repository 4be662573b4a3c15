/* SPDX-License-Identifier: MIT */
/* The figures of SmolLM2 135M, and engine arguments for it. */
#ifndef HOSTLER_TESTS_ESTIMATE_TEST_H
#define HOSTLER_TESTS_ESTIMATE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "engine/llama/estimate.h"
#include "engine/llama/help.h"
#include "engine/llama/llama.h"
#include "help_test.h"

#define MIB ((uint64_t)1 << 20)
#define SIZE (100 * MIB)

static struct engine_options *options;
static struct engine_figures figures;
static struct engine_args args;
static struct memory_figures machine;

/* The host, and cards that are alike: gpu0, gpu1, … */
static inline void set_machine(size_t devices)
{
    machine = (struct memory_figures){.n = devices, .cards.n = devices - 1};
    snprintf(machine.device[0].name, sizeof machine.device[0].name, "host");
    for (unsigned char i = 1; i < devices; i++) {
        struct card *card = &machine.cards.card[i - 1];
        struct memory_device *d = &machine.device[i];
        *card = (struct card){.product = "NVIDIA A", .total = 24576 * (uint64_t)MIB, .device = i};
        snprintf(card->pci, sizeof card->pci, "0000:%02x:00.0", i);
        snprintf(d->name, sizeof d->name, "gpu%d", i - 1);
        d->total = d->available = card->total;
    }
}

static inline void smol_set_up(void)
{
    struct error err;
    if (!options && llama_help_parse(&options, smol_help, "--model", &err))
        fail_msg("%s", err.text);
    figures = (struct engine_figures){
        .file_bytes = SIZE,
        .has_header = true,
        .context_length = 8192,
        .embedding_length = 576,
        .block_count = 30,
        .head_count = 9,
        .head_count_kv = 3,
        .vocab_size = 49152,
    };
}

static inline void smol_finish(void)
{
    engine_args_finish(&args);
    engine_options_destroy(options);
    options = NULL;
}

/* `value`: NULL for a switch. */
static inline void set_arg(const char *name, const char *value)
{
    bool negated;
    const struct engine_option *o = engine_options_find(options, name, &negated);
    assert_non_null(o);
    engine_args_set(&args, o, negated, value, ARGS_FROM_COMMAND_LINE);
}

#endif
