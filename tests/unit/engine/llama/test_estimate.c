/* SPDX-License-Identifier: MIT */
/* Figures are worked out by hand: for each token 30 layers × 3 heads × (64 + 64) values, and for 512
 * tokens at once 49152 logits and 16 × 576 values of 4 bytes each, and a mask of 2 bytes for each
 * token of the context. */
#include "estimate_test.h"

#include <string.h>

#include "engine/llama/cache.h"

/* 16 MiB, 30 blocks of 128 KiB, 320 bytes for each token of the vocabulary, and for each of 4 slots 16 */
#define PROCESS (16 * MIB + 30 * 131072 + 384 * 49152)
#define CHOICE (4 * 49152 * 16)
#define WITH_CARDS (96 * MIB) /* at least, with a card in the machine */
#define CACHE 188743680u      /* 8192 × 30 × 3 × 128 × 2 bytes: 180 MiB */
#define STATES 18874368u      /* 512 × 9216 × 4 */
#define LOGITS 1572864u   /* 2 × 4 × 49152 × 4: of the last token of each request, and a copy */
#define ANSWER 100663296u /* 512 × 49152 × 4: of all tokens */
#define MASK (8 * MIB)    /* 512 × 8192 × 2 */
#define COMPUTE (STATES + MASK + LOGITS)
#define ON_CARD (STATES + MASK + ANSWER)
#define RUNTIME (512 * MIB)
#define INPUT (512 * 576 * 4u) /* of the host, when cards do the rest */

static struct engine_estimate f;

static int set_up(void **state)
{
    (void)state;
    smol_set_up();
    f = (struct engine_estimate){0};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    smol_finish();
    return 0;
}

static void estimate(size_t devices)
{
    const struct engine_question q = {.figures = figures, .args = &args, .machine = &machine};
    set_machine(devices);
    llama_kind.estimate(&f, &q);
}

static void on_the_host(void **state)
{
    (void)state;
    estimate(1);
    assert_int_equal(f.bytes[0], PROCESS + CACHE + COMPUTE);
    assert_int_equal(f.batches, COMPUTE + CHOICE);
    assert_int_equal(f.mapped, SIZE);
    set_arg("--ctx-size", "4096"); /* 90 MiB, as llama-fit-params says of this model */
    estimate(1);
    assert_int_equal(f.bytes[0], PROCESS + 90 * MIB + STATES + LOGITS + MASK / 2);
    set_arg("--ctx-size", "0"); /* the model's own */
    estimate(1);
    assert_int_equal(f.bytes[0], PROCESS + CACHE + COMPUTE);
    set_arg("--ubatch-size", "128");
    estimate(1);
    assert_int_equal(f.bytes[0], PROCESS + CACHE + (STATES + MASK) / 4 + LOGITS);
}

/* Without flash attention it keeps a score of 4 bytes for each of 9 heads. */
static void attention(void **state)
{
    (void)state;
    set_arg("--flash-attn", "auto");
    estimate(1);
    assert_int_equal(f.bytes[0], PROCESS + CACHE + COMPUTE);
    set_arg("--flash-attn", "off");
    estimate(1);
    assert_int_equal(f.bytes[0], PROCESS + CACHE + STATES + LOGITS + 18 * MASK);
}

/* Bytes that 32 values take, scales included. */
static void types_of_the_cache(void **state)
{
    static const struct {
        const char *name;
        unsigned bytes;
    } types[] = {{"f32", 128}, {"f16", 64},    {"bf16", 64}, {"q8_0", 34}, {"q5_1", 24},
                 {"q5_0", 22}, {"iq4_nl", 18}, {"q4_1", 20}, {"q4_0", 18}, {"unheard", 64}};
    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        set_arg("--cache-type-k", types[i].name);
        set_arg("--cache-type-v", types[i].name);
        estimate(1);
        assert_int_equal(f.bytes[0], PROCESS + COMPUTE + CACHE / 64 * types[i].bytes);
    }
    set_arg("--cache-type-k", "q8_0");
    set_arg("--cache-type-v", "f16");
    estimate(1);
    assert_int_equal(f.bytes[0], PROCESS + COMPUTE + CACHE / 128 * (34 + 64));
}

static void what_the_header_says_of_heads(void **state)
{
    (void)state;
    figures.key_length = 128;
    figures.value_length = 64;
    estimate(1);
    assert_int_equal(f.bytes[0], PROCESS + COMPUTE + CACHE / 2 * 3);
    figures.key_length = figures.value_length = 0;
    figures.head_count_kv = 0; /* as many as there are heads */
    estimate(1);
    assert_int_equal(f.bytes[0], PROCESS + COMPUTE + 3 * CACHE);
    figures.head_count = 0; /* nobody knows */
    estimate(1);
    assert_int_equal(f.bytes[0], PROCESS + COMPUTE);
    figures.has_header = false;
    estimate(1);
    assert_int_equal(f.bytes[0], 96 * MIB + CHOICE);
    assert_int_equal(f.mapped, SIZE);
}

static void weights_that_are_not_mapped(void **state)
{
    static const char *const modes[] = {"auto", "mmap", "none", "mlock", "mmap+mlock", "dio"};
    (void)state;
    set_arg("--no-mmap", NULL);
    estimate(1);
    assert_int_equal(f.mapped, 0);
    assert_int_equal(f.bytes[0], PROCESS + SIZE + CACHE + COMPUTE);
    engine_args_finish(&args);
    set_arg("--mlock", NULL);
    estimate(1);
    assert_int_equal(f.mapped, 0);
    engine_args_finish(&args);
    set_arg("--mmap", NULL);
    estimate(1);
    assert_int_equal(f.mapped, SIZE);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        set_arg("--load-mode", modes[i]);
        estimate(1);
        assert_int_equal(f.mapped, i < 2 ? SIZE : 0);
        assert_int_equal(f.bytes[0] + f.mapped, PROCESS + SIZE + CACHE + COMPUTE);
    }
}

static void on_one_card(void **state)
{
    (void)state;
    figures.projector_bytes = 10 * MIB;
    estimate(2);
    assert_int_equal(f.bytes[0], WITH_CARDS + CHOICE + INPUT + MASK + LOGITS / 2);
    assert_int_equal(f.bytes[1], RUNTIME + SIZE + 10 * MIB + CACHE + ON_CARD);
    assert_int_equal(f.mapped, 0);
    set_arg("--n-gpu-layers", "99");
    estimate(2);
    assert_int_equal(f.bytes[1], RUNTIME + SIZE + 10 * MIB + CACHE + ON_CARD);
    set_arg("--n-gpu-layers", "0"); /* the projector stays */
    estimate(2);
    assert_int_equal(f.bytes[0], WITH_CARDS + CHOICE + CACHE + COMPUTE);
    assert_int_equal(f.bytes[1], RUNTIME + 10 * MIB);
    assert_int_equal(f.mapped, SIZE);
}

/* --- llama-fit-params ---------------------------------------------------------------------------
 */

static void add(struct fit *fit, const char *name, uint64_t weights, uint64_t context,
                uint64_t compute)
{
    struct fit_device *d = &fit->device[fit->n++];
    strcpy(d->name, name);
    d->model = weights * MIB;
    d->context = context * MIB;
    d->compute = compute * MIB;
}

static void take(const struct fit *fit)
{
    const struct engine_question q = {.figures = figures, .args = &args, .machine = &machine};
    llama_estimate_from_fit(&f, fit, &q);
}

static void fitted_on_the_host(void **state)
{
    struct fit fit = {0};
    (void)state;
    add(&fit, "Host", 92, 90, 106);
    figures.projector_bytes = 10 * MIB;
    set_machine(1);
    take(&fit);
    assert_int_equal(f.bytes[0], PROCESS + 100 * MIB + COMPUTE);
    assert_int_equal(f.batches, COMPUTE + CHOICE);
    assert_int_equal(f.mapped, 92 * MIB);
    set_arg("--no-mmap", NULL);
    take(&fit);
    assert_int_equal(f.bytes[0], PROCESS + (92 + 100) * MIB + COMPUTE);
    assert_int_equal(f.mapped, 0);
}

static void fitted_over_cards(void **state)
{
    struct fit fit = {0};
    (void)state;
    figures.projector_bytes = 10 * MIB;
    add(&fit, "CUDA0", 1000, 100, 10);
    add(&fit, "CUDA1", 2000, 200, 20);
    add(&fit, "Host", 300, 0, 5);
    set_machine(3);
    take(&fit);
    assert_int_equal(f.bytes[0], WITH_CARDS + CHOICE + 5 * MIB + LOGITS / 2);
    assert_int_equal(f.mapped, 300 * MIB);
    assert_int_equal(f.bytes[1], RUNTIME + (1110 + 10) * MIB);
    assert_int_equal(f.batches, CHOICE + LOGITS / 2);
    assert_int_equal(f.bytes[2], RUNTIME + 2220 * MIB);
}

static void fitted_by_other_names(void **state)
{
    static const char *const on_the_host[] = {"Host",  "CPU",   "CUDA_Host",      "Metal",
                                              "CUDA2", "CUDA9", "CUDA99999999999"};
    static const char *const on_the_card[] = {"CUDA0", "Vulkan0", "ROCm0", "HIP0"};
    static const enum card_vendor vendors[] = {CARD_NVIDIA, CARD_NVIDIA, CARD_AMD, CARD_AMD};
    (void)state;
    set_arg("--no-mmap", NULL);
    for (size_t i = 0; i < sizeof on_the_host / sizeof *on_the_host; i++) {
        struct fit fit = {0};
        add(&fit, on_the_host[i], 1, 2, 3);
        set_machine(3);
        take(&fit);
        bool names_card = strncmp(on_the_host[i], "CUDA", 4) == 0 && on_the_host[i][4] != '_';
        uint64_t process = names_card ? WITH_CARDS + CHOICE : PROCESS;
        assert_int_equal(f.bytes[0], process + 6 * MIB + LOGITS / 2);
        assert_int_equal(f.bytes[1] + f.bytes[2], 0);
    }
    for (size_t i = 0; i < sizeof on_the_card / sizeof *on_the_card; i++) {
        struct fit fit = {0};
        add(&fit, on_the_card[i], 1, 2, 3);
        set_machine(3);
        machine.cards.card[0].vendor = machine.cards.card[1].vendor = vendors[i];
        take(&fit);
        assert_int_equal(f.bytes[0], WITH_CARDS + CHOICE + LOGITS / 2);
        assert_int_equal(f.bytes[1], RUNTIME + 6 * MIB);
    }
}

/* An embedding of each token: logits of the whole batch, and a copy of them. */
static void embeddings_of_tokens(void **state)
{
    const uint64_t rest = PROCESS + CACHE + STATES + MASK;
    (void)state;
    set_arg("--embedding", NULL);
    estimate(1);
    assert_int_equal(f.bytes[0], rest + 2 * ANSWER);
    figures.has_pooling = true;
    estimate(1);
    assert_int_equal(f.bytes[0], rest + LOGITS);
    set_arg("--pooling", "none");
    estimate(1);
    assert_int_equal(f.bytes[0], rest + 2 * ANSWER);
    figures.has_pooling = false;
    set_arg("--pooling", "mean");
    estimate(1);
    assert_int_equal(f.bytes[0], rest + LOGITS);
}

/* What computing keeps is by the blocks' width where that is more than usual: 3 × 6912 + 8 × 576 values, or, for 8
 * experts of 768, 8 × (3 × 768 + 2 × 576) + 8 × 576. */
static void wide_blocks(void **state)
{
    const uint64_t rest = PROCESS + CACHE + MASK + LOGITS;
    (void)state;
    figures.feed_forward_length = 1536; /* the usual 2.7 times: less than 16 × 576 counts */
    estimate(1);
    assert_int_equal(f.bytes[0], rest + STATES);
    figures.feed_forward_length = 6912;
    estimate(1);
    assert_int_equal(f.bytes[0], rest + (uint64_t)512 * (3 * 6912 + 8 * 576) * 4);
    figures.feed_forward_length = 1536;
    figures.expert_feed_forward_length = 768;
    figures.expert_used_count = 8;
    estimate(1);
    assert_int_equal(f.bytes[0], rest + (uint64_t)512 * (8 * (3 * 768 + 2 * 576) + 8 * 576) * 4);
}

/* --- headers and arguments that cannot be true */

static uint64_t on_the_card(void)
{
    estimate(2);
    return f.bytes[1];
}

/* Layers are placed one by one, on the daemon's loop. */
static void layers_without_number(void **state)
{
    (void)state;
    figures.block_count = 1024;
    uint64_t many = on_the_card();
    figures.block_count = 4000000000;
    assert_int_equal(on_the_card(), many);
    figures.block_count = UINT32_MAX;
    assert_int_equal(on_the_card(), many);
}

/* 2^57, as a product of 64 bits comes to 0. */
static void numbers_that_would_wrap(void **state)
{
    static const uint64_t tib = (uint64_t)1 << 40;
    (void)state;
    set_arg("--ctx-size", "144115188075855872");
    estimate(1);
    assert_true(f.bytes[0] > 40 * tib);
    set_arg("--ubatch-size", "144115188075855872");
    estimate(1);
    assert_true(f.bytes[0] > 1000 * tib);
    set_arg("--parallel", "144115188075855872");
    estimate(1);
    assert_true(f.bytes[0] > 1000 * tib);
    estimate(3);
    assert_true(f.bytes[0] > 1000 * tib && f.bytes[1] > 1000 * tib && f.bytes[2] > 1000 * tib);
}

static void figures_that_would_wrap(void **state)
{
    const uint64_t pib = (uint64_t)1 << 50;
    (void)state;
    figures.embedding_length = figures.vocab_size = figures.context_length = UINT32_MAX;
    figures.ssm_inner_size = figures.ssm_state_size = figures.ssm_group_count = UINT32_MAX;
    figures.ssm_conv_kernel = figures.wkv_head_size = figures.shortconv_l_cache = UINT32_MAX;
    figures.file_bytes = figures.block_bytes = figures.block_most = UINT64_MAX;
    figures.input_bytes = figures.output_bytes = figures.expert_bytes = UINT64_MAX;
    figures.projector_bytes = UINT64_MAX;
    estimate(1);
    assert_true(f.bytes[0] > pib && f.bytes[0] < 1000 * pib && f.mapped > pib);
    estimate(2);
    assert_true(f.bytes[1] > pib && f.bytes[1] < 1000 * pib);
}

static void more_lists_of_heads_than_layers(void **state)
{
    struct cache cache;
    (void)state;
    figures.ssm_conv_kernel = 4;
    figures.ssm_inner_size = 1024;
    figures.ssm_state_size = 16;
    figures.head_count_kv_sum = 180;
    figures.head_count_kv_layers = 60;
    cache_find(&cache, &figures, &args, "--cache-type-k", "--cache-type-v");
    assert_in_range(cache.state_layers, 1, figures.block_count);
    assert_in_range(cache.full_layers, 1, figures.block_count);
}

#define ESTIMATE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ESTIMATE_TEST(on_the_host),
        ESTIMATE_TEST(attention),
        ESTIMATE_TEST(types_of_the_cache),
        ESTIMATE_TEST(what_the_header_says_of_heads),
        ESTIMATE_TEST(weights_that_are_not_mapped),
        ESTIMATE_TEST(on_one_card),
        ESTIMATE_TEST(fitted_on_the_host),
        ESTIMATE_TEST(fitted_over_cards),
        ESTIMATE_TEST(fitted_by_other_names),
        ESTIMATE_TEST(embeddings_of_tokens),
        ESTIMATE_TEST(wide_blocks),
        ESTIMATE_TEST(layers_without_number),
        ESTIMATE_TEST(numbers_that_would_wrap),
        ESTIMATE_TEST(figures_that_would_wrap),
        ESTIMATE_TEST(more_lists_of_heads_than_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
