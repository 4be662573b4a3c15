/* SPDX-License-Identifier: MIT */
#include "engine/llama/cache.h"

#include <string.h>

#include "engine/llama/arg_value.h"
#include "engine/llama/product.h"

#define PAD 256         /* a cache's size is a multiple of it */
#define SLOTS 4         /* without --parallel; they share one cache then */
#define MICRO_BATCH 512 /* --ubatch-size */

static uint64_t pad(uint64_t n)
{
    return (n + PAD - 1) / PAD * PAD;
}

static uint64_t min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Tenths of a bit that a value in the cache takes, blocks' scales included; f16 is the default. */
static uint64_t tenths_of_type(const char *type)
{
    static const struct {
        const char *name;
        unsigned tenths;
    } types[] = {{"f32", 320},   {"q8_0", 85}, {"q4_0", 45}, {"q4_1", 50},
                 {"iq4_nl", 45}, {"q5_0", 55}, {"q5_1", 60}};
    for (size_t i = 0; type && i < sizeof types / sizeof *types; i++)
        if (strcmp(type, types[i].name) == 0)
            return types[i].tenths;
    return 160;
}

uint64_t cache_slots(const struct engine_args *args)
{
    return arg_number(args, "--parallel", SLOTS);
}

/* Whether one cache serves all slots. */
static bool is_unified(const struct engine_args *args)
{
    if (engine_args_find(args, "--kv-unified"))
        return arg_is_on(args, "--kv-unified");
    return !arg_number(args, "--parallel", 0);
}

uint64_t cache_context(const struct engine_figures *f, const struct engine_args *args)
{
    uint64_t per_slot = arg_number(args, "--kv-unified-per-slot", 0);
    return arg_number(args, "--ctx-size",
                      per_slot ? per_slot * cache_slots(args) : f->context_length);
}

/* Cells of a layer, of all slots together. `window`: 0 for the whole context. */
static uint64_t cells(const struct engine_figures *f, const struct engine_args *args,
                      uint64_t window)
{
    uint64_t slots = cache_slots(args), caches = is_unified(args) ? 1 : slots;
    uint64_t each = pad((cache_context(f, args) + caches - 1) / caches);
    uint64_t batch = arg_number(args, "--ubatch-size", MICRO_BATCH);
    if (window)
        each = min(each, pad(window * (slots / caches) + batch));
    return each * caches;
}

/* Layers with a window, for architectures whose header does not say: one in so many has none. */
static uint32_t period_of(const struct engine_figures *f)
{
    static const struct {
        const char *architecture;
        uint32_t period;
    } known[] = {{"gemma2", 2},          {"gemma3", 6},  {"gemma3n", 5},
                 {"gemma-embedding", 6}, {"gpt-oss", 2}, {"cohere2", 4},
                 {"olmo2", 4},           {"exaone4", 4}, {"smallthinker", 4}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(f->architecture, known[i].architecture) == 0)
            return known[i].period;
    return 0;
}

/* 0 where it is not known: they count as keeping all. */
static uint32_t window_layers(const struct engine_figures *f, const struct engine_args *args,
                              uint32_t caching)
{
    uint32_t period = f->swa_period > 1 ? f->swa_period : period_of(f);
    if (!f->sliding_window || arg_is_on(args, "--swa-full"))
        return 0;
    if (f->swa_layers)
        return (uint32_t)min(f->swa_layers, caching);
    return period ? caching - caching / period : 0;
}

/* --- states */

/* Of one slot and layer, 4 bytes a value. */
static uint64_t state_bytes(const struct engine_figures *f)
{
    uint64_t wide = f->ssm_inner_size + product(2ull * f->ssm_group_count, f->ssm_state_size);
    uint64_t before = f->ssm_conv_kernel ? f->ssm_conv_kernel - 1 : 0;
    uint64_t ssm = product(before, wide) + product(f->ssm_state_size, f->ssm_inner_size);
    uint64_t wkv = f->wkv_head_size ? product(f->embedding_length, 2ull + f->wkv_head_size) : 0;
    uint64_t convolution =
        f->shortconv_l_cache > 1 ? product(f->embedding_length, f->shortconv_l_cache - 1ull) : 0;
    return product(ssm + wkv + convolution, sizeof(float));
}

/* Not more than there are: a broken header's list of heads may be longer. */
static uint32_t caching_layers(const struct engine_figures *f, bool has_state)
{
    if (f->head_count_kv_layers)
        return (uint32_t)min(f->head_count_kv_layers, f->block_count);
    if (has_state && f->full_attention_interval)
        return f->block_count / f->full_attention_interval;
    if (has_state && (!f->head_count || !f->head_count_kv))
        return 0;
    return f->block_count;
}

/* --- all */

void cache_find(struct cache *out, const struct engine_figures *f, const struct engine_args *args,
                const char *type_k, const char *type_v)
{
    uint64_t state = state_bytes(f);
    uint32_t caching = caching_layers(f, state);
    uint64_t heads = f->head_count_kv ? f->head_count_kv : f->head_count;
    uint64_t each = f->head_count ? f->embedding_length / f->head_count : 0;
    uint64_t k = f->key_length ? f->key_length : each, v = f->value_length ? f->value_length : each;
    uint64_t tenths =
        k * tenths_of_type(arg_text(args, type_k)) + v * tenths_of_type(arg_text(args, type_v));
    if (f->head_count_kv_sum && f->head_count_kv_layers)
        heads = (f->head_count_kv_sum + f->head_count_kv_layers - 1) / f->head_count_kv_layers;
    *out = (struct cache){
        .window_layers = window_layers(f, args, caching),
        .full = product(cells(f, args, 0), product(heads, tenths)) / 80,
        .window = product(cells(f, args, f->sliding_window), product(heads, tenths)) / 80,
        .state = product(state, cache_slots(args)),
        .cell = product(heads, tenths) / 80,
        .guessed = state};
    out->full_layers = caching - out->window_layers;
    if (state) /* where attention and state are in each layer, no header says that of only some */
        out->state_layers = caching == f->block_count ? caching : f->block_count - caching;
}

uint64_t cache_beyond_one_slot(const struct cache *c, const struct engine_figures *f,
                               const struct engine_args *args)
{
    if (arg_number(args, "--parallel", 0))
        return 0;
    uint64_t many = cells(f, args, f->sliding_window);
    uint64_t one = min(pad(cache_context(f, args)),
                       pad(f->sliding_window + arg_number(args, "--ubatch-size", MICRO_BATCH)));
    uint64_t windows = c->window_layers && many > one ? c->window / many * (many - one) : 0;
    return product(windows, c->window_layers) +
           product(c->state / SLOTS * (SLOTS - 1), c->state_layers);
}

#define CELL_HEAD 16 /* bytes for each token of a checkpoint: its position, and whose it is */

uint64_t cache_checkpoint(const struct cache *c, const struct engine_figures *f,
                          const struct engine_args *args)
{
    uint64_t slots = cache_slots(args);
    uint64_t context = cache_context(f, args) / (is_unified(args) ? 1 : slots);
    uint64_t tokens = c->window_layers ? min(context, f->sliding_window) : 0;
    return product(tokens, product(c->window_layers, c->cell) + CELL_HEAD) +
           product(c->state / slots, c->state_layers);
}

/* Of `some` in `all` layers, at most so many are among `layers` in a row. */
static uint64_t among(uint32_t some, uint32_t layers, uint32_t all)
{
    uint64_t most = all ? ((uint64_t)layers * some + all - 1) / all : 0;
    return min(most, min(some, layers));
}

uint64_t cache_bytes(const struct cache *c, uint32_t layers, uint32_t all)
{
    return product(among(c->full_layers, layers, all), c->full) +
           product(among(c->window_layers, layers, all), c->window) +
           product(among(c->state_layers, layers, all), c->state);
}
