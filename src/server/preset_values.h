/* SPDX-License-Identifier: MIT */
/* Whether engines take the values of a text of presets: asked of their programs, for the sections that differ from those in effect. */
#ifndef HOSTLER_SERVER_PRESET_VALUES_H
#define HOSTLER_SERVER_PRESET_VALUES_H

#include "server/presets.h"

/* Blocking: some 11 ms for each section that differs, 32 of them at most, and at most 10 s each where a program hangs. `text` is
 * what `after` was read from. */
void preset_values_check(const char *text, const struct presets *before,
                         const struct presets *after, presets_report *report, void *ctx);

#endif
