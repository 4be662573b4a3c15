/* SPDX-License-Identifier: MIT */
#include "server/footprint.h"

#include <stdio.h>
#include <string.h>

static void take_header(struct engine_figures *f, const struct gguf_info *g)
{
    *f = (struct engine_figures){
        .has_header = true,
        .context_length = g->context_length,
        .embedding_length = g->embedding_length,
        .block_count = g->block_count,
        .head_count = g->head_count,
        .head_count_kv = g->head_count_kv,
        .key_length = g->key_length,
        .value_length = g->value_length,
        .vocab_size = g->vocab_size,
        .input_bytes = g->input_bytes,
        .output_bytes = g->output_bytes,
        .block_bytes = g->block_bytes,
        .block_most = g->block_most,
        .expert_bytes = g->expert_bytes,
        .head_count_kv_sum = g->head_count_kv_sum,
        .head_count_kv_layers = g->head_count_kv_layers,
        .sliding_window = g->sliding_window,
        .has_pooling = g->pooling_type && g->pooling_type != UINT32_MAX,
        .feed_forward_length = g->feed_forward_length,
        .expert_feed_forward_length = g->expert_feed_forward_length,
        .expert_used_count = g->expert_used_count,
        .swa_period = g->swa_period,
        .swa_layers = g->swa_layers,
        .ssm_conv_kernel = g->ssm_conv_kernel,
        .ssm_inner_size = g->ssm_inner_size,
        .ssm_state_size = g->ssm_state_size,
        .ssm_group_count = g->ssm_group_count,
        .wkv_head_size = g->wkv_head_size,
        .shortconv_l_cache = g->shortconv_l_cache,
        .full_attention_interval = g->full_attention_interval,
    };
    snprintf(f->architecture, sizeof f->architecture, "%.31s", g->architecture);
}

static struct engine_figures figures_of(const struct catalog_model *m)
{
    struct engine_figures f = {0};
    if (m->header == MODEL_HEADER_READ)
        take_header(&f, &m->info);
    f.file_bytes = m->size;
    f.projector_bytes = m->mmproj_info ? m->mmproj_info->tensor_bytes : 0;
    return f;
}

static struct engine_figures draft_of(const struct catalog_model *m)
{
    struct engine_figures f = {0};
    if (m->draft_info) {
        take_header(&f, m->draft_info);
        f.file_bytes = m->draft_info->tensor_bytes;
    }
    return f;
}

struct engine_question footprint_question(const struct catalog_model *m,
                                          const struct engine_args *args, const struct strv *env,
                                          const struct memory_figures *machine)
{
    return (struct engine_question){.figures = figures_of(m),
                                    .draft = draft_of(m),
                                    .args = args,
                                    .env = env,
                                    .machine = machine};
}

static void take(struct footprint *out, enum footprint_source source,
                 const struct engine_estimate *e)
{
    *out = (struct footprint){.source = source,
                              .mapped = e->mapped,
                              .growth = e->growth,
                              .batches = e->batches,
                              .undecided = e->undecided,
                              .guessed = e->guessed};
    memcpy(out->bytes, e->bytes, sizeof out->bytes);
}

void footprint_estimate(struct footprint *out, const struct engine_kind *kind,
                        const struct engine_question *q)
{
    struct engine_estimate e = {.bytes[0] = q->figures.file_bytes + q->figures.projector_bytes};
    if (kind->estimate)
        kind->estimate(&e, q);
    take(out, FOOTPRINT_ESTIMATED, &e);
}

void footprint_from_dry_run(struct footprint *out, const struct engine_estimate *e)
{
    take(out, FOOTPRINT_FITTED, e);
}

void footprint_measure(struct footprint *f, const struct loads *loads)
{
    for (size_t d = 0; d < MEMORY_DEVICES_MAX; d++) {
        f->bytes[d] = loads_most(loads, d);
        f->loaded[d] = loads_loaded(loads, d);
    }
    uint64_t filled = f->loaded[0] + f->batches;
    f->bytes[0] = filled > f->bytes[0] ? filled : f->bytes[0];
    f->source = FOOTPRINT_MEASURED;
    f->undecided = NULL;
    f->alone = false;
}

bool footprint_is_apart(const struct footprint *f, const struct catalog_model *m,
                        const struct engine_args *args)
{
    uint64_t sum = f->mapped;
    for (size_t d = 0; d < MEMORY_DEVICES_MAX; d++)
        sum += f->bytes[d];
    return sum < m->size / 10 * 9 || engine_args_role(args, ENGINE_OPTION_MARGIN);
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
