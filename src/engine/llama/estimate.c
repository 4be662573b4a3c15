/* SPDX-License-Identifier: MIT */
#include "engine/llama/estimate.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "engine/llama/cache.h"
#include "engine/llama/product.h"
#include "engine/llama/prompt_cache.h"
#include "engine/llama/spread.h"
#include "engine/llama/arg_value.h"

#define MIB ((uint64_t)1 << 20)
#define MICRO_BATCH 512 /* llama-server's default --ubatch-size */
#define STATES 16       /* of the embedding's length, that computing a token keeps at once */
/* Of the host, beside weights, caches and what is computed; docs/memory.md has what was measured. */
#define PROCESS (16 * MIB)        /* the program, its threads' stacks and buffers: 7 to 10 MiB */
#define TOKEN 320                 /* of the vocabulary, its merges included: 190 to 310 bytes */
#define BLOCK ((uint64_t)1 << 17) /* descriptions of its tensors and of the graph */
#define CHOICE 16 /* bytes for each slot and token of the vocabulary: candidates for the next one */
#define DRIVERS (96 * MIB)  /* at least, where there are cards: no figure of a driver yet */
#define RUNTIME (512 * MIB) /* of a card that is used, by CUDA's context and its like: likewise */
#define COPIES 4 /* of masks, where several cards work on batches in turn (GGML_SCHED_MAX_COPIES) */
#define BLOCKS_MAX 1024        /* llama.cpp takes no model with more than 512 (LLAMA_MAX_LAYERS) */
#define LEFT_FREE (1024 * MIB) /* of a card, by --fit: its --fit-target */

/* --- computing */

/* Bytes for each pair of a token in the batch and a token of the context: flash attention keeps a mask
 * of half floats; without it there is a score for each head. */
static uint64_t attention_bytes(const struct engine_figures *f, const struct engine_args *args)
{
    const char *flash = arg_text(args, "--flash-attn");
    return flash && strcmp(flash, "off") == 0 ? f->head_count * sizeof(float) : 2;
}

/*
 * Values that computing a token keeps at once: by the embedding's length or, where the header tells the width of the
 * blocks, by that: gate, up and their product, for each expert that is used, whose results wait to be added up.
 */
static uint64_t state_values(const struct engine_figures *f)
{
    uint64_t embedding = f->embedding_length, least = product(STATES, embedding);
    uint64_t experts = f->expert_used_count;
    uint64_t width =
        f->expert_feed_forward_length ? f->expert_feed_forward_length : f->feed_forward_length;
    uint64_t wide = product(3, f->feed_forward_length);
    uint64_t used = product(experts, 3 * width + 2 * embedding);
    uint64_t most = (used > wide ? used : wide) + STATES / 2 * embedding;
    return most > least ? most : least;
}

/* Whether each token's embedding is an answer of its own. */
static bool embeds_tokens(const struct engine_figures *f, const struct engine_args *args)
{
    const char *pooling = arg_text(args, "--pooling");
    return arg_is_on(args, "--embedding") &&
           (pooling ? strcmp(pooling, "none") == 0 : !f->has_pooling);
}

/* Logits are made of the last token of each request; of more where tokens are guessed in advance. */
static uint64_t answered(const struct engine_figures *f, const struct engine_args *args,
                         uint64_t tokens)
{
    uint64_t slots = cache_slots(args);
    if (embeds_tokens(f, args) || arg_text(args, "--spec-type") ||
        engine_args_role(args, ENGINE_OPTION_DRAFT))
        return tokens;
    return slots < tokens ? slots : tokens;
}

struct compute {
    uint64_t states, masks; /* bytes */
    uint64_t answer;        /* that the buffer on the device with the answer's tensors has, */
    uint64_t logits;        /* and what of it is written: the rest takes no memory on the host, */
    uint64_t kept;          /* where a copy of it is */
};

static struct compute compute_of(const struct engine_figures *f, const struct engine_args *args)
{
    uint64_t tokens = arg_number(args, "--ubatch-size", MICRO_BATCH);
    uint64_t logits = product(answered(f, args, tokens), sizeof(float) * f->vocab_size);
    return (struct compute){
        .states = product(tokens, product(sizeof(float), state_values(f))),
        .masks = product(product(tokens, cache_context(f, args)), attention_bytes(f, args)),
        .answer = product(tokens, sizeof(float) * f->vocab_size),
        .logits = logits,
        .kept = logits,
    };
}

/* Of the host whatever computes: what the program itself keeps. */
static uint64_t vocabulary_bytes(const struct engine_figures *f)
{
    return product(TOKEN, f->vocab_size) +
           product(BLOCK, f->block_count < 1024 ? f->block_count : 1024);
}

/* Candidates for each slot's next token. */
static uint64_t choice_bytes(const struct engine_question *q)
{
    return product(cache_slots(q->args), (uint64_t)CHOICE * q->figures.vocab_size);
}

static uint64_t process_bytes(const struct engine_question *q)
{
    const struct engine_figures *f = &q->figures;
    uint64_t bytes = PROCESS + vocabulary_bytes(f);
    bool may_have_more = !f->has_header || (q->machine && q->machine->cards.n);
    return may_have_more && bytes < DRIVERS ? DRIVERS : bytes;
}

/* --- weights */

struct weights {
    uint64_t input, output, blocks, most,
        experts;  /* as in engine_figures; of one of a block's tensors of experts */
    bool guessed; /* the header does not tell the parts */
};

static struct weights weights_of(const struct engine_figures *f)
{
    uint64_t layers = f->block_count + 1ull;
    if (f->block_bytes)
        return (struct weights){
            .input = f->input_bytes,
            .output = f->output_bytes ? f->output_bytes : f->input_bytes,
            .blocks = f->block_bytes,
            .most = f->block_most,
            .experts = f->block_count ? f->expert_bytes / f->block_count / SPREAD_EXPERTS : 0};
    return (struct weights){.output = f->file_bytes / layers,
                            .blocks = f->file_bytes - f->file_bytes / layers,
                            .most = f->file_bytes / layers + f->file_bytes / layers / 4,
                            .guessed = true};
}

/* At most, of so many blocks. */
static uint64_t blocks_bytes(const struct weights *w, uint64_t n)
{
    uint64_t most = product(n, w->most);
    return most < w->blocks ? most : w->blocks;
}

/* --- adding up */

/* Whether the weights stay in the file's own pages, which engines share. Locked pages count as an
 * engine's own, because engine/memory measures them so. */
static bool is_mapped(const struct engine_args *args)
{
    const char *mode = arg_text(args, "--load-mode");
    return !arg_is_off(args, "--mmap") && !arg_is_on(args, "--mlock") &&
           (!mode || strcmp(mode, "auto") == 0 || strcmp(mode, "mmap") == 0);
}

/* What requests' batches fill on the host. Buffers on cards are there as a whole from the beginning. */
static void add_batches(struct engine_estimate *out, uint64_t bytes)
{
    out->bytes[0] += bytes;
    out->batches += bytes;
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

/* One model: the one that is asked for, or its draft. */
struct part {
    const struct engine_question *q;
    const struct engine_figures *f;
    const struct spread_options *options;
    const char *type_k, *type_v;
    size_t alternative;
    struct spread spread;
    struct cache cache;
    struct weights weights;
    struct compute compute;
};

static uint64_t share_of(const struct spread_card *card, uint64_t bytes)
{
    return (uint64_t)(card->share * (double)bytes);
}

static uint64_t card_weights(const struct part *p, const struct spread_card *card)
{
    const struct weights *w = &p->weights;
    uint64_t bytes = blocks_bytes(w, card->layers),
             away = product(card->layers * SPREAD_EXPERTS - card->experts, w->experts);
    if (p->spread.mode != SPREAD_LAYERS || !p->f->block_count)
        return share_of(card, w->blocks + w->output);
    return bytes - (away < bytes ? away : bytes) + (card->output ? w->output : 0);
}

static uint64_t card_cache(const struct part *p, const struct spread_card *card)
{
    uint32_t all = p->f->block_count;
    switch (p->spread.mode) {
    case SPREAD_LAYERS:
        break;
    case SPREAD_ROWS:
        return cache_bytes(&p->cache, card->is_main ? all : card->layers, all);
    case SPREAD_TENSORS:
        return share_of(card, cache_bytes(&p->cache, all, all));
    }
    return cache_bytes(&p->cache, card->layers, all);
}

/* Weights of the host that are brought to a card for a large batch, one tensor at a time: of a block not more than all. */
static uint64_t brought(const struct part *p)
{
    if (arg_is_off(p->q->args, "--op-offload"))
        return 0;
    if (p->spread.host_layers)
        return p->weights.most;
    return p->spread.host_experts ? p->weights.experts : 0;
}

static uint64_t card_compute(const struct part *p, const struct spread_card *card)
{
    const struct compute *c = &p->compute;
    bool answers = card->output || card->is_main || p->spread.mode == SPREAD_TENSORS;
    uint64_t masks = c->masks * (p->spread.n > 1 ? COPIES : 1);
    return c->states + masks + (answers ? c->answer : 0) + brought(p);
}

/* Where a card has no room for all that --fit would put there, layers go to the host. */
static void add_overflow(struct engine_estimate *out, const struct part *p, size_t device,
                         uint64_t weights)
{
    uint64_t total = device ? p->q->machine->device[device].total : 0;
    uint64_t room = total > LEFT_FREE ? total - LEFT_FREE : 0;
    uint64_t over = out->bytes[device] > room ? out->bytes[device] - room : 0;
    if (!device || !over || !p->spread.is_auto || arg_is_off(p->q->args, "--fit"))
        return;
    out->guessed = true;
    add(out, p->q, 0, over < weights ? over : weights, 0);
}

static void add_card(struct engine_estimate *out, const struct part *p,
                     const struct spread_card *card)
{
    uint64_t weights = card_weights(p, card), cache = card_cache(p, card);
    bool used = weights || cache;
    bool keeps = !arg_is_off(p->q->args, "--kv-offload");
    if (!used)
        return;
    add(out, p->q, card->device, weights, (keeps ? cache : 0) + card_compute(p, card));
    out->bytes[0] += keeps ? 0 : cache;
    add_overflow(out, p, card->device, weights);
}

/* Of the host when cards do the rest: the input's tensors, layers that stay, and what is handed over. */
static void add_host(struct engine_estimate *out, const struct part *p)
{
    const struct spread *s = &p->spread;
    uint64_t weights = p->weights.input + blocks_bytes(&p->weights, s->host_layers);
    uint64_t tokens = arg_number(p->q->args, "--ubatch-size", MICRO_BATCH);
    uint64_t rest = cache_bytes(&p->cache, s->host_layers, p->f->block_count);
    weights += product(s->host_experts, p->weights.experts);
    rest += product(tokens, sizeof(float) * p->f->embedding_length) + p->compute.masks;
    if (s->host_layers || s->host_experts)
        rest += p->compute.states;
    add(out, p->q, 0, weights, p->f->has_header ? rest : 0);
    add_batches(out, p->f->has_header ? p->compute.kept : 0);
}

static void add_alone(struct engine_estimate *out, const struct part *p)
{
    const struct compute *c = &p->compute;
    uint32_t all = p->f->block_count;
    add(out, p->q, 0, p->f->file_bytes, p->f->has_header ? cache_bytes(&p->cache, all, all) : 0);
    add_batches(out, p->f->has_header ? c->states + c->masks + c->logits + c->kept : 0);
}

/* Figures of a broken header: the layers are counted one by one, and bytes are added up. */
static struct engine_figures bounded(struct engine_figures f)
{
    uint64_t *bytes[] = {&f.file_bytes,  &f.input_bytes, &f.output_bytes,
                         &f.block_bytes, &f.block_most,  &f.expert_bytes};
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++)
        *bytes[i] = product_bound(*bytes[i]);
    f.block_count = f.block_count < BLOCKS_MAX ? f.block_count : BLOCKS_MAX;
    return f;
}

static void add_part(struct engine_estimate *out, struct part p)
{
    const struct engine_figures f = bounded(*p.f);
    p.f = &f;
    spread_find(&p.spread, p.q, p.f, p.options, p.alternative);
    cache_find(&p.cache, p.f, p.q->args, p.type_k, p.type_v);
    p.weights = weights_of(p.f);
    p.compute = compute_of(p.f, p.q->args);
    out->guessed |= !p.f->has_header || p.cache.guessed || p.spread.guessed;
    if (!p.spread.n) {
        add_alone(out, &p);
        return;
    }
    out->guessed |= p.weights.guessed;
    for (size_t i = 0; i < p.spread.n; i++)
        add_card(out, &p, &p.spread.card[i]);
    add_host(out, &p);
}

/* llama-fit-params leaves the draft model and the projector out. */
static void add_draft(struct engine_estimate *out, const struct engine_question *q,
                      size_t alternative)
{
    const struct engine_arg *named = engine_args_role(q->args, ENGINE_OPTION_DRAFT);
    struct engine_figures f = q->draft;
    if (q->figures.context_length)
        f.context_length = q->figures.context_length; /* it follows the model's */
    out->guessed |= named && !f.file_bytes;
    out->bytes[0] += named ? vocabulary_bytes(&f) : 0;
    if (named && f.file_bytes)
        add_part(out, (struct part){.q = q,
                                    .f = &f,
                                    .options = &spread_of_draft,
                                    .type_k = "--cache-type-k-draft",
                                    .type_v = "--cache-type-v-draft",
                                    .alternative = alternative});
}

static void add_projector(struct engine_estimate *out, const struct engine_question *q,
                          size_t alternative)
{
    if (!arg_is_off(q->args, "--mmproj-auto"))
        out->bytes[spread_projector(q, alternative)] += product_bound(q->figures.projector_bytes);
}

/* Each card that is used has its runtime's memory, once. */
static void add_runtimes(struct engine_estimate *out)
{
    for (size_t d = 1; d < MEMORY_DEVICES_MAX; d++)
        if (out->bytes[d])
            out->bytes[d] += RUNTIME;
}

/* --- alternatives: where one of several cards may hold something, it counts on each */

struct range {
    struct engine_estimate most;
    uint64_t least[MEMORY_DEVICES_MAX];
};

static void take_first(struct range *r, const struct engine_estimate *e)
{
    r->most = *e;
    memcpy(r->least, e->bytes, sizeof r->least);
}

static void take_more(struct range *r, const struct engine_estimate *e)
{
    for (size_t d = 0; d < MEMORY_DEVICES_MAX; d++) {
        if (e->bytes[d] > r->most.bytes[d])
            r->most.bytes[d] = e->bytes[d];
        if (e->bytes[d] < r->least[d])
            r->least[d] = e->bytes[d];
    }
    if (e->batches > r->most.batches)
        r->most.batches = e->batches;
    if (e->mapped > r->most.mapped)
        r->most.mapped = e->mapped;
    r->most.guessed |= e->guessed;
}

static void take(struct range *r, const struct engine_estimate *e, bool first)
{
    if (first)
        take_first(r, e);
    else
        take_more(r, e);
}

/* Small differences, as by the order in which cards share layers, are not worth a word. */
static bool matters(const struct range *r)
{
    for (size_t d = 0; d < MEMORY_DEVICES_MAX; d++)
        if (r->most.bytes[d] - r->least[d] > r->most.bytes[d] / 8)
            return true;
    return false;
}

void llama_estimate(struct engine_estimate *out, const struct engine_question *q)
{
    struct range range;
    const char *why = NULL;
    size_t n = spread_alternatives(q, &why);
    for (size_t i = 0; i < n; i++) {
        struct engine_estimate e = {.bytes[0] = process_bytes(q)};
        add_part(&e, (struct part){.q = q,
                                   .f = &q->figures,
                                   .options = &spread_of_model,
                                   .type_k = "--cache-type-k",
                                   .type_v = "--cache-type-v",
                                   .alternative = i});
        add_draft(&e, q, i);
        add_projector(&e, q, i);
        add_batches(&e, choice_bytes(q));
        add_runtimes(&e);
        take(&range, &e, i == 0);
    }
    *out = range.most;
    out->undecided = matters(&range) ? why : NULL;
    out->growth = llama_prompt_cache_most(q) + llama_checkpoints_most(q);
}

/* --- from llama-fit-params */

/* llama.cpp numbers the cards that it sees: `CUDA1` is the second one. It calls the host `Host`, and so do
 * we with a name that is not known. */
static size_t device_of(const struct engine_question *q, const char *name, size_t alternative)
{
    int device = spread_device(q, name, alternative);
    return device < 0 ? 0 : (size_t)device;
}

/* It counts one slot; the server has more where nobody says how many. */
static uint64_t other_slots(const struct engine_question *q, const struct fit *fit,
                            const struct fit_device *on)
{
    struct cache cache;
    uint64_t all = 0;
    for (size_t i = 0; i < fit->n; i++)
        all += fit->device[i].context;
    cache_find(&cache, &q->figures, q->args, "--cache-type-k", "--cache-type-v");
    uint64_t more = cache_beyond_one_slot(&cache, &q->figures, q->args);
    return all ? (uint64_t)((double)more * (double)on->context / (double)all) : 0;
}

/*
 * It counts logits of a whole batch, 4 bytes for each token of the vocabulary. On the host, where what is not written
 * takes no memory, the arithmetic is nearer, unless it is a guess.
 */
static uint64_t fit_compute(const struct fit_device *f, const struct engine_question *q,
                            bool on_host)
{
    struct cache cache;
    struct compute c = compute_of(&q->figures, q->args);
    uint64_t written = c.states + c.masks + c.logits;
    cache_find(&cache, &q->figures, q->args, "--cache-type-k", "--cache-type-v");
    bool nearer = on_host && q->figures.has_header && !cache.guessed && written < f->compute;
    return nearer ? written : f->compute;
}

static void add_fit(struct engine_estimate *out, const struct fit *fit,
                    const struct engine_question *q, bool on_host, size_t alternative)
{
    for (size_t i = 0; i < fit->n; i++) {
        const struct fit_device *f = &fit->device[i];
        uint64_t compute = fit_compute(f, q, on_host);
        add(out, q, device_of(q, f->name, alternative), f->model,
            f->context + (on_host ? 0 : compute) + other_slots(q, fit, f));
        add_batches(out, on_host ? compute : 0);
    }
    add_batches(out, compute_of(&q->figures, q->args).kept);
}

static size_t fit_alternatives(const struct fit *fit, const struct engine_question *q,
                               const char **why)
{
    size_t n = 1;
    for (size_t i = 0; i < fit->n; i++) {
        struct device_views views;
        enum view_runtime runtime = device_view_runtime(fit->device[i].name);
        if (runtime == VIEW_BY_CARDS)
            continue;
        spread_views(&views, q, runtime);
        if (views.n > n) {
            n = views.n;
            *why = views.undecided;
        }
    }
    return n;
}

/* What it knows of no card goes to the host, the projector and the draft as well. */
static bool has_cards(const struct fit *fit)
{
    for (size_t i = 0; i < fit->n; i++)
        if (device_view_runtime(fit->device[i].name) != VIEW_BY_CARDS)
            return true;
    return false;
}

void llama_estimate_from_fit(struct engine_estimate *out, const struct fit *fit,
                             const struct engine_question *q)
{
    struct range range;
    struct engine_question rest = *q;
    const char *why = NULL;
    size_t n = fit_alternatives(fit, q, &why);
    bool on_host = !has_cards(fit);
    if (on_host)
        rest.machine = NULL;
    for (size_t i = 0; i < n; i++) {
        struct engine_estimate e = {.bytes[0] = process_bytes(&rest)};
        add_fit(&e, fit, q, on_host, i);
        add_draft(&e, &rest, i);
        add_projector(&e, &rest, i);
        add_batches(&e, choice_bytes(q));
        add_runtimes(&e);
        take(&range, &e, i == 0);
    }
    *out = range.most;
    out->guessed = false;
    out->undecided = matters(&range) ? why : NULL;
    out->growth = llama_prompt_cache_most(q) + llama_checkpoints_most(q);
}

/* With a unified cache each request may have all of it, else its share. */
static uint64_t context_of_request(const struct engine_figures *f, const struct engine_args *args)
{
    const struct engine_arg *unified = engine_args_find(args, "--kv-unified");
    bool shared = unified && !unified->negated;
    return cache_context(f, args) / (shared ? 1 : arg_number(args, "--parallel", 1));
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
    {"ctx-size", true},      {"parallel", true},        {"batch-size", true},
    {"ubatch-size", true},   {"cache-type-k", false},   {"cache-type-v", false},
    {"n-gpu-layers", false}, {"n-cpu-moe", true},       {"cpu-moe", false},
    {"kv-offload", false},   {"kv-unified", false},     {"swa-full", false},
    {"flash-attn", false},   {"split-mode", false},     {"tensor-split", false},
    {"cache-ram", true},     {"ctx-checkpoints", true}, {"main-gpu", true},
    {"mmap", false},         {"load-mode", false},      {NULL, false},
};
