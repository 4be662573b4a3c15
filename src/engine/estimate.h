/* SPDX-License-Identifier: MIT */
/*
 * How much memory an engine will take before it is started: what a kind gets to know for its estimate,
 * and what it answers. Bytes throughout.
 */
#ifndef HOSTLER_ENGINE_ESTIMATE_H
#define HOSTLER_ENGINE_ESTIMATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strv.h"
#include "engine/args.h"
#include "engine/memory.h"
#include "engine/options.h"

/* Of a model's files; 0: not known. */
struct engine_figures {
    uint64_t file_bytes;      /* of the model, all its files together */
    uint64_t projector_bytes; /* of the tensors in the projector's file */
    bool has_header;          /* the model's header was read: what follows is of it */
    uint32_t context_length;  /* tokens that the model was trained with */
    uint32_t embedding_length, block_count, head_count, head_count_kv, key_length, value_length,
        vocab_size;
    char architecture[32];
    /* The tensors that are read for each token, those of the answer, all blocks, the largest one, the blocks'
     * experts; the blocks' 0: nothing of it is known. output_bytes 0: they are the input's. */
    uint64_t input_bytes, output_bytes, block_bytes, block_most, expert_bytes;
    uint32_t head_count_kv_sum, head_count_kv_layers; /* where it differs between layers */
    uint32_t sliding_window, swa_period, swa_layers;
    bool has_pooling; /* it makes one embedding of all tokens */
    uint32_t feed_forward_length, expert_feed_forward_length, expert_used_count;
    uint32_t ssm_conv_kernel, ssm_inner_size, ssm_state_size, ssm_group_count, wkv_head_size,
        shortconv_l_cache, full_attention_interval;
};

struct engine_question {
    struct engine_figures figures, draft; /* the draft's file_bytes are 0: there is none */
    const struct engine_args *args;
    const struct strv *env;               /* its own, as for engine_start(); NULL: none */
    const struct engine_options *options; /* that the program takes; NULL: not known */
    /* Devices, and the cards that they belong to; NULL: the host alone, whose figures are not known. */
    const struct memory_figures *machine;
};

struct engine_estimate {
    uint64_t bytes[MEMORY_DEVICES_MAX]; /* of each device, without: */
    const char
        *undecided; /* why a part counts on several devices, of which one will hold it; NULL */
    bool
        guessed; /* the arguments or the header leave open where a part goes, or how large it is: it may be low */
    uint64_t mapped; /* bytes of the model's file in the host's page cache, shared by its engines */
    uint64_t
        batches; /* of bytes[0]: what large batches fill; an engine that was just loaded lacks it yet */
    uint64_t
        growth; /* host bytes that requests may add to all this in the course of time, at most */
};

typedef void engine_estimate_fn(struct engine_estimate *out, const struct engine_question *q);

/* A program of the kind's that says what a model takes, without loading it. All of it blocks: it is for
 * the thread pool, one call at a time. Errors have a text. */
struct engine_dry_run {
    /* `*tool` is for the other two. `engine`: path of the engine's program. */
    int (*open)(void **tool, const char *engine, struct error *err);
    int (*run)(void *tool, struct engine_estimate *out, const struct engine_question *q,
               struct error *err);
    void (*close)(void *tool);
};

/* An option that changes the memory, and that is safe to vary: it names no file. */
struct engine_memory_option {
    const char *name; /* without dashes */
    bool is_count;    /* its value is a number, without a unit */
};

#endif
