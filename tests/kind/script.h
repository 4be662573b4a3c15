/* SPDX-License-Identifier: MIT */
#ifndef HOSTLER_TESTS_KIND_SCRIPT_H
#define HOSTLER_TESTS_KIND_SCRIPT_H

#include "engine/kind.h"

#define SCRIPT_BYTES ((uint64_t)40 << 20)

extern const struct engine_kind script_kind;

#endif
