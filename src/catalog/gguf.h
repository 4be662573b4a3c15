/* SPDX-License-Identifier: MIT */
/*
 * Reads the header of a GGUF file: what a listing and a footprint estimate need, not the tokens and
 * not the weights. Format: ggml's docs/gguf.md, versions 2 and 3, little endian.
 *
 * The input is not trusted: every length is checked against the file's size and against the limits
 * below, and nothing is allocated by a length that the file only claims. Where a file is odd but
 * harmless (a key of an unexpected type, an unknown tensor type) the field counts as absent:
 * whether the model runs is the engine's to say, and it may know more than we do.
 */
#ifndef HOSTLER_CATALOG_GGUF_H
#define HOSTLER_CATALOG_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define GGUF_MAX_HEADER (256u << 20) /* bytes before the tensors; vocabularies take up to 30 MB */
#define GGUF_MAX_KEY 65535u /* bytes of a key (the format's own limit) or a tensor's name */
#define GGUF_MAX_NESTING 4  /* arrays in arrays */

/* Texts are valid UTF-8 without control characters, whatever the file holds. */
struct gguf_info {
    uint32_t version;
    char architecture[64]; /* general.architecture; empty when absent */
    char name[96];         /* general.name, cut: each model in the catalog has one of these */
    char type[32];         /* general.type: "model", "adapter", …; empty when absent */
    uint32_t file_type;    /* general.file_type (LLAMA_FTYPE_…); UINT32_MAX when absent */
    uint64_t n_params;     /* elements over all tensors of this file */
    uint64_t tensor_count;
    uint64_t tensor_bytes; /* from the tensors' types and shapes; 0 if a type is unknown */
    /* Of these bytes: what is read for each token (token_embd), what makes the answer (output; 0: the same
     * tensors as the input's), all blocks together, the largest of them, and the blocks' experts. */
    uint64_t input_bytes, output_bytes, block_bytes, block_most, expert_bytes;
    uint32_t context_length, embedding_length, block_count; /* <arch>.…; 0 when absent */
    uint32_t head_count, head_count_kv; /* the largest over the layers, when per layer */
    uint32_t head_count_kv_sum,
        head_count_kv_layers; /* over the layers, and how many have any; 0: not per layer */
    uint32_t key_length, value_length; /* <arch>.attention.key_length, …; 0 when absent */
    uint32_t sliding_window;           /* 0 when absent */
    uint32_t swa_period,
        swa_layers; /* every nth layer has no window; or how many have one; 0 when absent */
    /* Of layers that keep a state in place of a cache (<arch>.ssm.…, wkv.…, shortconv.…); 0 when absent. */
    uint32_t ssm_conv_kernel, ssm_inner_size, ssm_state_size, ssm_group_count, wkv_head_size,
        shortconv_l_cache, full_attention_interval;
    uint32_t expert_count, expert_used_count;
    uint32_t feed_forward_length,
        expert_feed_forward_length; /* the largest over the layers; 0 when absent */
    uint32_t pooling_type;          /* <arch>.pooling_type; UINT32_MAX when absent */
    uint32_t vocab_size;            /* tokens in tokenizer.ggml.tokens, else <arch>.vocab_size */
    uint16_t split_no, split_count; /* this shard, from 0, of how many; 0 and 0 when not split */
    bool has_chat_template;
    bool has_vision, has_audio; /* clip.has_vision_encoder, clip.has_audio_encoder of an mmproj */
};

/*
 * Reads the header of `path`. 0, or a negative errno with a text for a person that begins with the
 * path:
 *   -EINVAL   not a GGUF file (or a Git LFS pointer to one), or no regular file
 *   -ENOTSUP  version 1, a version of the future, or big endian
 *   -ENODATA  cut short: the text names the byte where the file ends
 *   -EBADMSG  malformed: a length, count or type out of bounds
 *   others    from opening and reading
 * Also cut short is a file whose tensors' data is not all there. `info` is undefined on failure.
 * Blocking: call it in the thread pool. Safe while the file shrinks.
 */
int gguf_read(const char *path, struct gguf_info *info, struct error *err)
    __attribute__((warn_unused_result));
/* The same on bytes in memory, `size` of them being the whole file (for tests and fuzzing); the
 * text has no path. */
int gguf_parse(const void *data, size_t size, struct gguf_info *info, struct error *err)
    __attribute__((warn_unused_result));

#endif
