/* SPDX-License-Identifier: MIT */
/* In the place of engine/kinds.c: the same list with the kind of script.c. */
#include "engine/llama/llama.h"
#include "script.h"

static const struct engine_kind *const kinds[] = {&llama_kind, &script_kind};

const struct engine_kind *engine_kind_at(size_t index)
{
    return index < sizeof kinds / sizeof *kinds ? kinds[index] : NULL;
}

const struct engine_kind *engine_kind_default(void)
{
    return kinds[0];
}
