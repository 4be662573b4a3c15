/* SPDX-License-Identifier: MIT */
/*
 * One pass over the header: magic, counts, key-value pairs, tensor infos. The file is seen through
 * a window that is filled by pread(), not mapped: a mapped file that shrinks would kill the daemon
 * with SIGBUS.
 *
 * Errors are sticky: after the first one every read gives 0 and every loop ends, so that the code
 * below reads like the format. `pos` never passes `size`.
 */
#include "catalog/gguf.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

/* Holds the longest key; a vocabulary of 5 MB takes 80 reads. */
#define WINDOW (64u << 10)

#define MAX_DIMENSIONS 4          /* GGML_MAX_DIMS */
#define MAX_LAYERS 65536          /* longer arrays of numbers are not per layer: skipped */
#define SMALLEST_PAIR (8 + 4 + 1) /* key's length, type, one byte */
#define SMALLEST_TENSOR (8 + 4 + 4 + 8)
#define SMALLEST_ARRAY (4 + 8)
#define MIN_VERSION 2
#define MAX_VERSION 3

struct reader {
    int fd;                /* -1: the whole file is the window */
    const uint8_t *window; /* `len` bytes from offset `start` */
    uint8_t *buffer;       /* the window's memory; NULL when fd is -1 */
    uint64_t start, len;
    uint64_t pos, size; /* of the file */
    int rc;             /* negative after the first error */
    struct error *err;
};

/* The result, and the state of reading. */
struct header {
    struct gguf_info info;
    char prefix[64]; /* of the architecture's keys seen so far */
    uint32_t alignment;
    uint32_t arch_vocab_size;
};

enum value_type {
    VALUE_U8,
    VALUE_I8,
    VALUE_U16,
    VALUE_I16,
    VALUE_U32,
    VALUE_I32,
    VALUE_F32,
    VALUE_BOOL,
    VALUE_STRING,
    VALUE_ARRAY,
    VALUE_U64,
    VALUE_I64,
    VALUE_F64,
    VALUE_TYPES,
};

/* What is read of a value. */
struct value {
    bool is_number; /* a whole number, not negative; of an array the largest */
    uint64_t number;
    uint64_t sum, positive; /* of an array's numbers; how many are not 0 */
    bool is_array;
    uint64_t count;      /* of the array's elements */
    const uint8_t *text; /* NULL when it is no string; borrowed from the window */
    size_t text_len;     /* cut to TEXT_WANTED */
};

#define TEXT_WANTED 1024

/* What peek() is asked for. */
_Static_assert(WINDOW > GGUF_MAX_KEY && WINDOW > TEXT_WANTED, "the window is too small");

/* --- reading ------------------------------------------------------------------------------------
 */

static void __attribute__((format(printf, 3, 4)))
fail(struct reader *r, int code, const char *fmt, ...)
{
    if (r->rc)
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->err->text, sizeof r->err->text, fmt, ap);
    va_end(ap);
    r->rc = code;
}

static void fail_short(struct reader *r)
{
    fail(r, -ENODATA, "cut short: it ends at byte %" PRIu64 ", inside its header", r->size);
}

static uint64_t left(const struct reader *r)
{
    return r->size - r->pos;
}

/* Whether `n` more bytes belong to the header; an error if not. */
static bool have(struct reader *r, uint64_t n)
{
    if (r->rc)
        return false;
    if (n > left(r))
        fail_short(r);
    else if (r->pos + n > GGUF_MAX_HEADER)
        fail(r, -EBADMSG, "its header is longer than %u MiB", GGUF_MAX_HEADER >> 20);
    return r->rc == 0;
}

/* Moves the window to `pos`. A file that got shorter meanwhile ends where the read ended. */
static void refill(struct reader *r)
{
    uint64_t want = left(r) < WINDOW ? left(r) : WINDOW;
    r->start = r->pos;
    r->len = 0;
    while (r->fd >= 0 && r->len < want) {
        ssize_t n = pread(r->fd, r->buffer + r->len, want - r->len, (off_t)(r->pos + r->len));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            fail(r, -errno, "cannot read: %s", strerror(errno));
        if (n <= 0) {
            r->size = r->pos + r->len;
            return;
        }
        r->len += (uint64_t)n;
    }
}

/* What of the window lies at `pos`, in bytes. */
static uint64_t in_window(const struct reader *r)
{
    uint64_t offset = r->pos - r->start; /* huge when pos is before the window */
    return offset < r->len ? r->len - offset : 0;
}

static const uint8_t *at_pos(const struct reader *r)
{
    return r->window + (r->pos - r->start);
}

/* The next `n` (at most WINDOW) bytes, not taken yet; NULL on error. Good until the next peek. */
static const uint8_t *peek(struct reader *r, size_t n)
{
    if (!have(r, n))
        return NULL;
    if (in_window(r) < n && r->fd >= 0)
        refill(r);
    if (in_window(r) < n) {
        fail_short(r);
        return NULL;
    }
    return at_pos(r);
}

static void skip(struct reader *r, uint64_t n)
{
    if (have(r, n))
        r->pos += n;
}

/* A little-endian number of `n` bytes, at most 8; 0 on error. */
static uint64_t take(struct reader *r, size_t n)
{
    const uint8_t *p = peek(r, n);
    uint64_t v = 0;
    if (!p)
        return 0;
    memcpy(&v, p, n);
    v = le64toh(v);
    r->pos += n;
    return v;
}

/* A count of things of which each takes at least `smallest` bytes. */
static uint64_t take_count(struct reader *r, uint64_t smallest, const char *what)
{
    uint64_t n = take(r, 8);
    if (r->rc == 0 && n > left(r) / smallest) {
        fail(r, -ENODATA, "cut short: it ends at byte %" PRIu64 ", too early for %" PRIu64 " %s",
             r->size, n, what);
        return 0;
    }
    return r->rc ? 0 : n;
}

/* --- values -------------------------------------------------------------------------------------
 */

/* Bytes; 0 where the length is written in the file. */
static size_t value_size(enum value_type type)
{
    switch (type) {
    case VALUE_U8:
    case VALUE_I8:
    case VALUE_BOOL:
        return 1;
    case VALUE_U16:
    case VALUE_I16:
        return 2;
    case VALUE_U32:
    case VALUE_I32:
    case VALUE_F32:
        return 4;
    case VALUE_U64:
    case VALUE_I64:
    case VALUE_F64:
        return 8;
    case VALUE_STRING:
    case VALUE_ARRAY:
    case VALUE_TYPES:
        return 0;
    }
    return 0;
}

static bool is_signed(enum value_type type)
{
    return type == VALUE_I8 || type == VALUE_I16 || type == VALUE_I32 || type == VALUE_I64;
}

static enum value_type take_type(struct reader *r)
{
    uint64_t type = take(r, 4);
    if (type >= VALUE_TYPES) {
        fail(r, -EBADMSG, "unknown value type %" PRIu64 " at byte %" PRIu64, type, r->pos - 4);
        return VALUE_U8;
    }
    return (enum value_type)type;
}

static void take_number(struct reader *r, enum value_type type, struct value *v)
{
    size_t size = value_size(type);
    uint64_t number = take(r, size);
    if (type == VALUE_F32 || type == VALUE_F64)
        return;
    if (is_signed(type) && (number >> (size * 8 - 1)) & 1)
        return;
    v->is_number = true;
    v->sum += number;
    v->positive += number > 0;
    if (number > v->number)
        v->number = number;
}

static void take_text(struct reader *r, struct value *v)
{
    uint64_t len = take(r, 8);
    if (!have(r, len))
        return;
    v->text_len = len < TEXT_WANTED ? (size_t)len : TEXT_WANTED;
    v->text = peek(r, v->text_len);
    skip(r, len);
}

/* The bulk of every header: some 100,000 tokens and merges, each with its own length. What lies in
 * the window is walked without a call for each string. */
static void skip_strings(struct reader *r, uint64_t count)
{
    while (count && r->rc == 0) {
        uint64_t avail = in_window(r), len;
        const uint8_t *p = avail ? at_pos(r) : NULL;
        while (count && avail >= sizeof len) {
            memcpy(&len, p, sizeof len);
            len = le64toh(len);
            if (len > avail - sizeof len)
                break;
            p += sizeof len + len;
            avail -= sizeof len + len;
            count--;
        }
        r->pos += in_window(r) - avail;
        if (count == 0)
            break;
        skip(r, take(r, 8)); /* the one across the window's end */
        count--;
    }
}

static void take_array(struct reader *r, struct value *v, bool wanted, int depth)
{
    enum value_type type = take_type(r);
    size_t size = value_size(type);
    size_t smallest = type == VALUE_ARRAY ? SMALLEST_ARRAY : type == VALUE_STRING ? 8 : size;
    uint64_t count = take_count(r, smallest, "array elements");
    v->is_array = true;
    v->count = count;
    if (type == VALUE_STRING) {
        skip_strings(r, count);
    } else if (type == VALUE_ARRAY) {
        if (depth >= GGUF_MAX_NESTING)
            fail(r, -EBADMSG, "arrays nested more than %d deep", GGUF_MAX_NESTING);
        for (struct value inner = {0}; count && r->rc == 0; count--)
            take_array(r, &inner, false, depth + 1);
    } else if (wanted && count <= MAX_LAYERS) {
        for (; count && r->rc == 0; count--)
            take_number(r, type, v);
    } else {
        skip(r, count * size);
    }
}

/* Not `wanted`: the value is skipped. */
static struct value take_value(struct reader *r, bool wanted)
{
    struct value v = {0};
    enum value_type type = take_type(r);
    if (r->rc)
        return v;
    if (type == VALUE_STRING)
        take_text(r, &v);
    else if (type == VALUE_ARRAY)
        take_array(r, &v, wanted, 1);
    else
        take_number(r, type, &v);
    return v;
}

/* --- keys ---------------------------------------------------------------------------------------
 */

enum field_kind {
    FIELD_TEXT,
    FIELD_U32,
    FIELD_U16,
    FIELD_BOOL,
    FIELD_COUNT,
    FIELD_PRESENT,
    FIELD_SUM,      /* of an array of numbers, */
    FIELD_POSITIVE, /* and how many of them are not 0 */
};

/* A key that begins with a dot belongs to the architecture: `llama.context_length`, … */
struct field {
    const char *key;
    enum field_kind kind;
    size_t offset; /* in struct header */
    size_t size;
};

#define INFO(kind, key, member)                                                                    \
    {                                                                                              \
        key, kind, offsetof(struct header, info.member), sizeof(((struct gguf_info *)0)->member)   \
    }

static const struct field fields[] = {
    INFO(FIELD_TEXT, "general.architecture", architecture),
    INFO(FIELD_TEXT, "general.name", name),
    INFO(FIELD_TEXT, "general.type", type),
    INFO(FIELD_U32, "general.file_type", file_type),
    {"general.alignment", FIELD_U32, offsetof(struct header, alignment), sizeof(uint32_t)},
    INFO(FIELD_U32, ".context_length", context_length),
    INFO(FIELD_U32, ".embedding_length", embedding_length),
    INFO(FIELD_U32, ".block_count", block_count),
    INFO(FIELD_U32, ".attention.head_count", head_count),
    INFO(FIELD_U32, ".attention.head_count_kv", head_count_kv),
    INFO(FIELD_SUM, ".attention.head_count_kv", head_count_kv_sum),
    INFO(FIELD_POSITIVE, ".attention.head_count_kv", head_count_kv_layers),
    INFO(FIELD_U32, ".attention.key_length", key_length),
    INFO(FIELD_U32, ".attention.value_length", value_length),
    INFO(FIELD_U32, ".attention.sliding_window", sliding_window),
    INFO(FIELD_U32, ".attention.sliding_window_pattern", swa_period),
    INFO(FIELD_POSITIVE, ".attention.sliding_window_pattern", swa_layers),
    INFO(FIELD_U32, ".ssm.conv_kernel", ssm_conv_kernel),
    INFO(FIELD_U32, ".ssm.inner_size", ssm_inner_size),
    INFO(FIELD_U32, ".ssm.state_size", ssm_state_size),
    INFO(FIELD_U32, ".ssm.group_count", ssm_group_count),
    INFO(FIELD_U32, ".wkv.head_size", wkv_head_size),
    INFO(FIELD_U32, ".shortconv.l_cache", shortconv_l_cache),
    INFO(FIELD_U32, ".full_attention_interval", full_attention_interval),
    INFO(FIELD_U32, ".expert_count", expert_count),
    INFO(FIELD_U32, ".expert_used_count", expert_used_count),
    INFO(FIELD_U32, ".feed_forward_length", feed_forward_length),
    INFO(FIELD_U32, ".expert_feed_forward_length", expert_feed_forward_length),
    INFO(FIELD_U32, ".pooling_type", pooling_type),
    {".vocab_size", FIELD_U32, offsetof(struct header, arch_vocab_size), sizeof(uint32_t)},
    INFO(FIELD_COUNT, "tokenizer.ggml.tokens", vocab_size),
    INFO(FIELD_PRESENT, "tokenizer.chat_template", has_chat_template),
    INFO(FIELD_U16, "split.no", split_no),
    INFO(FIELD_U16, "split.count", split_count),
    INFO(FIELD_BOOL, "clip.has_vision_encoder", has_vision),
    INFO(FIELD_BOOL, "clip.has_audio_encoder", has_audio),
};
#define FIELDS (sizeof fields / sizeof *fields)

/* The longest key that could be one of ours. */
#define KEY_WANTED 128

static void take_key(struct reader *r, char key[KEY_WANTED])
{
    uint64_t len = take(r, 8);
    key[0] = '\0';
    if (len > GGUF_MAX_KEY) {
        fail(r, -EBADMSG, "a key of %" PRIu64 " bytes at byte %" PRIu64, len, r->pos - 8);
        return;
    }
    const uint8_t *text = peek(r, (size_t)len);
    if (text && len < KEY_WANTED) {
        memcpy(key, text, len);
        key[len] = '\0';
    }
    skip(r, len);
}

/* Whether the key's first part is the architecture's name. That name may come later in the file: until then the
 * first prefix is taken for it, and drop_strangers() removes the fields of a wrong one. */
static bool of_architecture(struct header *h, const char *key, size_t prefix_len)
{
    if (prefix_len == 0 || prefix_len >= sizeof h->prefix)
        return false;
    if (!h->prefix[0])
        memcpy(h->prefix, h->info.architecture[0] ? h->info.architecture : key,
               h->info.architecture[0] ? sizeof h->prefix : prefix_len);
    return strlen(h->prefix) == prefix_len && memcmp(h->prefix, key, prefix_len) == 0;
}

static const struct field *find_field(struct header *h, const char *key)
{
    size_t prefix_len = strcspn(key, ".");
    for (size_t i = 0; i < FIELDS; i++) {
        const struct field *f = &fields[i];
        if (f->key[0] != '.'
                ? strcmp(f->key, key) == 0
                : strcmp(f->key, key + prefix_len) == 0 && of_architecture(h, key, prefix_len))
            return f;
    }
    return NULL;
}

static void store(struct header *h, const struct field *f, const struct value *v)
{
    char *at = (char *)h + f->offset;
    uint32_t u32 = (uint32_t)v->number;
    uint16_t u16 = (uint16_t)v->number;
    uint32_t count = v->count > UINT32_MAX ? UINT32_MAX : (uint32_t)v->count;
    uint32_t sum = v->sum > UINT32_MAX ? UINT32_MAX : (uint32_t)v->sum;
    uint32_t positive = (uint32_t)v->positive; /* of at most MAX_LAYERS */
    bool flag = f->kind == FIELD_PRESENT ? v->text != NULL : v->number != 0;
    switch (f->kind) {
    case FIELD_TEXT:
        if (v->text)
            text_copy(at, f->size, v->text, v->text_len);
        break;
    case FIELD_U32:
        if (v->is_number && v->number <= UINT32_MAX)
            memcpy(at, &u32, sizeof u32);
        break;
    case FIELD_U16:
        if (v->is_number && v->number <= UINT16_MAX)
            memcpy(at, &u16, sizeof u16);
        break;
    case FIELD_COUNT:
        if (v->is_array)
            memcpy(at, &count, sizeof count);
        break;
    case FIELD_SUM:
        if (v->is_array)
            memcpy(at, &sum, sizeof sum);
        break;
    case FIELD_POSITIVE:
        if (v->is_array)
            memcpy(at, &positive, sizeof positive);
        break;
    case FIELD_BOOL:
    case FIELD_PRESENT:
        memcpy(at, &flag, sizeof flag);
        break;
    }
}

static void set_absent(struct header *h)
{
    h->info.file_type = UINT32_MAX;
    h->info.pooling_type = UINT32_MAX;
    h->alignment = 32;
}

/* Fields under another name than the architecture's are not this model's. */
static void drop_strangers(struct header *h)
{
    static const struct header absent = {.info.pooling_type = UINT32_MAX};
    if (!h->prefix[0] || strcmp(h->prefix, h->info.architecture) == 0)
        return;
    for (size_t i = 0; i < FIELDS; i++)
        if (fields[i].key[0] == '.')
            memcpy((char *)h + fields[i].offset, (const char *)&absent + fields[i].offset,
                   fields[i].size);
}

static void take_pairs(struct reader *r, struct header *h, uint64_t count)
{
    char key[KEY_WANTED];
    for (; count && r->rc == 0; count--) {
        take_key(r, key);
        const struct field *f = find_field(h, key);
        struct value v = take_value(r, f != NULL);
        for (const struct field *g = f; g && r->rc == 0 && g < fields + FIELDS; g++)
            if (strcmp(g->key, f->key) == 0)
                store(h, g, &v);
    }
    drop_strangers(h);
    if (h->info.vocab_size == 0)
        h->info.vocab_size = h->arch_vocab_size;
    if (h->alignment == 0 || (h->alignment & (h->alignment - 1)))
        fail(r, -EBADMSG, "general.alignment is %u, not a power of two", h->alignment);
}

/* --- tensors ------------------------------------------------------------------------------------
 */

/* By number of enum ggml_type (ggml.h, as of ggml 0.27): elements and bytes of a block. Numbers
 * that are not listed were withdrawn or are not ours to know. */
static const struct {
    uint16_t elements, bytes;
} blocks[] = {
    [0] = {1, 4},      /* F32 */
    [1] = {1, 2},      /* F16 */
    [2] = {32, 18},    /* Q4_0 */
    [3] = {32, 20},    /* Q4_1 */
    [6] = {32, 22},    /* Q5_0 */
    [7] = {32, 24},    /* Q5_1 */
    [8] = {32, 34},    /* Q8_0 */
    [9] = {32, 36},    /* Q8_1 */
    [10] = {256, 84},  /* Q2_K */
    [11] = {256, 110}, /* Q3_K */
    [12] = {256, 144}, /* Q4_K */
    [13] = {256, 176}, /* Q5_K */
    [14] = {256, 210}, /* Q6_K */
    [15] = {256, 292}, /* Q8_K */
    [16] = {256, 66},  /* IQ2_XXS */
    [17] = {256, 74},  /* IQ2_XS */
    [18] = {256, 98},  /* IQ3_XXS */
    [19] = {256, 50},  /* IQ1_S */
    [20] = {32, 18},   /* IQ4_NL */
    [21] = {256, 110}, /* IQ3_S */
    [22] = {256, 82},  /* IQ2_S */
    [23] = {256, 136}, /* IQ4_XS */
    [24] = {1, 1},     /* I8 */
    [25] = {1, 2},     /* I16 */
    [26] = {1, 4},     /* I32 */
    [27] = {1, 8},     /* I64 */
    [28] = {1, 8},     /* F64 */
    [29] = {256, 56},  /* IQ1_M */
    [30] = {1, 2},     /* BF16 */
    [34] = {256, 54},  /* TQ1_0 */
    [35] = {256, 66},  /* TQ2_0 */
    [39] = {32, 17},   /* MXFP4 */
    [40] = {64, 36},   /* NVFP4 */
    [41] = {128, 18},  /* Q1_0 */
    [42] = {64, 18},   /* Q2_0 */
};

#define BLOCKS_MAX 1024 /* whose sizes are told apart */
#define NAME_WANTED 96

/* What the tensors add up to. */
struct tensors {
    uint64_t elements, bytes;
    uint64_t input, output, experts;
    uint64_t block[BLOCKS_MAX];
    uint64_t end; /* of the last one, from the data's start; a lower bound if `unknown` */
    bool unknown; /* a type or shape of unknown size */
};

/* Bytes of a tensor; false when its type is unknown or its rows are no whole blocks. */
static bool tensor_size(uint64_t type, uint64_t row, uint64_t elements, uint64_t *bytes)
{
    if (type >= sizeof blocks / sizeof *blocks || blocks[type].elements == 0 ||
        row % blocks[type].elements)
        return false;
    return !__builtin_mul_overflow(elements / blocks[type].elements, blocks[type].bytes, bytes);
}

static void add_tensor(struct reader *r, struct tensors *sum, uint64_t elements, uint64_t bytes,
                       uint64_t offset)
{
    uint64_t end;
    if (__builtin_add_overflow(sum->elements, elements, &sum->elements) ||
        __builtin_add_overflow(sum->bytes, bytes, &sum->bytes) ||
        __builtin_add_overflow(offset, bytes, &end))
        fail(r, -EBADMSG, "its tensors are larger than 2^64");
    else if (end > sum->end)
        sum->end = end;
}

static void take_tensor_name(struct reader *r, char out[NAME_WANTED])
{
    uint64_t len = take(r, 8);
    size_t wanted = len < NAME_WANTED ? (size_t)len : NAME_WANTED - 1;
    out[0] = '\0';
    if (len > GGUF_MAX_KEY)
        fail(r, -EBADMSG, "a tensor's name of %" PRIu64 " bytes", len);
    const uint8_t *text = r->rc ? NULL : peek(r, wanted);
    if (text) {
        memcpy(out, text, wanted);
        out[wanted] = '\0';
    }
    skip(r, len);
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* By llama.cpp's names: `blk.7.ffn_up_exps.weight`, `token_embd.weight`, `output.weight`. */
static void add_to_part(struct tensors *sum, const char *name, uint64_t bytes)
{
    char *end;
    if (begins(name, "blk.")) {
        unsigned long block = strtoul(name + 4, &end, 10);
        if (block < BLOCKS_MAX)
            sum->block[block] +=
                bytes; /* cannot overflow: add_tensor() has checked the sum of all */
        if (strstr(end, "exps."))
            sum->experts += bytes;
    } else if (begins(name, "output.")) {
        sum->output += bytes;
    } else {
        sum->input += bytes;
    }
}

static void take_tensor(struct reader *r, struct tensors *sum)
{
    char name[NAME_WANTED];
    uint64_t elements = 1, row = 1, bytes = 0;
    take_tensor_name(r, name);
    uint64_t dimensions = take(r, 4);
    if (dimensions > MAX_DIMENSIONS)
        fail(r, -EBADMSG, "a tensor of %" PRIu64 " dimensions", dimensions);
    for (uint64_t i = 0; i < dimensions && r->rc == 0; i++) {
        uint64_t extent = take(r, 8);
        row = i ? row : extent;
        if (__builtin_mul_overflow(elements, extent, &elements))
            fail(r, -EBADMSG, "a tensor of more than 2^64 elements");
    }
    uint64_t type = take(r, 4), offset = take(r, 8);
    if (r->rc)
        return;
    bool known = tensor_size(type, row, elements, &bytes);
    sum->unknown |= !known;
    add_tensor(r, sum, elements, known ? bytes : 0, offset);
    if (r->rc == 0 && known)
        add_to_part(sum, name, bytes);
}

static void set_parts(struct gguf_info *info, const struct tensors *sum)
{
    if (sum->unknown)
        return;
    info->input_bytes = sum->input;
    info->output_bytes = sum->output;
    info->expert_bytes = sum->experts;
    for (size_t i = 0; i < BLOCKS_MAX; i++) {
        info->block_bytes += sum->block[i];
        if (sum->block[i] > info->block_most)
            info->block_most = sum->block[i];
    }
}

static void take_tensors(struct reader *r, struct header *h)
{
    struct tensors sum = {0};
    for (uint64_t i = 0; i < h->info.tensor_count && r->rc == 0; i++)
        take_tensor(r, &sum);
    h->info.n_params = sum.elements;
    h->info.tensor_bytes = sum.unknown ? 0 : sum.bytes;
    set_parts(&h->info, &sum);
    if (r->rc || h->info.tensor_count == 0)
        return;
    /* Downloads that broke off are found here: the header came first and is whole. */
    uint64_t data = (r->pos + h->alignment - 1) & ~(uint64_t)(h->alignment - 1), end;
    if (__builtin_add_overflow(data, sum.end, &end) || end > r->size)
        fail(r, -ENODATA,
             "cut short: it ends at byte %" PRIu64 ", its tensors at byte %" PRIu64
             "; fetch the file again",
             r->size, data + sum.end);
}

/* --- the whole header ----------------------------------------------------------------------------------
 */

static void take_magic(struct reader *r)
{
    static const char lfs[] = "version https://git-lfs";
    if (r->size == 0) {
        fail(r, -EINVAL, "the file is empty");
        return;
    }
    const uint8_t *p = peek(r, r->size < 4 ? (size_t)r->size : 4);
    if (!p)
        return;
    if (memcmp(p, "GGUF", r->size < 4 ? (size_t)r->size : 4) != 0) {
        p = left(r) > sizeof lfs ? peek(r, sizeof lfs - 1) : NULL;
        if (p && memcmp(p, lfs, sizeof lfs - 1) == 0)
            fail(r, -EINVAL, "a Git LFS pointer, not the model: fetch it with `git lfs pull`");
        else
            fail(r, -EINVAL, "not a GGUF file");
    }
    skip(r, 4);
}

static uint32_t take_version(struct reader *r)
{
    uint32_t version = (uint32_t)take(r, 4);
    if (r->rc)
        return 0;
    /* ggml's own test: a small number written by the other kind of machine */
    if ((version & 0xFFFF) == 0)
        fail(r, -ENOTSUP,
             "big-endian GGUF, for another kind of machine; fetch or convert a "
             "little-endian one");
    else if (version < MIN_VERSION)
        fail(r, -ENOTSUP,
             "GGUF version %u is too old for any current engine; convert the model "
             "again",
             version);
    else if (version > MAX_VERSION)
        fail(r, -ENOTSUP, "GGUF version %u is newer than this program (it knows %d to %d)", version,
             MIN_VERSION, MAX_VERSION);
    return version;
}

static int read_header(struct reader *r, struct gguf_info *info)
{
    struct header h = {0};
    set_absent(&h);
    take_magic(r);
    h.info.version = take_version(r);
    h.info.tensor_count = take_count(r, SMALLEST_TENSOR, "tensors");
    take_pairs(r, &h, take_count(r, SMALLEST_PAIR, "keys"));
    take_tensors(r, &h);
    *info = h.info;
    return r->rc;
}

int gguf_parse(const void *data, size_t size, struct gguf_info *info, struct error *err)
{
    struct reader r = {.fd = -1, .window = data, .len = size, .size = size, .err = err};
    return read_header(&r, info);
}

static int read_file(int fd, struct gguf_info *info, struct error *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return error_set(err, -errno, "cannot stat: %s", strerror(errno));
    if (!S_ISREG(st.st_mode))
        return error_set(err, -EINVAL, "not a regular file");
    struct reader r = {.fd = fd, .size = (uint64_t)st.st_size, .err = err};
    r.buffer = malloc(WINDOW);
    if (!r.buffer)
        return error_set(err, -ENOMEM, "out of memory");
    r.window = r.buffer;
    int rc = read_header(&r, info);
    free(r.buffer);
    return rc;
}

int gguf_read(const char *path, struct gguf_info *info, struct error *err)
{
    struct error why;
    /* O_NONBLOCK: a FIFO under a model's name must not hold a thread for ever. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return error_set(err, -errno, "%s: cannot open: %s", path, strerror(errno));
    int rc = read_file(fd, info, &why);
    close(fd);
    return rc ? error_set(err, rc, "%s: %s", path, why.text) : 0;
}
