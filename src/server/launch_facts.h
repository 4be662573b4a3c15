/* SPDX-License-Identifier: MIT */
/* What decides, beside an engine's arguments, what comes of a launch: as texts, for keys of what is remembered of it. */
#ifndef HOSTLER_SERVER_LAUNCH_FACTS_H
#define HOSTLER_SERVER_LAUNCH_FACTS_H

#include "engine/launch.h"
#include "engine/memory.h"

/* The text is good during the call. */
typedef void launch_fact(const char *text, void *ctx);

/* The program's build or, where that is not known, its path. */
void launch_facts_build(const struct engine_program *program, launch_fact *each, void *ctx);
/* The variables by which the engine sees cards, and the cards. Names of devices are places: another card there is
 * another device. */
void launch_facts_cards(const struct engine_launch *launch, const struct memory_figures *machine,
                        launch_fact *each, void *ctx);

#endif
