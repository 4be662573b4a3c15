/* SPDX-License-Identifier: MIT */
/* Slots of a llama-server (docs/engine.md, Slots). */
#ifndef HOSTLER_ENGINE_LLAMA_SLOTS_H
#define HOSTLER_ENGINE_LLAMA_SLOTS_H

#include "engine/slots.h"

extern const struct engine_slots llama_slots;

#endif
