/* SPDX-License-Identifier: MIT */
/* uthash, which by itself ends the process when malloc() fails: its tables are bookkeeping (base/memory.h). */
#ifndef HOSTLER_BASE_HASH_H
#define HOSTLER_BASE_HASH_H

#include "base/memory.h"

#define uthash_malloc(size) mem_realloc(NULL, size)
#include <uthash.h>

#endif
