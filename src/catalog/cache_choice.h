/* SPDX-License-Identifier: MIT */
/* Which model of the cache llama.cpp takes for a name on the hub. */
#ifndef HOSTLER_CATALOG_CACHE_CHOICE_H
#define HOSTLER_CATALOG_CACHE_CHOICE_H

#include "catalog/folder.h"

/*
 * `cached`: what cache_read() found. `repo`: USER/REPO or USER/REPO:TAG. `file`: a path in the repository, which goes
 * before the tag; NULL: none. Without both it is the model with the tag Q4_K_M, else Q8_0, else the one that the file
 * system lists first. NULL: it is not there.
 */
const struct folder_model *cache_choice(const struct folder *cached, const char *repo,
                                        const char *file);

#endif
