/* SPDX-License-Identifier: MIT */
#ifndef HOSTLER_CATALOG_CACHE_H
#define HOSTLER_CATALOG_CACHE_H
#include "base/error.h"
#include "catalog/folder.h"
char *cache_folder(char *const *env);
int cache_read(struct folder *out, const char *dir, struct error *err);
int cache_remove(const char *dir, const char *id, struct error *err);
#endif
