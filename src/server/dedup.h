/* SPDX-License-Identifier: MIT */
/* dedup-cache-models: which models of the cache are not listed, because sections of presets list them. */
#ifndef HOSTLER_SERVER_DEDUP_H
#define HOSTLER_SERVER_DEDUP_H

#include "catalog/folder.h"
#include "server/presets.h"

/* The value of the last option of that role that the section has, else `[*]` if that is for models of its kind; NULL. */
const char *dedup_value(const struct presets *p, const struct preset *section,
                        enum engine_option_role role);

/*
 * Marks those of `models` that are from the cache as hidden, whose file is a section's with dedup-cache-models, as
 * its model or as its draft. Two paths are of one file if they lead to one, whatever the section calls it.
 * `cached`: all that cache_read() found. Blocking.
 */
void dedup_hide(struct folder *models, const struct folder *cached, const struct presets *p);

#endif
