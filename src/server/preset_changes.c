/* SPDX-License-Identifier: MIT */
#include "server/preset_changes.h"

#include <stdlib.h>
#include <string.h>

#include "server/compose.h"

const char *preset_change_name(enum preset_change change)
{
    switch (change) {
    case PRESET_CHANGE_ADDED:
        return "added";
    case PRESET_CHANGE_REMOVED:
        return "removed";
    case PRESET_CHANGE_REPLACED:
        return "replaced";
    case PRESET_CHANGE_SETTINGS:
        return "settings";
    }
    return "";
}

/* Without its header: what follows from that is the same on both sides. */
static struct engine_launch *launch_of(const struct config *c, const struct sources *s,
                                       const struct folder_model *m)
{
    const struct catalog_model entry = {.id = m->id,
                                        .source = m->source,
                                        .path = m->path,
                                        .mmproj = m->mmproj,
                                        .draft = m->draft,
                                        .shards = m->shards,
                                        .size = m->size};
    return compose(c, &s->presets, &entry, NULL, NULL);
}

static bool same_names(const struct sources *a, const struct sources *b, const char *id)
{
    const struct preset *p = presets_of(&a->presets, id), *q = presets_of(&b->presets, id);
    return strv_equal(&p->aliases, &q->aliases) && strv_equal(&p->tags, &q->tags);
}

/* Whether both differ; `*change`: in what. */
static bool differ(const struct config *c, const struct sources *before,
                   const struct folder_model *m, const struct sources *after,
                   const struct folder_model *n, enum preset_change *change)
{
    struct engine_launch *old = launch_of(c, before, m), *new = launch_of(c, after, n);
    const bool same = engine_launch_equal(old, new);
    char *old_text = compose_ini(old, &before->presets, m->id);
    char *new_text = compose_ini(new, &after->presets, n->id);
    const bool same_text = strcmp(old_text, new_text) == 0;
    free(old_text);
    free(new_text);
    engine_launch_release(old);
    engine_launch_release(new);
    *change = same ? PRESET_CHANGE_SETTINGS : PRESET_CHANGE_REPLACED;
    return !same || !same_text || !same_names(before, after, m->id);
}

/* The next one that is listed, from `*at` on; NULL: none. */
static const struct folder_model *next_listed(const struct folder *f, size_t *at)
{
    while (*at < f->n && f->v[*at].hidden)
        ++*at;
    return *at < f->n ? &f->v[*at] : NULL;
}

void preset_changes(const struct config *c, const struct sources *before,
                    const struct sources *after, preset_change_found *found, void *ctx)
{
    size_t i = 0, k = 0;
    for (;;) {
        const struct folder_model *m = next_listed(&before->models, &i);
        const struct folder_model *n = next_listed(&after->models, &k);
        if (!m && !n)
            return;
        enum preset_change change;
        int order = !m ? 1 : !n ? -1 : strcmp(m->id, n->id);
        if (order < 0)
            found(m->id, PRESET_CHANGE_REMOVED, ctx);
        else if (order > 0)
            found(n->id, PRESET_CHANGE_ADDED, ctx);
        else if (differ(c, before, m, after, n, &change))
            found(m->id, change, ctx);
        i += order <= 0;
        k += order >= 0;
    }
}
