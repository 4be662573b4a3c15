/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "catalog/gguf.h"
#include "gguf_build.h"
#include "tree.h"

static struct error err;
static struct gguf_info info;

/* Parses a copy of exactly that size, so that a sanitizer sees every byte read too many. */
static int parse_prefix(const struct buf *b, size_t len)
{
    char *copy = malloc(len ? len : 1);
    if (len)
        memcpy(copy, b->data, len);
    err.text[0] = '\0';
    int rc = gguf_parse(copy, len, &info, &err);
    free(copy);
    return rc;
}

/* Parses and frees. */
static int parse(struct buf *b)
{
    int rc = parse_prefix(b, b->len);
    buf_finish(b);
    return rc;
}

static void assert_refused(struct buf *b, int code, const char *text)
{
    assert_int_equal(parse(b), code);
    if (!strstr(err.text, text))
        fail_msg("\"%s\" lacks \"%s\"", err.text, text);
}

static void build_full(struct buf *b)
{
    gb_begin(b, 3, 3, 26);
    gb_string(b, "general.architecture", "llama");
    gb_string(b, "general.name", "A name");
    gb_string(b, "general.type", "model");
    gb_u32(b, "general.file_type", 15);
    gb_u32(b, "general.alignment", 64);
    gb_u32(b, "llama.context_length", 8192);
    gb_u32(b, "llama.embedding_length", 4096);
    gb_u32(b, "llama.block_count", 2);
    gb_array(b, "llama.attention.head_count", GV_I32, 3);
    gb_int(b, 4, 4);
    gb_int(b, 32, 4);
    gb_int(b, 8, 4);
    gb_u32(b, "llama.attention.head_count_kv", 8);
    gb_u32(b, "llama.attention.key_length", 128);
    gb_u32(b, "llama.attention.value_length", 96);
    gb_u32(b, "llama.attention.sliding_window", 512);
    gb_u32(b, "llama.expert_count", 16);
    gb_u32(b, "llama.expert_used_count", 4);
    gb_u32(b, "llama.feed_forward_length", 1536);
    gb_u32(b, "llama.expert_feed_forward_length", 768);
    gb_u32(b, "llama.pooling_type", 2);
    gb_u32(b, "llama.vocab_size", 99);
    gb_array(b, "tokenizer.ggml.tokens", GV_STRING, 3);
    gb_text(b, "a");
    gb_text(b, "");
    gb_text(b, "ccc");
    gb_array(b, "tokenizer.ggml.token_type", GV_I32, 2);
    gb_int(b, 1, 4);
    gb_int(b, 3, 4);
    gb_string(b, "tokenizer.chat_template", "{{ messages }}");
    gb_u16(b, "split.no", 0);
    gb_u16(b, "split.count", 2);
    gb_array(b, "some.nested", GV_ARRAY, 2);
    for (int i = 0; i < 2; i++) {
        gb_int(b, GV_STRING, 4);
        gb_int(b, 1, 8);
        gb_text(b, "x");
    }
    gb_key(b, "some.float", GV_F32);
    gb_int(b, 0x3F800000, 4);
    gb_tensor(b, "embedding", 256, 2, 12, 0); /* Q4_K: 288 bytes */
    gb_tensor(b, "norm", 10, 1, 0, 320);      /* F32: 40 bytes */
    gb_tensor(b, "out", 64, 1, 40, 384);      /* NVFP4: 36 bytes */
    gb_data(b, 64, 420);
}

static void all_fields(void **state)
{
    (void)state;
    struct buf b;
    build_full(&b);
    assert_int_equal(parse(&b), 0);
    assert_int_equal(info.version, 3);
    assert_string_equal(info.architecture, "llama");
    assert_string_equal(info.name, "A name");
    assert_string_equal(info.type, "model");
    assert_int_equal(info.file_type, 15);
    assert_int_equal(info.tensor_count, 3);
    assert_int_equal(info.n_params, 512 + 10 + 64);
    assert_int_equal(info.tensor_bytes, 288 + 40 + 36);
    assert_int_equal(info.context_length, 8192);
    assert_int_equal(info.embedding_length, 4096);
    assert_int_equal(info.block_count, 2);
    assert_int_equal(info.head_count, 32);
    assert_int_equal(info.head_count_kv, 8);
    assert_int_equal(info.key_length, 128);
    assert_int_equal(info.value_length, 96);
    assert_int_equal(info.sliding_window, 512);
    assert_int_equal(info.expert_count, 16);
    assert_int_equal(info.expert_used_count, 4);
    assert_int_equal(info.feed_forward_length, 1536);
    assert_int_equal(info.expert_feed_forward_length, 768);
    assert_int_equal(info.pooling_type, 2);
    assert_int_equal(info.vocab_size, 3);
    assert_int_equal(info.split_no, 0);
    assert_int_equal(info.split_count, 2);
    assert_true(info.has_chat_template);
    assert_false(info.has_vision);
}

/* The parts of a model by llama.cpp's names of tensors; F32 takes 4 bytes. */
static void parts_of_a_model(void **state)
{
    (void)state;
    struct buf b;
    gb_begin(&b, 3, 7, 0);
    gb_tensor(&b, "token_embd.weight", 100, 1, 0, 0);
    gb_tensor(&b, "blk.0.attn_q.weight", 10, 1, 0, 416);
    gb_tensor(&b, "blk.1.attn_q.weight", 20, 1, 0, 480);
    gb_tensor(&b, "blk.1.ffn_up_exps.weight", 30, 1, 0, 576);
    gb_tensor(&b, "blk.99999.attn_q.weight", 1, 1, 0, 704);
    gb_tensor(&b, "output_norm.weight", 1, 1, 0, 736);
    gb_tensor(&b, "output.weight", 50, 1, 0, 768);
    gb_data(&b, 32, 968);
    assert_int_equal(parse(&b), 0);
    assert_int_equal(info.input_bytes, 4 * (100 + 1));
    assert_int_equal(info.output_bytes, 4 * 50);
    assert_int_equal(info.block_bytes, 4 * (10 + 20 + 30));
    assert_int_equal(info.block_most, 4 * (20 + 30));
    assert_int_equal(info.expert_bytes, 4 * 30);
}

static void absent_fields(void **state)
{
    (void)state;
    struct buf b;
    gb_begin(&b, 2, 0, 0);
    assert_int_equal(parse(&b), 0);
    assert_int_equal(info.version, 2);
    assert_string_equal(info.architecture, "");
    assert_int_equal(info.file_type, UINT32_MAX);
    assert_int_equal(info.pooling_type, UINT32_MAX);
    assert_int_equal(info.context_length, 0);
    assert_int_equal(info.tensor_bytes, 0);
    assert_int_equal(info.split_count, 0);
}

static void mmproj(void **state)
{
    (void)state;
    struct buf b;
    gb_mmproj(&b, 1, 0);
    assert_int_equal(parse(&b), 0);
    assert_string_equal(info.architecture, "clip");
    assert_true(info.has_vision);
    assert_false(info.has_audio);
}

/* The architecture's name may come behind its keys; keys of another one are not the model's. */
static void architecture_last(void **state)
{
    (void)state;
    struct buf b;
    gb_begin(&b, 3, 0, 2);
    gb_u32(&b, "llama.context_length", 77);
    gb_string(&b, "general.architecture", "llama");
    assert_int_equal(parse(&b), 0);
    assert_int_equal(info.context_length, 77);

    gb_begin(&b, 3, 0, 3);
    gb_u32(&b, "other.context_length", 77);
    gb_u32(&b, "other.pooling_type", 1);
    gb_string(&b, "general.architecture", "llama");
    assert_int_equal(parse(&b), 0);
    assert_int_equal(info.context_length, 0);
    assert_int_equal(info.pooling_type, UINT32_MAX);

    gb_begin(&b, 3, 0, 3);
    gb_string(&b, "general.architecture", "llama");
    gb_u32(&b, "llama.vocab_size", 42);
    gb_u32(&b, "other.vocab_size", 43);
    assert_int_equal(parse(&b), 0);
    assert_int_equal(info.vocab_size, 42);
}

/* A value of another type than expected counts as absent. */
static void unexpected_types(void **state)
{
    (void)state;
    struct buf b;
    gb_begin(&b, 3, 0, 8);
    gb_u32(&b, "general.architecture", 1);
    gb_string(&b, "general.file_type", "Q4");
    gb_string(&b, "llama.context_length", "many");
    gb_key(&b, "llama.block_count", GV_I32);
    gb_int(&b, (uint32_t)-5, 4);
    gb_key(&b, "llama.embedding_length", GV_U64);
    gb_int(&b, UINT64_C(1) << 32, 8);
    gb_u32(&b, "split.count", 70000);
    gb_u32(&b, "tokenizer.chat_template", 1);
    gb_u32(&b, "tokenizer.ggml.tokens", 5);
    assert_int_equal(parse(&b), 0);
    assert_string_equal(info.architecture, "");
    assert_int_equal(info.file_type, UINT32_MAX);
    assert_int_equal(info.context_length, 0);
    assert_int_equal(info.block_count, 0);
    assert_int_equal(info.embedding_length, 0);
    assert_int_equal(info.split_count, 0);
    assert_int_equal(info.vocab_size, 0);
    assert_false(info.has_chat_template);
}

static void texts_are_clean(void **state)
{
    (void)state;
    struct buf b;
    char longer[600];
    memset(longer, 'n', sizeof longer);
    gb_begin(&b, 3, 0, 3);
    gb_key(&b, "general.architecture", GV_STRING);
    gb_bytes(&b, "a\xC3\xBC\xFF\x1B\xE2\x82", 7);
    gb_key(&b, "general.name", GV_STRING);
    gb_bytes(&b, longer, sizeof longer);
    gb_key(&b, "general.type", GV_STRING);
    gb_bytes(&b, "ab\0cd", 5);
    assert_int_equal(parse(&b), 0);
    assert_string_equal(info.architecture, "a\xC3\xBC? ??");
    assert_int_equal(strlen(info.name), sizeof info.name - 1);
    assert_string_equal(info.type, "ab");
}

static void other_files(void **state)
{
    (void)state;
    struct buf b;
    static const char lfs[] = "version https://git-lfs.github.com/spec/v1\noid sha256:00\n";
    buf_init(&b, BUF_UNBOUNDED);
    assert_refused(&b, -EINVAL, "empty");
    assert_int_equal(buf_puts(&b, "<!DOCTYPE html>"), 0);
    assert_refused(&b, -EINVAL, "not a GGUF file");
    assert_int_equal(buf_puts(&b, lfs), 0);
    assert_refused(&b, -EINVAL, "git lfs pull");
    assert_int_equal(buf_puts(&b, "G"), 0);
    assert_refused(&b, -ENODATA, "byte 1");
}

static void versions(void **state)
{
    (void)state;
    struct buf b;
    gb_begin(&b, 1, 0, 0);
    assert_refused(&b, -ENOTSUP, "version 1");
    gb_begin(&b, 0x03000000, 0, 0);
    assert_refused(&b, -ENOTSUP, "big-endian");
    gb_begin(&b, 4, 0, 0);
    assert_refused(&b, -ENOTSUP, "version 4");
}

static void hostile_counts(void **state)
{
    (void)state;
    struct buf b;
    gb_begin(&b, 3, UINT64_MAX, 0);
    assert_refused(&b, -ENODATA, "tensors");
    gb_begin(&b, 3, 0, UINT64_MAX / 13);
    assert_refused(&b, -ENODATA, "keys");
    for (uint32_t type = GV_U8; type <= GV_U64; type++) {
        gb_begin(&b, 3, 0, 1);
        gb_array(&b, "k", type, UINT64_MAX / 2 + 1);
        assert_refused(&b, -ENODATA, "array elements");
    }
    gb_begin(&b, 3, 0, 1);
    gb_array(&b, "k", GV_STRING, 2);
    gb_int(&b, UINT64_MAX - 3, 8);
    gb_int(&b, 0, 8);
    assert_refused(&b, -ENODATA, "cut short");
    gb_begin(&b, 3, 0, 1);
    gb_key(&b, "general.name", GV_STRING);
    gb_int(&b, UINT64_MAX, 8);
    assert_refused(&b, -ENODATA, "cut short");
    gb_begin(&b, 3, 0, 1);
    gb_int(&b, UINT64_MAX, 8);
    gb_int(&b, 0, 8);
    assert_refused(&b, -EBADMSG, "a key of");
}

static void hostile_types(void **state)
{
    (void)state;
    struct buf b;
    gb_begin(&b, 3, 0, 1);
    gb_key(&b, "k", 13);
    assert_refused(&b, -EBADMSG, "unknown value type 13");
    gb_begin(&b, 3, 0, 1);
    gb_array(&b, "k", 77, 0);
    assert_refused(&b, -EBADMSG, "unknown value type 77");
    gb_begin(&b, 3, 0, 1);
    gb_key(&b, "k", GV_ARRAY);
    for (int i = 0; i < 1000; i++) {
        gb_int(&b, GV_ARRAY, 4);
        gb_int(&b, 1, 8);
    }
    gb_int(&b, GV_U8, 4);
    gb_int(&b, 0, 8);
    assert_refused(&b, -EBADMSG, "nested");
    gb_begin(&b, 3, 0, 1);
    gb_u32(&b, "general.alignment", 24);
    assert_refused(&b, -EBADMSG, "power of two");
    gb_begin(&b, 3, 0, 1);
    gb_u32(&b, "general.alignment", 0);
    assert_refused(&b, -EBADMSG, "power of two");
}

static void hostile_tensors(void **state)
{
    (void)state;
    struct buf b;
    gb_begin(&b, 3, 1, 0);
    gb_text(&b, "t");
    gb_int(&b, 5, 4);
    gb_data(&b, 1, 100);
    assert_refused(&b, -EBADMSG, "5 dimensions");
    gb_begin(&b, 3, 1, 0);
    gb_tensor(&b, "t", UINT64_C(1) << 33, UINT64_C(1) << 33, 0, 0);
    assert_refused(&b, -EBADMSG, "elements");
    gb_begin(&b, 3, 1, 0);
    gb_tensor(&b, "t", UINT64_C(1) << 40, 1, 0, UINT64_MAX - 5);
    assert_refused(&b, -EBADMSG, "larger than");
    gb_begin(&b, 3, 1, 0);
    gb_tensor(&b, "t", 1, 1, 0, UINT64_MAX - 5);
    assert_refused(&b, -ENODATA, "cut short");
    gb_begin(&b, 3, 1, 0);
    gb_int(&b, 70000, 8);
    gb_data(&b, 1, 70100);
    assert_refused(&b, -EBADMSG, "name");
    /* bytes over 2^64 although the elements are not: unknown, not small */
    gb_begin(&b, 3, 1, 0);
    gb_tensor(&b, "t", UINT64_C(1) << 62, 1, 28, 0);
    gb_data(&b, 32, 0);
    assert_int_equal(parse(&b), 0);
    assert_int_equal(info.tensor_bytes, 0);
}

static void tensor_types(void **state)
{
    (void)state;
    static const struct {
        uint32_t type;
        uint64_t bytes; /* of 512 elements */
    } cases[] = {{0, 2048}, {1, 1024},  {2, 288},  {8, 544},  {14, 420}, {16, 132},      {20, 288},
                 {29, 112}, {30, 1024}, {34, 108}, {35, 132}, {39, 272}, {40, 288},      {41, 72},
                 {42, 144}, {4, 0},     {31, 0},   {36, 0},   {43, 0},   {UINT32_MAX, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b;
        gb_begin(&b, 3, 1, 0);
        gb_tensor(&b, "t", 512, 1, cases[i].type, 0);
        gb_data(&b, 32, 2048);
        assert_int_equal(parse(&b), 0);
        assert_int_equal(info.tensor_bytes, cases[i].bytes);
        assert_int_equal(info.n_params, 512);
    }
}

static void broken_rows_are_unknown(void **state)
{
    (void)state;
    struct buf b;
    gb_begin(&b, 3, 1, 0);
    gb_tensor(&b, "t", 16, 2, 2, 0);
    gb_data(&b, 32, 18);
    assert_int_equal(parse(&b), 0);
    assert_int_equal(info.tensor_bytes, 0);
    assert_int_equal(info.n_params, 32);
}

static void cut_at_every_byte(void **state)
{
    (void)state;
    struct buf b;
    build_full(&b);
    for (size_t len = 0; len < b.len; len++) {
        int rc = parse_prefix(&b, len);
        if (rc >= 0 || !err.text[0])
            fail_msg("%zu of %zu bytes: %d \"%s\"", len, b.len, rc, err.text);
    }
    assert_int_equal(parse(&b), 0);
}

/* Every byte in turn set to every value of a few: no crash, no leak, whatever the answer. */
static void damage_at_every_byte(void **state)
{
    (void)state;
    static const unsigned char values[] = {0, 1, 0x7F, 0x80, 0xFF};
    struct buf b;
    build_full(&b);
    for (size_t i = 0; i < b.len; i++) {
        char old = b.data[i];
        for (size_t v = 0; v < sizeof values; v++) {
            b.data[i] = (char)values[v];
            (void)!parse_prefix(&b, b.len);
        }
        b.data[i] = old;
    }
    buf_finish(&b);
}

static void files_and_the_window(void **state)
{
    (void)state;
    struct tree t;
    struct buf b;
    tree_create(&t);
    build_full(&b);
    size_t whole = b.len;
    tree_put_buf(&t, "m.gguf", &b);
    const char *path = tree_path(&t, "m.gguf");
    assert_int_equal(gguf_read(path, &info, &err), 0);
    assert_int_equal(info.n_params, 586);
    for (size_t len = whole; len-- > 0;) {
        assert_int_equal(truncate(path, (off_t)len), 0);
        assert_true(gguf_read(path, &info, &err) < 0);
        assert_non_null(strstr(err.text, path));
    }
    assert_int_equal(gguf_read(t.root, &info, &err), -EINVAL);
    assert_int_equal(gguf_read(tree_path(&t, "none"), &info, &err), -ENOENT);
    assert_int_equal(mkfifo(tree_path(&t, "fifo"), 0600), 0);
    assert_int_equal(gguf_read(t.path, &info, &err), -EINVAL);
    tree_remove(&t);
}

/* A vocabulary of `tokens` strings and the keys around it, shifted by `shift` bytes. */
static void build_vocabulary(struct buf *b, unsigned tokens, size_t shift)
{
    char text[128];
    memset(text, 'p', sizeof text);
    gb_begin(b, 3, 1, 5);
    gb_string(b, "general.architecture", "llama");
    gb_key(b, "pad", GV_STRING);
    gb_bytes(b, text, shift);
    gb_array(b, "tokenizer.ggml.tokens", GV_STRING, tokens);
    for (unsigned i = 0; i < tokens; i++)
        gb_bytes(b, text, i % 13);
    gb_array(b, "tokenizer.ggml.scores", GV_F32, tokens);
    gb_data(b, 1, 4 * (size_t)tokens);
    gb_u32(b, "llama.context_length", 4321);
    gb_tensor(b, "t", 64, 1, 0, 0);
    gb_data(b, 32, 256);
}

static void strings_across_windows(void **state)
{
    (void)state;
    struct tree t;
    tree_create(&t);
    for (size_t shift = 0; shift < 24; shift++) {
        struct buf b;
        build_vocabulary(&b, 12000, shift);
        tree_put_buf(&t, "v.gguf", &b);
        assert_int_equal(gguf_read(tree_path(&t, "v.gguf"), &info, &err), 0);
        assert_int_equal(info.vocab_size, 12000);
        assert_int_equal(info.context_length, 4321);
        assert_int_equal(info.n_params, 64);
    }
    tree_remove(&t);
}

/* A string longer than the window, as chat templates and merges in one piece can be. */
static void long_strings(void **state)
{
    (void)state;
    struct tree t;
    struct buf b;
    char *text = malloc(300000);
    memset(text, 'x', 300000);
    tree_create(&t);
    gb_begin(&b, 3, 0, 4);
    gb_key(&b, "tokenizer.chat_template", GV_STRING);
    gb_bytes(&b, text, 300000);
    gb_array(&b, "list", GV_STRING, 2);
    gb_bytes(&b, text, 200000);
    gb_bytes(&b, text, 1);
    gb_bytes(&b, text, GGUF_MAX_KEY);
    gb_int(&b, GV_U8, 4);
    gb_int(&b, 0, 1);
    gb_string(&b, "general.name", "behind");
    tree_put_buf(&t, "l.gguf", &b);
    assert_int_equal(gguf_read(tree_path(&t, "l.gguf"), &info, &err), 0);
    assert_string_equal(info.name, "behind");
    assert_true(info.has_chat_template);
    free(text);
    tree_remove(&t);
}

static void big_vocabulary_is_fast(void **state)
{
    (void)state;
    struct tree t;
    struct buf b;
    tree_create(&t);
    build_vocabulary(&b, 150000, 0);
    double bytes = (double)b.len;
    tree_put_buf(&t, "v.gguf", &b);
    double before = tree_now_ms();
    assert_int_equal(gguf_read(tree_path(&t, "v.gguf"), &info, &err), 0);
    double ms = tree_now_ms() - before;
    print_message("150,000 tokens, %.1f MB: %.2f ms\n", bytes / 1e6, ms);
    assert_true(ms < 10000);
    tree_remove(&t);
}

/* A sparse file that claims a header of gigabytes. */
static void endless_header(void **state)
{
    (void)state;
    struct tree t;
    struct buf b;
    tree_create(&t);
    gb_begin(&b, 3, 0, 1);
    gb_array(&b, "k", GV_U8, UINT64_C(1) << 40);
    tree_put_buf(&t, "e.gguf", &b);
    assert_int_equal(truncate(tree_path(&t, "e.gguf"), (off_t)1 << 41), 0);
    assert_int_equal(gguf_read(t.path, &info, &err), -EBADMSG);
    assert_non_null(strstr(err.text, "256 MiB"));
    tree_remove(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_fields),
        cmocka_unit_test(parts_of_a_model),
        cmocka_unit_test(absent_fields),
        cmocka_unit_test(mmproj),
        cmocka_unit_test(architecture_last),
        cmocka_unit_test(unexpected_types),
        cmocka_unit_test(texts_are_clean),
        cmocka_unit_test(other_files),
        cmocka_unit_test(versions),
        cmocka_unit_test(hostile_counts),
        cmocka_unit_test(hostile_types),
        cmocka_unit_test(hostile_tensors),
        cmocka_unit_test(tensor_types),
        cmocka_unit_test(broken_rows_are_unknown),
        cmocka_unit_test(cut_at_every_byte),
        cmocka_unit_test(damage_at_every_byte),
        cmocka_unit_test(files_and_the_window),
        cmocka_unit_test(strings_across_windows),
        cmocka_unit_test(long_strings),
        cmocka_unit_test(big_vocabulary_is_fast),
        cmocka_unit_test(endless_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
