/* SPDX-License-Identifier: MIT */
#include "server/sources.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/model_name.h"
#include "catalog/cache.h"
#include "catalog/cache_choice.h"
#include "catalog/folder_deep.h"
#include "catalog/gguf.h"
#include "server/dedup.h"

/* How the sources are read, and who hears of what is wrong with the presets. */
struct reading {
    const struct config *config;
    bool checked;           /* an alias that is taken is a mistake */
    bool warns;             /* in the log */
    presets_report *report; /* each mistake, in place of ending with the first one; NULL */
    void *ctx;
};

/* --- sections -----------------------------------------------------------------------------------
 */

/* Fills in the cached file of a model that the engine fetches, if there is one. If the name leaves the choice of the
 * file to the engine, so is that of its projector. */
static void fill_remote(struct folder_model *m, const struct folder *cached, const char *repo,
                        const char *file)
{
    const struct folder_model *from = cache_choice(cached, repo, file);
    if (!from)
        return;
    folder_model_copy(m, from);
    if (!file && strchr(repo, ':'))
        return;
    free(m->mmproj);
    m->mmproj = NULL;
    m->mmproj_stamp = 0;
}

/* The record of a model that only the section names. */
static void read_own_model(struct folder_model *m, const struct engine_arg *arg, const char *name,
                           const struct folder *cached, const char *file)
{
    struct error why;
    bool is_file = arg->option->role == ENGINE_OPTION_MODEL;
    int rc = is_file ? folder_read_file(m, name, arg->value, &why) : -ENOENT;
    if (rc == 0)
        return;
    *m = (struct folder_model){.id = mem_strdup(name), .shards = 1};
    if (is_file) {
        m->path = mem_strdup(arg->value);
        m->problem = mem_strdup(why.text);
        m->missing = rc == -ENOENT;
    } else if (arg->option->role == ENGINE_OPTION_REPO) {
        fill_remote(m, cached, arg->value, file);
    }
}

static void add_mmproj(struct folder_model *m, const struct engine_args *args)
{
    const struct engine_arg *arg = engine_args_role(args, ENGINE_OPTION_PROJECTOR);
    if (!arg || (m->mmproj && strcmp(m->mmproj, arg->value) == 0))
        return;
    free(m->mmproj);
    m->mmproj = mem_strdup(arg->value);
    m->mmproj_stamp = folder_stamp(arg->value);
}

static void add_draft(struct folder_model *m, const struct engine_args *args)
{
    const struct engine_arg *arg = engine_args_role(args, ENGINE_OPTION_DRAFT);
    if (!arg || !arg->value || (m->draft && strcmp(m->draft, arg->value) == 0))
        return;
    free(m->draft);
    m->draft = mem_strdup(arg->value);
    m->draft_stamp = folder_stamp(arg->value);
}

/* A model whose id does not have the normal form: only names of files may be so. */
struct spelling {
    char *normal;
    const char *id; /* borrowed from the folder */
};

struct spellings {
    struct spelling *v;
    size_t n;
};

static void spellings_init(struct spellings *s, const struct folder *models)
{
    *s = (struct spellings){0};
    for (size_t i = 0; i < models->n; i++) {
        if (model_name_is_normal(models->v[i].id))
            continue;
        if ((s->n & (s->n - 1)) == 0) /* grows whenever n reaches a power of two */
            s->v = mem_realloc(s->v, (s->n ? s->n * 2 : 1) * sizeof *s->v);
        s->v[s->n++] =
            (struct spelling){.normal = model_name_normal(models->v[i].id), .id = models->v[i].id};
    }
}

static void spellings_finish(struct spellings *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->v[i].normal);
    free(s->v);
}

/* The only model of that normal form; NULL: none, or several. */
static const char *spellings_find(const struct spellings *s, const char *normal)
{
    const char *id = NULL;
    for (size_t i = 0; i < s->n; i++) {
        if (strcmp(s->v[i].normal, normal) != 0)
            continue;
        if (id)
            return NULL;
        id = s->v[i].id;
    }
    return id;
}

/* Which model each section is for: the one of that very name, else the one whose name has the same normal form,
 * else one of the section's own, which gets the normal form as its id. */
static void find_models(struct sources *s, const struct config *c, bool warns)
{
    struct spellings others;
    spellings_init(&others, &s->models);
    for (size_t i = 0; i < s->presets.n; i++) {
        struct preset *p = &s->presets.v[i];
        if (folder_find(&s->models, p->name))
            continue;
        char *normal = model_name_normal(p->name);
        const char *other =
            folder_find(&s->models, normal) ? NULL : spellings_find(&others, normal);
        preset_set_model(p, other ? other : normal);
        free(normal);
    }
    presets_sort(&s->presets, warns ? c : NULL);
    spellings_finish(&others);
}

/* A section whose model is not there. Its file may come later, by a download or a mount. */
static void add_missing(struct sources *s, const struct config *c, const struct preset *p)
{
    struct folder_model m = {
        .id = mem_strdup(p->model), .source = MODEL_SOURCE_PRESET, .shards = 1, .missing = true};
    m.problem = mem_printf("there is no such model in the models folder or the cache: give its "
                           "file with %s in [%s] (line %u of %s), or download it",
                           p->program->kind->model_hint, p->name, p->line, c->models_preset);
    folder_insert(&s->models, &m);
}

static void add_section(struct sources *s, const struct config *c, const struct folder *cached,
                        const struct preset *p)
{
    const struct engine_arg *arg = engine_args_model(&p->args);
    struct folder_model *m = folder_find(&s->models, p->model);
    if (!m && !arg && p->program == s->presets.defaults.program)
        arg = engine_args_model(&s->presets.defaults.args);
    if (!m && !arg) {
        add_missing(s, c, p);
        return;
    }
    if (arg) {
        struct folder_model own;
        read_own_model(&own, arg, p->model, cached,
                       dedup_value(&s->presets, p, ENGINE_OPTION_REPO_FILE));
        if (m) {
            folder_model_finish(m);
            *m = own;
        } else {
            m = folder_insert(&s->models, &own);
        }
    }
    m->source = MODEL_SOURCE_PRESET;
    add_mmproj(m, &p->args);
    add_draft(m, &p->args);
}

/* --- names --------------------------------------------------------------------------------------
 */

/* The section further up in the file that has the alias, too; NULL: none. */
static const struct preset *earlier_owner(const struct sources *s, const struct preset *p,
                                          const char *alias)
{
    for (size_t i = 0; i < s->presets.n; i++) {
        const struct preset *other = &s->presets.v[i];
        if (other->aliases_line < p->aliases_line && strv_has(&other->aliases, alias))
            return other;
    }
    return NULL;
}

/* Whether it is the id or an alias of another model. */
static int check_alias(const struct sources *s, const struct preset *p, const char *alias,
                       struct error *err)
{
    const struct preset *other = earlier_owner(s, p, alias);
    if (other)
        return error_set(err, -EEXIST,
                         "alias '%s' of [%s] is a name of model '%s' already (line %u)", alias,
                         p->name, other->model, other->aliases_line);
    if (strcmp(alias, p->model) != 0 && folder_find(&s->models, alias))
        return error_set(err, -EEXIST, "alias '%s' of [%s] is a name of model '%s' already", alias,
                         p->name, alias);
    return 0;
}

/* As in llama.cpp, an alias is no mistake if another model has the name only in another spelling. */
static void warn_of_spelling(const struct sources *s, const struct config *c,
                             const struct preset *p, const char *alias)
{
    char *normal = model_name_normal(alias);
    if (strcmp(normal, alias) != 0 && strcmp(normal, p->model) != 0 &&
        folder_find(&s->models, normal))
        log_warn("%s: line %u: alias '%s' of [%s] is another spelling of model '%s': requests with "
                 "exactly this name go to '%s'",
                 c->models_preset, p->aliases_line, alias, p->name, normal, p->model);
    free(normal);
}

static int check_aliases_of(const struct sources *s, const struct reading *r,
                            const struct preset *p, struct error *err)
{
    struct error why = {""};
    for (size_t k = 0; k < p->aliases.n; k++) {
        int rc = check_alias(s, p, p->aliases.v[k], &why);
        if (rc && !r->report)
            return error_set(err, rc, "%s: line %u: %s", r->config->models_preset, p->aliases_line,
                             why.text);
        if (rc)
            r->report(true, p->aliases_line, p->name, why.text, r->ctx);
        else if (r->warns)
            warn_of_spelling(s, r->config, p, p->aliases.v[k]);
    }
    return 0;
}

static int check_aliases(const struct sources *s, const struct reading *r, struct error *err)
{
    int rc = 0;
    for (size_t i = 0; i < s->presets.n && !rc; i++)
        rc = check_aliases_of(s, r, &s->presets.v[i], err);
    return rc;
}

/* --- what is not listed ---------------------------------------------------------------------- */

static bool is_listed(const char *path, void *models)
{
    const struct folder *all = models;
    for (size_t i = 0; i < all->n; i++)
        if (all->v[i].path && strcmp(all->v[i].path, path) == 0)
            return true;
    return false;
}

static void warn_of_deep_models(struct sources *s, const char *dir)
{
    struct strv notes = {0};
    folder_deep_notes(&notes, dir, is_listed, &s->models);
    for (size_t i = 0; i < notes.n; i++)
        log_warn_once("%s", notes.v[i]);
    strv_finish(&notes);
}

/* --- all ----------------------------------------------------------------------------------------
 */

/*
 * If somebody asked for the presets to be read (`checked`), an alias that is taken is an error. If only files
 * came or went it is not, because otherwise one file would stop all updates.
 */
static int read_many(struct sources *s, const struct reading *r, struct error *err)
{
    const struct config *c = r->config;
    struct folder cached = {0}, merged = {0};
    int rc = c->models_dir ? folder_read(&s->models, c->models_dir, err) : 0;
    if (!rc && c->cache_dir)
        rc = cache_read(&cached, c->cache_dir, err);
    s->lacks_folder = rc != 0;
    for (size_t i = 0; i < cached.n; i++)
        cached.v[i].source = MODEL_SOURCE_CACHE;
    if (!rc) {
        folder_copy(&merged, &cached);
        folder_merge(&s->models, &merged);
        find_models(s, c, r->warns);
    }
    for (size_t i = 0; i < s->presets.n && !rc; i++)
        add_section(s, c, &cached, &s->presets.v[i]);
    if (!rc && r->checked)
        rc = check_aliases(s, r, err);
    if (!rc) {
        dedup_hide(&s->models, &cached, &s->presets);
        watched_list(&s->watched, c, &s->presets, &s->models);
    }
    if (!rc && r->warns && c->models_dir)
        warn_of_deep_models(s, c->models_dir);
    folder_finish(&cached);
    return rc;
}

/* Classic mode: the model's id is its first alias, else its file's name without the suffix, else what the
 * engine fetches. */
static char *single_id(const struct config *c)
{
    const struct engine_arg *arg = engine_args_model(&c->args);
    if (!arg)
        arg = engine_args_model(&c->env_args);
    if (c->aliases.n)
        return mem_strdup(c->aliases.v[0]);
    if (!c->model && arg && !arg->value) /* a switch: `fim-default` */
        return mem_strdup(arg->option->canonical + strspn(arg->option->canonical, "-"));
    if (!c->model)
        return mem_strdup(arg ? arg->value : "model");
    const char *slash = strrchr(c->model, '/');
    const char *name = slash ? slash + 1 : c->model;
    size_t len = strlen(name);
    if (len > 5 && strcmp(name + len - 5, ".gguf") == 0)
        len -= 5;
    return mem_strndup(name, len);
}

static int read_single(struct sources *s, const struct config *c, struct error *err)
{
    struct gguf_info info;
    struct folder_model m = {.shards = 1};
    char *id = single_id(c);
    int rc = 0;
    /* The engine decides about any other problem of the file. */
    if (c->model && gguf_read(c->model, &info, err) == -EINVAL)
        rc = -EINVAL;
    else if (c->model)
        rc = folder_read_file(&m, id, c->model, err);
    else
        m.id = mem_strdup(id);
    free(id);
    if (rc)
        return rc;
    m.source = MODEL_SOURCE_PRESET;
    folder_insert(&s->models, &m);
    return 0;
}

static int read_presets(struct sources *s, const struct config *c, const char *preset_text,
                        struct error *err)
{
    if (!c->classic && c->models_preset && !preset_text) {
        int rc = presets_load(&s->preset_text, c, err);
        if (rc)
            return rc;
        preset_text = s->preset_text;
    }
    return presets_parse(&s->presets, c, c->classic ? NULL : preset_text, s->preset_text != NULL,
                         err);
}

int sources_read(struct sources *s, const struct config *c, const char *preset_text,
                 struct error *err)
{
    *s = (struct sources){0};
    const struct reading r = {.config = c, .checked = !preset_text, .warns = !preset_text};
    int rc = read_presets(s, c, preset_text, err);
    if (!rc)
        rc = c->classic ? read_single(s, c, err) : read_many(s, &r, err);
    if (rc)
        sources_finish(s);
    return rc;
}

/* Counts the mistakes of a trial on their way. */
struct trial {
    presets_report *report;
    void *ctx;
    unsigned mistakes;
};

static void on_report(bool is_error, unsigned line, const char *section, const char *message,
                      void *ctx)
{
    struct trial *t = ctx;
    t->mistakes += is_error;
    t->report(is_error, line, section, message, t->ctx);
}

int sources_try(struct sources *s, const struct config *c, const char *text, presets_report *report,
                void *ctx, struct error *err)
{
    struct trial t = {.report = report, .ctx = ctx};
    const struct reading r = {.config = c, .checked = true, .report = on_report, .ctx = &t};
    *s = (struct sources){0};
    presets_try(&s->presets, c, text, on_report, &t);
    int rc = t.mistakes ? 0 : read_many(s, &r, err);
    if (!rc && t.mistakes)
        rc = error_set(err, -EINVAL, "the presets have mistakes");
    if (rc)
        sources_finish(s);
    return rc;
}

void sources_finish(struct sources *s)
{
    presets_finish(&s->presets);
    free(s->preset_text);
    s->preset_text = NULL;
    folder_finish(&s->models);
    watched_finish(&s->watched);
}
