/* SPDX-License-Identifier: MIT */
/* What another text of the presets would change, model by model. Pure but for what composing needs; O(models), some 5 µs each. */
#ifndef HOSTLER_SERVER_PRESET_CHANGES_H
#define HOSTLER_SERVER_PRESET_CHANGES_H

#include "server/sources.h"

enum preset_change {
    PRESET_CHANGE_ADDED,
    PRESET_CHANGE_REMOVED,
    PRESET_CHANGE_REPLACED, /* other arguments or files: its engine, if there is one, is replaced */
    PRESET_CHANGE_SETTINGS, /* names, or how hostler treats it: its engine goes on */
};

/* `added`, … */
const char *preset_change_name(enum preset_change change);

/* Of models that differ, in the order of their ids. */
typedef void preset_change_found(const char *model, enum preset_change change, void *ctx);

void preset_changes(const struct config *c, const struct sources *before,
                    const struct sources *after, preset_change_found *found, void *ctx);

#endif
