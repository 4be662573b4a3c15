/* SPDX-License-Identifier: MIT */
/* Writes GGUF bytes, right or deliberately wrong, for tests. */
#ifndef HOSTLER_TESTS_GGUF_BUILD_H
#define HOSTLER_TESTS_GGUF_BUILD_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

/* The format's numbers of value types, where tests need them. */
enum { GV_U8, GV_I8, GV_U16, GV_I16, GV_U32, GV_I32, GV_F32, GV_BOOL, GV_STRING, GV_ARRAY, GV_U64 };

static inline void gb_int(struct buf *b, uint64_t v, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        char byte = (char)(v >> (8 * i) & 0xFF);
        if (buf_append(b, &byte, 1) < 0)
            abort();
    }
}

static inline void gb_bytes(struct buf *b, const void *data, size_t len)
{
    gb_int(b, len, 8);
    if (buf_append(b, data, len) < 0)
        abort();
}

static inline void gb_text(struct buf *b, const char *text)
{
    gb_bytes(b, text, strlen(text));
}

static inline void gb_begin(struct buf *b, uint32_t version, uint64_t tensors, uint64_t pairs)
{
    buf_init(b, BUF_UNBOUNDED);
    if (buf_puts(b, "GGUF") < 0)
        abort();
    gb_int(b, version, 4);
    gb_int(b, tensors, 8);
    gb_int(b, pairs, 8);
}

static inline void gb_key(struct buf *b, const char *key, uint32_t type)
{
    gb_text(b, key);
    gb_int(b, type, 4);
}

static inline void gb_string(struct buf *b, const char *key, const char *value)
{
    gb_key(b, key, GV_STRING);
    gb_text(b, value);
}

static inline void gb_u32(struct buf *b, const char *key, uint32_t value)
{
    gb_key(b, key, GV_U32);
    gb_int(b, value, 4);
}

static inline void gb_u16(struct buf *b, const char *key, uint16_t value)
{
    gb_key(b, key, GV_U16);
    gb_int(b, value, 2);
}

static inline void gb_bool(struct buf *b, const char *key, int value)
{
    gb_key(b, key, GV_BOOL);
    gb_int(b, (uint64_t)value, 1);
}

/* The elements follow by the caller. */
static inline void gb_array(struct buf *b, const char *key, uint32_t type, uint64_t count)
{
    gb_key(b, key, GV_ARRAY);
    gb_int(b, type, 4);
    gb_int(b, count, 8);
}

static inline void gb_tensor(struct buf *b, const char *name, uint64_t columns, uint64_t rows,
                             uint32_t type, uint64_t offset)
{
    gb_text(b, name);
    gb_int(b, 2, 4);
    gb_int(b, columns, 8);
    gb_int(b, rows, 8);
    gb_int(b, type, 4);
    gb_int(b, offset, 8);
}

/* Pads to `alignment` and adds `len` bytes of tensor data. */
static inline void gb_data(struct buf *b, size_t alignment, size_t len)
{
    size_t pad = (alignment - b->len % alignment) % alignment;
    if (buf_reserve(b, pad + len) < 0)
        abort();
    memset(b->data + b->len, 0, pad + len);
    b->len += pad + len;
}

/* A small model: `name`, one tensor of 64 F32 elements. */
static inline void gb_small(struct buf *b, const char *name)
{
    gb_begin(b, 3, 1, 3);
    gb_string(b, "general.architecture", "llama");
    gb_string(b, "general.name", name);
    gb_u32(b, "llama.context_length", 2048);
    gb_tensor(b, "t", 64, 1, 0, 0);
    gb_data(b, 32, 256);
}

/* Shard `no` (from 0) of `count`, with one tensor of 64 F32 elements. */
static inline void gb_shard(struct buf *b, uint16_t no, uint16_t count)
{
    gb_begin(b, 3, 1, no ? 2 : 3);
    gb_u16(b, "split.no", no);
    gb_u16(b, "split.count", count);
    if (no == 0)
        gb_string(b, "general.architecture", "llama");
    gb_tensor(b, "t", 64, 1, 0, 0);
    gb_data(b, 32, 256);
}

static inline void gb_mmproj(struct buf *b, int vision, int audio)
{
    gb_begin(b, 3, 0, 3);
    gb_string(b, "general.architecture", "clip");
    gb_bool(b, "clip.has_vision_encoder", vision);
    gb_bool(b, "clip.has_audio_encoder", audio);
}

#endif
