/* SPDX-License-Identifier: MIT */
/* What an answer of llama-server's took, as its `timings` say: in the body, or a stream's last event. */
#ifndef HOSTLER_ENGINE_LLAMA_USAGE_H
#define HOSTLER_ENGINE_LLAMA_USAGE_H

#include "engine/usage.h"

engine_usage_fn llama_usage;

#endif
