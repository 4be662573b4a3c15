/* SPDX-License-Identifier: MIT */
#include "server/engine_page.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

void engine_page_add(struct engine_page *p, const struct engine_page_file *file)
{
    p->v = mem_realloc(p->v, (p->n + 1) * sizeof *p->v);
    p->v[p->n++] = *file;
}

const struct engine_page_file *engine_page_find(const struct engine_page *p, const char *path,
                                                size_t len)
{
    for (size_t i = 0; i < p->n; i++)
        if (strlen(p->v[i].path) == len && memcmp(p->v[i].path, path, len) == 0)
            return &p->v[i];
    return NULL;
}

void engine_page_finish(struct engine_page *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->v[i].path);
        free(p->v[i].type);
        free(p->v[i].data);
    }
    free(p->v);
    *p = (struct engine_page){0};
}
