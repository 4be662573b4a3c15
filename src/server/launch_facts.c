/* SPDX-License-Identifier: MIT */
#include "server/launch_facts.h"

#include <unistd.h>

#include "engine/device_view.h"

struct sink {
    launch_fact *each;
    void *ctx;
};

void launch_facts_build(const struct engine_program *program, launch_fact *each, void *ctx)
{
    const char *build = program->options ? engine_options_build(program->options) : "";
    each(build, ctx);
    each(*build || !program->path ? "" : program->path, ctx);
}

static void pass_variable(const char *name, const char *value, void *ctx)
{
    const struct sink *to = ctx;
    to->each(name, to->ctx);
    to->each(value, to->ctx);
}

void launch_facts_cards(const struct engine_launch *launch, const struct memory_figures *machine,
                        launch_fact *each, void *ctx)
{
    struct sink to = {each, ctx};
    device_view_variables(&launch->env, environ, pass_variable, &to);
    for (size_t d = 1; d < machine->n; d++) /* a driver's own order may change */
        for (size_t c = 0; c < machine->cards.n; c++) {
            const struct card *card = &machine->cards.card[c];
            if (card->device != d)
                continue;
            each(machine->device[d].name, ctx);
            each(*card->uuid ? card->uuid : card->pci, ctx);
        }
}
