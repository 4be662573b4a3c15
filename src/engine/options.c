/* SPDX-License-Identifier: MIT */
#include "engine/options.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

struct engine_options {
    struct engine_option *v;
    size_t n;
    char *version;
    char *build;
};

struct engine_options *engine_options_create(void)
{
    struct engine_options *o = mem_zalloc(sizeof *o);
    o->version = mem_strdup("");
    o->build = mem_strdup("");
    return o;
}

struct engine_option *engine_options_add(struct engine_options *o)
{
    /* Grows by doubling: whenever n is a power of two (or none). */
    if ((o->n & (o->n - 1)) == 0)
        o->v = mem_realloc(o->v, (o->n ? o->n * 2 : 1) * sizeof *o->v);
    o->v[o->n] = (struct engine_option){0};
    return &o->v[o->n++];
}

void engine_options_set_version(struct engine_options *o, char *version)
{
    free(o->version);
    o->version = version;
}

void engine_options_set_build(struct engine_options *o, char *build)
{
    free(o->build);
    o->build = build;
}

void engine_options_destroy(struct engine_options *o)
{
    if (!o)
        return;
    for (size_t i = 0; i < o->n; i++) {
        strv_finish(&o->v[i].names);
        strv_finish(&o->v[i].negations);
        free(o->v[i].env);
        free(o->v[i].value);
    }
    free(o->v);
    free(o->build);
    free(o->version);
    free(o);
}

bool engine_option_same_name(const char *known, const char *asked)
{
    if (strncmp(asked, "--", 2) != 0)
        return strcmp(known, asked) == 0;
    while (*known && *known == (*asked == '_' ? '-' : *asked)) {
        known++;
        asked++;
    }
    return *known == *asked;
}

static bool has_name(const struct strv *names, const char *asked)
{
    for (size_t i = 0; i < names->n; i++)
        if (engine_option_same_name(names->v[i], asked))
            return true;
    return false;
}

bool engine_option_has_name(const struct engine_option *o, const char *asked)
{
    return has_name(&o->names, asked);
}

const struct engine_option *engine_options_find(const struct engine_options *o, const char *name,
                                                bool *negated)
{
    bool unused;
    bool *is_negation = negated ? negated : &unused;
    for (size_t i = 0; i < o->n; i++) {
        *is_negation = has_name(&o->v[i].negations, name);
        if (*is_negation || has_name(&o->v[i].names, name))
            return &o->v[i];
    }
    *is_negation = false;
    return NULL;
}

const struct engine_option *engine_options_find_env(const struct engine_options *o,
                                                    const char *name)
{
    for (size_t i = 0; i < o->n; i++)
        if (o->v[i].env && strcmp(o->v[i].env, name) == 0)
            return &o->v[i];
    return NULL;
}

const struct engine_option *engine_options_find_role(const struct engine_options *o,
                                                     enum engine_option_role role)
{
    for (size_t i = 0; i < o->n; i++)
        if (o->v[i].role == role)
            return &o->v[i];
    return NULL;
}

size_t engine_options_count(const struct engine_options *o)
{
    return o->n;
}

const struct engine_option *engine_options_at(const struct engine_options *o, size_t index)
{
    return index < o->n ? &o->v[index] : NULL;
}

const char *engine_options_version(const struct engine_options *o)
{
    return o->version;
}

const char *engine_options_build(const struct engine_options *o)
{
    return o->build;
}
