/* SPDX-License-Identifier: MIT */
/* A model with the header of SmolLM2 135M, and engine arguments for it. */
#ifndef HOSTLER_TESTS_FOOTPRINT_TEST_H
#define HOSTLER_TESTS_FOOTPRINT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/llama/help.h"
#include "server/config.h"
#include "server/footprint.h"
#include "../engine/llama/help_test.h"

#define MIB ((uint64_t)1 << 20)
#define SIZE (100 * MIB)

static char id[] = "m", path[] = "/m.gguf";
static struct config c;
static struct catalog_model model;
static struct engine_args args;

static inline void smol_set_up(void)
{
    struct error err;
    c.engine.kind = engine_kind_default();
    if (!c.engine.options && llama_help_parse(&c.engine.options, smol_help, "--model", &err))
        fail_msg("%s", err.text);
    model = (struct catalog_model){
        .id = id,
        .path = path,
        .size = SIZE,
        .header = MODEL_HEADER_READ,
        .info = {.context_length = 8192,
                 .embedding_length = 576,
                 .block_count = 30,
                 .head_count = 9,
                 .head_count_kv = 3,
                 .vocab_size = 49152},
    };
}

static inline void smol_finish(void)
{
    engine_args_finish(&args);
    engine_options_destroy(c.engine.options);
    c.engine.options = NULL;
}

/* `value`: NULL for a switch. */
static inline void set_arg(const char *name, const char *value)
{
    bool negated;
    const struct engine_option *o = engine_options_find(c.engine.options, name, &negated);
    assert_non_null(o);
    engine_args_set(&args, o, negated, value, ARGS_FROM_COMMAND_LINE);
}

#endif
