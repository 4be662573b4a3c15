/* SPDX-License-Identifier: MIT */
#include "server/dedup.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "catalog/cache_choice.h"

const char *dedup_value(const struct presets *p, const struct preset *section,
                        enum engine_option_role role)
{
    const struct engine_arg *arg = engine_args_role(&section->args, role);
    if (!arg && section->program == p->defaults.program)
        arg = engine_args_role(&p->defaults.args, role);
    return arg ? arg->value : NULL;
}

/* --- real paths ---------------------------------------------------------------------------------
 */

/* The files of sections that hide; sorted. */
static void add_real(struct strv *files, const char *path)
{
    char *real = path ? realpath(path, NULL) : NULL;
    if (real)
        strv_add(files, real);
    free(real);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool has_real(const struct strv *files, const char *path)
{
    char *real = realpath(path, NULL);
    bool found = real && bsearch(&real, files->v, files->n, sizeof *files->v, compare_texts);
    free(real);
    return found;
}

/* --- all ----------------------------------------------------------------------------------------
 */

static void add_section(struct strv *files, const struct folder *models,
                        const struct folder *cached, const struct presets *p,
                        const struct preset *section)
{
    const char *repo = dedup_value(p, section, ENGINE_OPTION_DRAFT_REPO);
    const struct folder_model *m = folder_find(models, section->model);
    const struct folder_model *draft = repo ? cache_choice(cached, repo, NULL) : NULL;
    add_real(files, m ? m->path : NULL);
    add_real(files, draft ? draft->path : NULL);
    add_real(files, dedup_value(p, section, ENGINE_OPTION_DRAFT));
}

void dedup_hide(struct folder *models, const struct folder *cached, const struct presets *p)
{
    struct strv files = {0};
    for (size_t i = 0; i < p->n; i++)
        if (p->v[i].settings.hides_cached)
            add_section(&files, models, cached, p, &p->v[i]);
    strv_sort(&files);
    for (size_t i = 0; i < models->n && files.n; i++)
        if (models->v[i].source == MODEL_SOURCE_CACHE)
            models->v[i].hidden = has_real(&files, models->v[i].path);
    strv_finish(&files);
}
