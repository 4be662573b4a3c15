/* SPDX-License-Identifier: MIT */
#include "server/history.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"

void history_add(struct history *h, const char *model, const char *event, const char *why)
{
    struct history_entry *e = &h->entry[h->count++ % HISTORY_MAX];
    free(e->model);
    free(e->why);
    *e = (struct history_entry){.at = clock_unix(),
                                .model = mem_strdup(model),
                                .event = event,
                                .why = why ? mem_strndup(why, strcspn(why, "\n")) : NULL};
}

const struct history_entry *history_at(const struct history *h, size_t index)
{
    return index < h->count && index < HISTORY_MAX ? &h->entry[(h->count - 1 - index) % HISTORY_MAX]
                                                   : NULL;
}

void history_finish(struct history *h)
{
    for (size_t i = 0; i < HISTORY_MAX; i++) {
        free(h->entry[i].model);
        free(h->entry[i].why);
    }
}
