/* SPDX-License-Identifier: MIT */
/* The list of kinds: the one place outside their folders that names them. */
#include "engine/kind.h"
#include "engine/llama/llama.h"

enum { N_KINDS = 1 };
static const struct engine_kind *const kinds[N_KINDS] = {&llama_kind};

const struct engine_kind *engine_kind_at(size_t index)
{
    return index < N_KINDS ? kinds[index] : NULL;
}

const struct engine_kind *engine_kind_default(void)
{
    return kinds[0];
}
