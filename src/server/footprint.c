/* SPDX-License-Identifier: MIT */
#include "server/footprint.h"

#include <string.h>

static struct engine_figures figures_of(const struct catalog_model *m)
{
    const struct gguf_info *g = &m->info;
    struct engine_figures f = {.file_bytes = m->size,
                               .projector_bytes = m->mmproj_info ? m->mmproj_info->tensor_bytes : 0,
                               .has_header = m->header == MODEL_HEADER_READ};
    if (!f.has_header)
        return f;
    f.context_length = g->context_length;
    f.embedding_length = g->embedding_length;
    f.block_count = g->block_count;
    f.head_count = g->head_count;
    f.head_count_kv = g->head_count_kv;
    f.key_length = g->key_length;
    f.value_length = g->value_length;
    f.vocab_size = g->vocab_size;
    return f;
}

struct engine_question footprint_question(const struct catalog_model *m,
                                          const struct engine_args *args, const struct strv *env,
                                          const struct memory_figures *machine)
{
    return (struct engine_question){
        .figures = figures_of(m), .args = args, .env = env, .machine = machine};
}

static void take(struct footprint *out, enum footprint_source source,
                 const struct engine_estimate *e)
{
    *out = (struct footprint){.source = source, .mapped = e->mapped, .undecided = e->undecided};
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
