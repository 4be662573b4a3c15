/* SPDX-License-Identifier: MIT */
#include "server/footprint.h"

#include <stdlib.h>
#include <string.h>

#define MICRO_BATCH 512       /* llama-server's default --ubatch-size */
#define STATES 16             /* of the embedding's length, that computing a token keeps at once */
#define PROCESS (96ull << 20) /* of an engine without a model, its threads' stacks and buffers */

static const struct engine_arg *arg_of(const struct config *c, const struct engine_args *args,
                                       const char *name)
{
    const struct engine_option *option = engine_options_find(c->options, name, NULL);
    return option ? engine_args_get(args, option) : NULL;
}

static const char *text_of(const struct config *c, const struct engine_args *args, const char *name)
{
    const struct engine_arg *arg = arg_of(c, args, name);
    return arg ? arg->value : NULL;
}

static uint64_t number_of(const struct config *c, const struct engine_args *args, const char *name,
                          uint64_t otherwise)
{
    const char *text = text_of(c, args, name);
    long long n = text ? strtoll(text, NULL, 10) : 0;
    return n > 0 ? (uint64_t)n : otherwise;
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

static uint64_t context_of(const struct gguf_info *g, const struct config *c,
                           const struct engine_args *args)
{
    return number_of(c, args, "--ctx-size", g->context_length);
}

static uint64_t cache_bytes(const struct gguf_info *g, const struct config *c,
                            const struct engine_args *args)
{
    uint64_t heads = g->head_count_kv ? g->head_count_kv : g->head_count;
    uint64_t each = g->head_count ? g->embedding_length / g->head_count : 0;
    uint64_t k = g->key_length ? g->key_length : each;
    uint64_t v = g->value_length ? g->value_length : each;
    uint64_t tenths = k * tenths_of_type(text_of(c, args, "--cache-type-k")) +
                      v * tenths_of_type(text_of(c, args, "--cache-type-v"));
    return context_of(g, c, args) * g->block_count * heads * tenths / 80;
}

/* Of a token against one of the context: flash attention keeps a mask of half floats, without it
 * there is a score for each head. */
static uint64_t attention_bytes(const struct gguf_info *g, const struct config *c,
                                const struct engine_args *args)
{
    const char *flash = text_of(c, args, "--flash-attn");
    return flash && strcmp(flash, "off") == 0 ? g->head_count * sizeof(float) : 2;
}

static uint64_t compute_bytes(const struct gguf_info *g, const struct config *c,
                              const struct engine_args *args)
{
    uint64_t tokens = number_of(c, args, "--ubatch-size", MICRO_BATCH);
    uint64_t states = (g->vocab_size + (uint64_t)STATES * g->embedding_length) * sizeof(float);
    return tokens * (states + context_of(g, c, args) * attention_bytes(g, c, args));
}

static bool is_off(const struct config *c, const struct engine_args *args, const char *name)
{
    const struct engine_arg *arg = arg_of(c, args, name);
    return arg && (arg->negated || (arg->value && strcmp(arg->value, "0") == 0));
}

/* Whether the weights stay in the file's own pages, which engines share. What is locked counts as an
 * engine's own: engine/memory measures it so. */
static bool is_mapped(const struct config *c, const struct engine_args *args)
{
    const char *mode = text_of(c, args, "--load-mode");
    const struct engine_arg *lock = arg_of(c, args, "--mlock");
    return !is_off(c, args, "--mmap") && (!lock || lock->negated) &&
           (!mode || strcmp(mode, "auto") == 0 || strcmp(mode, "mmap") == 0);
}

static uint64_t mmproj_bytes(const struct catalog_model *m)
{
    return m->mmproj_info ? m->mmproj_info->tensor_bytes : 0;
}

void footprint_estimate(struct footprint *out, const struct catalog_model *m,
                        const struct config *c, const struct engine_args *args, size_t devices)
{
    bool offloads = devices > 1 && !is_off(c, args, "--n-gpu-layers");
    uint64_t rest = mmproj_bytes(m);
    *out = (struct footprint){.source = FOOTPRINT_ESTIMATED};
    if (m->header == MODEL_HEADER_READ)
        rest += cache_bytes(&m->info, c, args) + compute_bytes(&m->info, c, args);
    out->bytes[0] = PROCESS;
    if (offloads)
        for (size_t d = 1; d < devices; d++)
            out->bytes[d] = (m->size + rest) / (devices - 1);
    else if (is_mapped(c, args))
        out->mapped = m->size;
    else
        out->bytes[0] += m->size;
    if (!offloads)
        out->bytes[0] += rest;
}

/* `CUDA1` is `gpu1`: llama.cpp numbers those that it may use. Its own name for the host is `Host`;
 * what it calls by another name without a number is the host's too. */
static size_t device_of(const char *name, size_t devices)
{
    size_t letters = strcspn(name, "0123456789");
    size_t number = strtoul(name + letters, NULL, 10);
    return name[letters] && number + 1 < devices ? number + 1 : 0;
}

void footprint_from_fit(struct footprint *out, const struct fit *fit, const struct catalog_model *m,
                        const struct config *c, const struct engine_args *args, size_t devices)
{
    size_t last = 0;
    *out = (struct footprint){.source = FOOTPRINT_FITTED, .bytes[0] = PROCESS};
    for (size_t i = 0; i < fit->n; i++) {
        const struct fit_device *f = &fit->device[i];
        size_t d = device_of(f->name, devices);
        out->bytes[d] += f->context + f->compute;
        if (d == 0 && is_mapped(c, args))
            out->mapped += f->model;
        else
            out->bytes[d] += f->model;
        last = f->model && d > last ? d : last;
    }
    out->bytes[last] += mmproj_bytes(m);
}

void footprint_measure(struct footprint *f, const struct memory_use *use)
{
    bool first = f->source != FOOTPRINT_MEASURED;
    for (size_t d = 0; d < use->n; d++)
        if (first || use->bytes[d] > f->bytes[d])
            f->bytes[d] = use->bytes[d];
    f->source = FOOTPRINT_MEASURED;
    f->alone = false;
}

uint64_t footprint_context(const struct catalog_model *m, const struct config *c,
                           const struct engine_args *args)
{
    const struct engine_arg *unified =
        arg_of(c, args, "--kv-unified"); /* each may have all of it */
    bool shared = unified && !unified->negated;
    return context_of(&m->info, c, args) / (shared ? 1 : number_of(c, args, "--parallel", 1));
}

bool footprint_is_apart(const struct footprint *f, const struct catalog_model *m,
                        const struct config *c, const struct engine_args *args)
{
    uint64_t sum = f->mapped;
    for (size_t d = 0; d < MEMORY_DEVICES_MAX; d++)
        sum += f->bytes[d];
    return sum < m->size / 10 * 9 || arg_of(c, args, "--fit-target");
}

const char *footprint_source_name(enum footprint_source source)
{
    switch (source) {
    case FOOTPRINT_UNKNOWN:
        return "unknown";
    case FOOTPRINT_ESTIMATED:
        return "estimated";
    case FOOTPRINT_FITTED:
        return "fit-params";
    case FOOTPRINT_MEASURED:
        return "measured";
    case FOOTPRINT_GIVEN:
        return "given";
    }
    return "unknown";
}
