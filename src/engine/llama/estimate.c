/* SPDX-License-Identifier: MIT */
#include "engine/llama/estimate.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "engine/device_view.h"

#define MICRO_BATCH 512       /* llama-server's default --ubatch-size */
#define STATES 16             /* of the embedding's length, that computing a token keeps at once */
#define PROCESS (96ull << 20) /* of an engine without a model, its threads' stacks and buffers */

static const char *text_of(const struct engine_args *args, const char *name)
{
    const struct engine_arg *arg = engine_args_find(args, name);
    return arg ? arg->value : NULL;
}

static uint64_t number_of(const struct engine_args *args, const char *name, uint64_t otherwise)
{
    const char *text = text_of(args, name);
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

static uint64_t context_of(const struct engine_figures *f, const struct engine_args *args)
{
    return number_of(args, "--ctx-size", f->context_length);
}

static uint64_t cache_bytes(const struct engine_figures *f, const struct engine_args *args)
{
    uint64_t heads = f->head_count_kv ? f->head_count_kv : f->head_count;
    uint64_t each = f->head_count ? f->embedding_length / f->head_count : 0;
    uint64_t k = f->key_length ? f->key_length : each;
    uint64_t v = f->value_length ? f->value_length : each;
    uint64_t tenths = k * tenths_of_type(text_of(args, "--cache-type-k")) +
                      v * tenths_of_type(text_of(args, "--cache-type-v"));
    return context_of(f, args) * f->block_count * heads * tenths / 80;
}

/* Bytes for each pair of a token in the batch and a token of the context: flash attention keeps a mask
 * of half floats; without it there is a score for each head. */
static uint64_t attention_bytes(const struct engine_figures *f, const struct engine_args *args)
{
    const char *flash = text_of(args, "--flash-attn");
    return flash && strcmp(flash, "off") == 0 ? f->head_count * sizeof(float) : 2;
}

static uint64_t compute_bytes(const struct engine_figures *f, const struct engine_args *args)
{
    uint64_t tokens = number_of(args, "--ubatch-size", MICRO_BATCH);
    uint64_t states = (f->vocab_size + (uint64_t)STATES * f->embedding_length) * sizeof(float);
    return tokens * (states + context_of(f, args) * attention_bytes(f, args));
}

static bool is_off(const struct engine_args *args, const char *name)
{
    const struct engine_arg *arg = engine_args_find(args, name);
    return arg && (arg->negated || (arg->value && strcmp(arg->value, "0") == 0));
}

/* Whether the weights stay in the file's own pages, which engines share. Locked pages count as an
 * engine's own, because engine/memory measures them so. */
static bool is_mapped(const struct engine_args *args)
{
    const char *mode = text_of(args, "--load-mode");
    const struct engine_arg *lock = engine_args_find(args, "--mlock");
    return !is_off(args, "--mmap") && (!lock || lock->negated) &&
           (!mode || strcmp(mode, "auto") == 0 || strcmp(mode, "mmap") == 0);
}

/* Adds weights, and what else goes to the device. */
static void add(struct engine_estimate *out, const struct engine_question *q, size_t device,
                uint64_t weights, uint64_t rest)
{
    out->bytes[device] += rest;
    if (device == 0 && is_mapped(q->args))
        out->mapped += weights;
    else
        out->bytes[device] += weights;
}

/* Cards that llama.cpp uses when none is named: `list` gets their devices. */
static size_t default_devices(const struct device_view *v, size_t *list)
{
    size_t n = 0;
    for (size_t i = 0; i < v->n; i++)
        if (!v->integrated[i])
            list[n++] = v->device[i];
    for (size_t i = 0; i < v->n && !n; i++)
        list[n++] = v->device[i];
    return n;
}

static void estimate_in_view(struct engine_estimate *out, const struct engine_question *q,
                             const struct device_view *v)
{
    const struct engine_figures *f = &q->figures;
    size_t devices[VIEW_CARDS_MAX] = {0};
    size_t n = is_off(q->args, "--n-gpu-layers") ? 0 : default_devices(v, devices);
    uint64_t rest = f->projector_bytes;
    if (f->has_header)
        rest += cache_bytes(f, q->args) + compute_bytes(f, q->args);
    *out = (struct engine_estimate){.bytes[0] = PROCESS};
    if (!n)
        add(out, q, 0, f->file_bytes, rest);
    for (size_t i = 0; i < n; i++)
        add(out, q, devices[i], f->file_bytes / n, rest / n);
}

/* Where one of several cards may hold something, it counts on each. */
static void take_most(struct engine_estimate *out, const struct engine_estimate *other)
{
    for (size_t d = 0; d < MEMORY_DEVICES_MAX; d++)
        if (other->bytes[d] > out->bytes[d])
            out->bytes[d] = other->bytes[d];
    if (other->mapped > out->mapped)
        out->mapped = other->mapped;
}

static void find_views(struct device_views *out, const struct engine_question *q,
                       enum view_runtime runtime)
{
    static const struct card_list none;
    device_views_find(out, q->machine ? &q->machine->cards : &none, runtime, q->env, environ);
}

void llama_estimate(struct engine_estimate *out, const struct engine_question *q)
{
    struct device_views views;
    find_views(&views, q, VIEW_BY_CARDS);
    estimate_in_view(out, q, &views.view[0]);
    for (size_t i = 1; i < views.n; i++) {
        struct engine_estimate other;
        estimate_in_view(&other, q, &views.view[i]);
        take_most(out, &other);
    }
    out->undecided = views.undecided;
}

/* --- from llama-fit-params */

/* llama.cpp numbers the cards that it sees: `CUDA1` is the second one. It calls the host `Host`, and so do
 * we with a name that is not known. */
static size_t device_of(const char *name, const struct device_view *v)
{
    size_t letters = strcspn(name, "0123456789");
    size_t number = strtoul(name + letters, NULL, 10);
    return name[letters] && number < v->n ? v->device[number] : 0;
}

static void fit_in_view(struct engine_estimate *out, const struct fit *fit,
                        const struct engine_question *q, size_t view)
{
    size_t projector = 0; /* the last card with weights, or the host */
    *out = (struct engine_estimate){.bytes[0] = PROCESS};
    for (size_t i = 0; i < fit->n; i++) {
        const struct fit_device *f = &fit->device[i];
        struct device_views views;
        find_views(&views, q, device_view_runtime(f->name));
        size_t d = device_of(f->name, &views.view[view % views.n]);
        add(out, q, d, f->model, f->context + f->compute);
        projector = f->model && d ? d : projector;
    }
    out->bytes[projector] += q->figures.projector_bytes;
}

void llama_estimate_from_fit(struct engine_estimate *out, const struct fit *fit,
                             const struct engine_question *q)
{
    struct device_views views = {.n = 1};
    for (size_t i = 0; i < fit->n && views.n == 1; i++) {
        enum view_runtime runtime = device_view_runtime(fit->device[i].name);
        if (runtime != VIEW_BY_CARDS)
            find_views(&views, q, runtime);
    }
    fit_in_view(out, fit, q, 0);
    for (size_t i = 1; i < views.n; i++) {
        struct engine_estimate other;
        fit_in_view(&other, fit, q, i);
        take_most(out, &other);
    }
    out->undecided = views.undecided;
}

/* With a unified cache each request may have all of it, else its share. */
static uint64_t context_of_request(const struct engine_figures *f, const struct engine_args *args)
{
    const struct engine_arg *unified = engine_args_find(args, "--kv-unified");
    bool shared = unified && !unified->negated;
    return context_of(f, args) / (shared ? 1 : number_of(args, "--parallel", 1));
}

char *llama_memory_note(const struct engine_figures *f, const struct engine_args *args)
{
    uint64_t context = context_of_request(f, args), trained = f->context_length;
    if (!trained || context <= trained)
        return NULL;
    return mem_printf("a context of %llu tokens is more than the %llu that the model was trained "
                      "with: beyond these, answers are poor without --rope-scaling",
                      (unsigned long long)context, (unsigned long long)trained);
}

/* None of them names a file: a request must not make a program read or write one. llama.cpp would take
 * the count `64k` for 64. */
const struct engine_memory_option llama_memory_options[] = {
    {"ctx-size", true},      {"parallel", true},      {"batch-size", true},
    {"ubatch-size", true},   {"cache-type-k", false}, {"cache-type-v", false},
    {"n-gpu-layers", false}, {"n-cpu-moe", true},     {"cpu-moe", false},
    {"kv-offload", false},   {"kv-unified", false},   {"swa-full", false},
    {"flash-attn", false},   {"split-mode", false},   {"tensor-split", false},
    {"main-gpu", true},      {"mmap", false},         {"load-mode", false},
    {NULL, false},
};
