/* SPDX-License-Identifier: MIT */
/*
 * The normal form of a model's name, as llama.cpp has it: of the tag (what follows the last `:`) only the
 * piece after its last `-` or `.` counts, in upper case, so that `u/r:UD-q4_k_xl` is `u/r:Q4_K_XL`. A
 * piece that is not of letters, digits and `_` is no piece: the whole tag counts then. A name without
 * a tag has the normal form.
 */
#ifndef HOSTLER_BASE_MODEL_NAME_H
#define HOSTLER_BASE_MODEL_NAME_H

#include <stdbool.h>

/* The caller frees it. */
char *model_name_normal(const char *name);
bool model_name_is_normal(const char *name);
/* Whether both have the same normal form. */
bool model_name_same(const char *a, const char *b);

#endif
