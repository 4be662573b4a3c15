/* SPDX-License-Identifier: MIT */
/*
 * On which devices llama-server puts the layers of a model. Facts: llama.cpp's llama_model::load_tensors
 * (the layers from the last one backwards, and the answer's tensors as one layer more, in proportion to
 * --tensor-split or to the free memory of the cards), llama-model-loader (experts on the host), mtmd.
 */
#ifndef HOSTLER_ENGINE_LLAMA_SPREAD_H
#define HOSTLER_ENGINE_LLAMA_SPREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/device_view.h"
#include "engine/estimate.h"

/* The names of the options that place a model; a draft model has its own. NULL: there is none. */
struct spread_options {
    const char *device, *layers, *cpu_moe, *n_cpu_moe, *override_tensor;
};
extern const struct spread_options spread_of_model, spread_of_draft;

#define SPREAD_EXPERTS 3 /* tensors of a block with experts: gate, up and down, alike in size */

enum spread_mode { SPREAD_LAYERS, SPREAD_ROWS, SPREAD_TENSORS };

/* A card that gets a part. */
struct spread_card {
    size_t device;    /* in memory_figures.device; 0: a card that uses the host's memory */
    double share;     /* of what is divided by proportion: 0 … 1 */
    uint32_t layers;  /* blocks */
    uint32_t experts; /* of them, SPREAD_EXPERTS a block: the tensors of experts on the card */
    bool output;      /* and the answer's tensors */
    bool is_main;     /* SPREAD_ROWS: the caches and what is computed may all be here */
};

struct spread {
    enum spread_mode mode;
    size_t n; /* 0: nothing is offloaded */
    struct spread_card card[VIEW_CARDS_MAX];
    uint32_t host_layers, host_experts; /* that stay on the host; experts only of blocks on cards */
    bool is_auto;                       /* layers are moved to the host where a card has no room */
    bool guessed;                       /* a part may go elsewhere */
};

/*
 * `alternative`: which of the possible views; there are spread_alternatives(). Cards whose name is not known
 * are left out. `f`: the model's or the draft's figures; takes time in proportion to its block_count.
 */
void spread_find(struct spread *out, const struct engine_question *q,
                 const struct engine_figures *f, const struct spread_options *options,
                 size_t alternative);
/* How many views are possible; `*why`: why there are several, else unchanged. */
size_t spread_alternatives(const struct engine_question *q, const char **why);
/* The possible views of a runtime for this engine. */
void spread_views(struct device_views *out, const struct engine_question *q,
                  enum view_runtime runtime);
/* The device of a name like `CUDA1`; -1: no such device. */
int spread_device(const struct engine_question *q, const char *name, size_t alternative);
/* Where the projector goes. */
size_t spread_projector(const struct engine_question *q, size_t alternative);

#endif
