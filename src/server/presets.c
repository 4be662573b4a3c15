/* SPDX-License-Identifier: MIT */
/* The file is read twice, because `[*]` may come after the sections that take defaults from it. */
#include "server/presets.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/nearest.h"
#include "base/value.h"
#include "catalog/ini.h"

#define FILE_MAX ((size_t)4 * 1024 * 1024)

struct reader {
    const struct config *config;
    struct presets *presets;
    bool defaults; /* the first pass: reads `[*]`, and of which kind each section is */
    bool warns;
    presets_report *report; /* in place of the log; NULL: the first mistake ends the reading */
    void *ctx;
    struct section_program *programs; /* of sections that are not of the default kind */
    size_t n_programs;
};

struct section_program {
    char *section;
    const struct engine_program *program;
};

/* --- settings -----------------------------------------------------------------------------------
 */

void settings_copy(struct settings *to, const struct settings *from)
{
    *to = *from;
    to->env = (struct strv){0};
    strv_copy(&to->env, &from->env);
    if (!from->memory)
        return;
    to->memory = mem_zalloc(sizeof *to->memory);
    *to->memory = *from->memory;
}

void settings_finish(struct settings *s)
{
    strv_finish(&s->env);
    free(s->memory);
    s->memory = NULL;
}

/* --- hostler's own keys ------------------------------------------------------------------------- */

enum kind { KIND_TRUTH, KIND_TIME, KIND_INT, KIND_COUNT, KIND_ENV, KIND_MEMORY };

static const struct own_key {
    const char *name;
    enum kind kind;
    size_t offset; /* in struct settings */
    bool harmless; /* may stand in presets that somebody else wrote */
} own_keys[] = {
    {"dedup-cache-models", KIND_TRUTH, offsetof(struct settings, hides_cached), true},
    {"env", KIND_ENV, offsetof(struct settings, env), false},
    {"load-on-startup", KIND_TRUTH, offsetof(struct settings, load_on_startup), true},
    {"max-requests", KIND_COUNT, offsetof(struct settings, max_requests), true},
    {"memory", KIND_MEMORY, offsetof(struct settings, memory), false},
    {"pin", KIND_TRUTH, offsetof(struct settings, pinned), true},
    {"priority", KIND_INT, offsetof(struct settings, priority), true},
    {"stop-timeout", KIND_TIME, offsetof(struct settings, stop_timeout_ms), false},
    {"ttl", KIND_TIME, offsetof(struct settings, ttl_ms), true},
};

#define N_OWN_KEYS (sizeof own_keys / sizeof *own_keys)

/* Whether NAME=VALUE is of a variable whose value is a list by commas: CUDA_VISIBLE_DEVICES and the like. */
static bool is_list_of_devices(const char *text)
{
    static const char *const ends[] = {"_VISIBLE_DEVICES", "_DEVICE_SELECTOR"};
    size_t len = strcspn(text, "=");
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t n = strlen(ends[i]);
        if (len > n && memcmp(text + len - n, ends[i], n) == 0)
            return true;
    }
    return false;
}

static void append_device(char **list, const char *device)
{
    char *longer = mem_printf("%s,%s", *list, device);
    free(*list);
    *list = longer;
}

/* The message gives the position, because the value may be a secret. */
static int set_env(struct strv *env, const char *value, struct error *err)
{
    struct strv entries = {0};
    int rc = 0;
    strv_finish(env);
    strv_split(&entries, value, ',');
    for (size_t i = 0; i < entries.n && !rc; i++) {
        char *text = entries.v[i], **last = env->n ? &env->v[env->n - 1] : NULL;
        if (text[0] != '=' && strchr(text, '='))
            strv_add(env, text);
        else if (text[0] != '=' && last && is_list_of_devices(*last))
            append_device(last, text);
        else
            rc = error_set(err, -EINVAL, "entry %zu of the list is not NAME=VALUE", i + 1);
    }
    strv_finish(&entries);
    return rc;
}

static int set_memory(struct memory_limits **memory, const char *value, struct error *err)
{
    struct memory_limits parsed;
    int rc = memory_limits_parse(value, &parsed, err);
    if (rc)
        return rc;
    free(*memory);
    *memory = NULL;
    if (!parsed.n)
        return 0;
    *memory = mem_zalloc(sizeof parsed);
    **memory = parsed;
    return 0;
}

static int set_own(struct settings *s, const struct own_key *key, const char *value,
                   struct error *err)
{
    void *field = (char *)s + key->offset;
    switch (key->kind) {
    case KIND_TRUTH:
        return value_truth(value, field, err);
    case KIND_TIME:
        return value_time(value, field, err);
    case KIND_INT:
        return value_int(value, field, err);
    case KIND_COUNT:
        return value_count(value, field, err);
    case KIND_ENV:
        return set_env(field, value, err);
    case KIND_MEMORY:
        return set_memory(field, value, err);
    }
    return 0;
}

static const struct own_key *find_own(const char *key)
{
    for (size_t i = 0; i < N_OWN_KEYS; i++)
        if (strcmp(own_keys[i].name, key) == 0)
            return &own_keys[i];
    return NULL;
}

bool presets_is_own_key(const char *key)
{
    return find_own(key);
}

/* --- keys of the engine's -----------------------------------------------------------------------
 */

const struct engine_option *presets_find_option(const struct engine_program *program,
                                                const char *key, bool *negated)
{
    const struct engine_option *o = engine_options_find_env(program->options, key);
    *negated = false;
    for (int dashes = 2; dashes > 0 && !o; dashes--) {
        char *name = mem_printf("%.*s%s", dashes, "--", key);
        o = engine_options_find(program->options, name, negated);
        free(name);
    }
    return o;
}

static void consider_all(struct nearest *near, const struct strv *names)
{
    for (size_t i = 0; i < names->n; i++)
        nearest_consider(near, names->v[i] + strspn(names->v[i], "-"));
}

int presets_unknown_key(const struct engine_program *program, const char *key, struct error *err)
{
    struct nearest near;
    nearest_init(&near, key);
    for (size_t i = 0; i < N_OWN_KEYS; i++)
        nearest_consider(&near, own_keys[i].name);
    for (size_t i = 0; i < engine_options_count(program->options); i++) {
        consider_all(&near, &engine_options_at(program->options, i)->names);
        consider_all(&near, &engine_options_at(program->options, i)->negations);
    }
    return error_set(
        err, -EINVAL, "no such key%s%s%s; a key is an option of the engine without its dashes",
        near.best ? "; did you mean '" : "", near.best ? near.best : "", near.best ? "'?" : "");
}

/* Of a line that does not count, or not as it seems to. */
__attribute__((format(printf, 3, 4))) static void
warn(const struct reader *r, const struct ini_line *line, const char *fmt, ...)
{
    va_list ap;
    if (!r->warns)
        return;
    va_start(ap, fmt);
    char *text = mem_vprintf(fmt, ap);
    va_end(ap);
    if (r->report)
        r->report(false, line->number, line->section, text, r->ctx);
    else
        log_warn("%s: line %u: %s", r->config->models_preset, line->number, text);
    free(text);
}

static void warn_ignored(const struct reader *r, const struct ini_line *line, const char *why)
{
    warn(r, line, "%s %s and does not count here: give it to `hostler serve`", line->key, why);
}

/* Whether the class of the option keeps it from engines. A model whose engine prints something and ends could
 * never be loaded. */
static bool is_ignored(const struct reader *r, const struct engine_option *o,
                       const struct ini_line *line)
{
    switch (o->class) {
    case ENGINE_OPTION_ROUTERS:
        warn_ignored(r, line, "belongs to the router");
        return true;
    case ENGINE_OPTION_ENDS:
        warn_ignored(r, line, "makes the engine print something and end");
        return true;
    case ENGINE_OPTION_TUNES:
    case ENGINE_OPTION_CHOOSES:
        return false;
    }
    return false;
}

/* Whether the key is not for the engine's command line: it names the model for clients, or it is ignored. */
static bool is_taken(const struct reader *r, struct preset *p, const struct engine_option *o,
                     const struct ini_line *line)
{
    struct strv *names = o->role == ENGINE_OPTION_ALIAS  ? &p->aliases
                         : o->role == ENGINE_OPTION_TAGS ? &p->tags
                                                         : NULL;
    if (names) {
        strv_finish(names);
        strv_split(names, line->value, ',');
        strv_sort(names);
    }
    if (names == &p->aliases)
        p->aliases_line = line->number;
    if (names)
        return o->class == ENGINE_OPTION_ROUTERS || p->program != &r->config->engine;
    return is_ignored(r, o, line);
}

/* --- lines --------------------------------------------------------------------------------------
 */

static void preset_finish(struct preset *p)
{
    free(p->name);
    free(p->model);
    engine_args_finish(&p->args);
    strv_finish(&p->aliases);
    strv_finish(&p->tags);
    strv_finish(&p->own);
    settings_finish(&p->settings);
    *p = (struct preset){0};
}

static void preset_init(struct preset *p, const struct ini_line *line,
                        const struct preset *defaults)
{
    *p = (struct preset){.name = mem_strdup(line->section),
                         .model = mem_strdup(line->section),
                         .line = line->number,
                         .program = defaults->program};
    settings_copy(&p->settings, &defaults->settings);
    strv_copy(&p->tags, &defaults->tags);
}

static struct preset *find_section(struct presets *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->v[i].name, name) == 0)
            return &p->v[i];
    return NULL;
}

static struct section_program *find_program(const struct reader *r, const char *section)
{
    for (size_t i = 0; i < r->n_programs; i++)
        if (strcmp(r->programs[i].section, section) == 0)
            return &r->programs[i];
    return NULL;
}

/* A key of another kind that `selects` makes the whole section one of that kind; not in presets of others, since which
 * options of that kind are harmless is not known. */
static void note_program(struct reader *r, const struct ini_line *line)
{
    const struct config *c = r->config;
    bool negated;
    for (size_t i = 0; i < c->n_others; i++) {
        const struct engine_option *o = presets_find_option(&c->others[i], line->key, &negated);
        if (!o || !o->selects || find_program(r, line->section))
            continue;
        r->programs = mem_realloc(r->programs, (r->n_programs + 1) * sizeof *r->programs);
        r->programs[r->n_programs++] = (struct section_program){
            .section = mem_strdup(line->section), .program = &c->others[i]};
    }
}

static void take_program(const struct reader *r, struct preset *p)
{
    const struct section_program *found = find_program(r, p->name);
    if (found)
        p->program = found->program;
}

/* Of two sections with one name the last one counts, as in llama.cpp; a warning says so. */
static void begin_section(struct reader *r, const struct ini_line *line)
{
    struct presets *p = r->presets;
    struct preset *old = find_section(p, line->section);
    if (old) {
        warn(r, line, "[%s] stands in line %u already; only this one counts", line->section,
             old->line);
        preset_finish(old);
        preset_init(old, line, &p->defaults);
        take_program(r, old);
        return;
    }
    p->v = mem_realloc(p->v, (p->n + 1) * sizeof *p->v);
    preset_init(&p->v[p->n], line, &p->defaults);
    take_program(r, &p->v[p->n++]);
}

static void remember(struct preset *p, const struct ini_line *line)
{
    size_t len = strlen(line->key);
    for (size_t i = 0; i < p->own.n; i++) {
        if (strncmp(p->own.v[i], line->key, len) != 0 || p->own.v[i][len] != ' ')
            continue;
        free(p->own.v[i]);
        p->own.v[i] = mem_printf("%s = %s", line->key, line->value);
        return;
    }
    strv_addf(&p->own, "%s = %s", line->key, line->value);
}

/* `alias` and `tags` are options of the default kind, and hostler's own keys for all others. */
static const struct engine_option *find_naming_option(const struct config *c, const char *key)
{
    bool negated;
    const struct engine_option *o = presets_find_option(&c->engine, key, &negated);
    return o && (o->role == ENGINE_OPTION_ALIAS || o->role == ENGINE_OPTION_TAGS) ? o : NULL;
}

/* Presets that somebody else wrote say which models there are and how they run, and no more: of what is known only
 * what is harmless counts. */
static bool is_forbidden(const struct reader *r, const struct preset *p,
                         const struct ini_line *line)
{
    bool negated;
    const struct own_key *own = find_own(line->key);
    const struct engine_option *o =
        own ? NULL : presets_find_option(p->program, line->key, &negated);
    if (!r->config->preset_repo || (own ? own->harmless : !o || o->harmless))
        return false;
    warn(r, line, "%s does not count in presets of a repository on the hub", line->key);
    return true;
}

/* An engine's option. */
static int read_option(struct reader *r, struct preset *p, const struct ini_line *line,
                       struct error *err)
{
    bool negated;
    const struct engine_option *o = presets_find_option(p->program, line->key, &negated);
    if (!o)
        o = find_naming_option(r->config, line->key);
    if (!o)
        return presets_unknown_key(p->program, line->key, err);
    if (r->defaults && o->role == ENGINE_OPTION_ALIAS)
        return error_set(err, -EINVAL, "in [*] it would name every model: give it to one");
    if (is_taken(r, p, o, line))
        return 0;
    return engine_args_set_text(&p->args, o, negated, line->value,
                                r->defaults ? ARGS_FROM_DEFAULTS : ARGS_FROM_SECTION, err);
}

static int read_pair(struct reader *r, struct preset *p, const struct ini_line *line,
                     struct error *err)
{
    struct error why = {""};
    const struct own_key *own = find_own(line->key);
    int rc;
    if (is_forbidden(r, p, line))
        return 0;
    if (line->unclosed)
        warn(r, line,
             "nothing closes the quote with which the value of %s begins: it is taken as a part of "
             "the value",
             line->key);
    if (line->cut)
        warn(r, line,
             "the value of %s ends where a ';' or '#' begins a comment; write it in quotes if the "
             "rest is a part of it",
             line->key);
    if (own) {
        if (own->kind != KIND_ENV) /* which may hold secrets */
            remember(p, line);
        rc = set_own(&p->settings, own, line->value, &why);
    } else {
        rc = read_option(r, p, line, &why);
    }
    return rc ? error_set(err, rc, "line %u: %s: %s", line->number, line->key, why.text) : 0;
}

static int on_line(const struct ini_line *line, void *ctx, struct error *err)
{
    struct reader *r = ctx;
    struct presets *p = r->presets;
    bool is_defaults = line->section && strcmp(line->section, "*") == 0;
    if (line->key &&
        strcmp(line->key, "version") == 0) /* the version of the file's format; there is only one */
        return 0;
    if (!line->section)
        return error_set(err, -EINVAL,
                         "line %u: '%s' stands before any section: put it below [*] to mean all "
                         "models, or below [MODEL]",
                         line->number, line->key);
    if (r->defaults && line->key && !is_defaults && !r->config->preset_repo)
        note_program(r, line);
    if (is_defaults != r->defaults)
        return 0;
    if (line->key)
        return read_pair(r, is_defaults ? &p->defaults : find_section(p, line->section), line, err);
    if (!is_defaults)
        begin_section(r, line);
    return 0;
}

/* --- the file -----------------------------------------------------------------------------------
 */

int presets_load(char **text, const struct config *c, struct error *err)
{
    char chunk[4096];
    size_t n;
    struct buf b;
    FILE *f = fopen(c->models_preset, "re");
    int rc = f ? 0 : -errno;
    buf_init(&b, FILE_MAX);
    while (!rc && (n = fread(chunk, 1, sizeof chunk, f)) > 0)
        rc = buf_append(&b, chunk, n);
    if (!rc && ferror(f))
        rc = -errno;
    if (f)
        fclose(f);
    if (!rc && b.len && memchr(b.data, 0, b.len))
        rc = error_set(err, -EINVAL, "%s: it holds zero bytes: that is no file of presets",
                       c->models_preset);
    else if (rc == -ENOBUFS)
        error_set(err, rc, "%s: larger than 4 MiB: that is no file of presets", c->models_preset);
    else if (rc)
        error_set(err, rc, "cannot read the presets in %s: %s", c->models_preset, strerror(-rc));
    *text = rc ? NULL : buf_take(&b);
    buf_finish(&b);
    return rc;
}

void presets_init(struct presets *p, const struct config *c)
{
    *p = (struct presets){0};
    p->defaults.name = mem_strdup("*");
    p->defaults.program = &c->engine;
    p->defaults.settings.ttl_ms = c->ttl_ms;
    p->defaults.settings.stop_timeout_ms = c->stop_timeout_ms;
}

void presets_finish(struct presets *p)
{
    preset_finish(&p->defaults);
    for (size_t i = 0; i < p->n; i++)
        preset_finish(&p->v[i]);
    free(p->v);
    *p = (struct presets){0};
}

static void reader_finish(struct reader *r)
{
    for (size_t i = 0; i < r->n_programs; i++)
        free(r->programs[i].section);
    free(r->programs);
}

int presets_parse(struct presets *p, const struct config *c, const char *text, bool warns,
                  struct error *err)
{
    struct error why = {""};
    struct reader r = {.config = c, .presets = p, .warns = warns};
    int rc = 0;
    presets_init(p, c);
    for (int pass = 0; text && pass < 2 && !rc; pass++) {
        r.defaults = pass == 0;
        rc = ini_parse(text, strlen(text), on_line, &r, &why);
    }
    reader_finish(&r);
    if (rc) {
        presets_finish(p);
        return error_set(err, rc, "%s: %s", c->models_preset, why.text);
    }
    presets_sort(p, NULL);
    return 0;
}

/* Both passes meet a line that is wrong in itself: the one for its section reports it. `text` begins with `line N: `. */
static void on_problem(unsigned line, const char *section, const char *text, void *ctx)
{
    const struct reader *r = ctx;
    const bool is_defaults = !section || strcmp(section, "*") == 0;
    const char *message = strstr(text, ": ");
    if (r->defaults == is_defaults)
        r->report(true, line, section, message ? message + 2 : text, r->ctx);
}

void presets_try(struct presets *p, const struct config *c, const char *text,
                 presets_report *report, void *ctx)
{
    struct reader r = {.config = c, .presets = p, .warns = true, .report = report, .ctx = ctx};
    presets_init(p, c);
    for (int pass = 0; pass < 2; pass++) {
        r.defaults = pass == 0;
        ini_parse_all(text, strlen(text), on_line, on_problem, &r);
    }
    reader_finish(&r);
    presets_sort(p, NULL);
}

/* --- by model -----------------------------------------------------------------------------------
 */

void preset_set_model(struct preset *p, const char *id)
{
    if (strcmp(p->model, id) == 0)
        return;
    free(p->model);
    p->model = mem_strdup(id);
}

static int compare_models(const void *va, const void *vb)
{
    const struct preset *a = va, *b = vb;
    return strcmp(a->model, b->model);
}

static int compare_presets(const void *va, const void *vb)
{
    const struct preset *a = va, *b = vb;
    int order = compare_models(a, b);
    return order ? order : (a->line > b->line) - (a->line < b->line);
}

void presets_sort(struct presets *p, const struct config *c)
{
    size_t n = 0;
    if (p->n)
        qsort(p->v, p->n, sizeof *p->v, compare_presets);
    for (size_t i = 0; i < p->n; i++) {
        if (n && compare_models(&p->v[n - 1], &p->v[i]) == 0) {
            if (c)
                log_warn("%s: line %u: [%s] is the model '%s', as [%s] in line %u is; only this "
                         "one counts",
                         c->models_preset, p->v[i].line, p->v[i].name, p->v[i].model,
                         p->v[n - 1].name, p->v[n - 1].line);
            preset_finish(&p->v[--n]);
        }
        p->v[n++] = p->v[i];
    }
    p->n = n;
}

const struct preset *presets_of(const struct presets *p, const char *model)
{
    const struct preset key = {.model = (char *)model};
    const struct preset *found =
        p->n ? bsearch(&key, p->v, p->n, sizeof *p->v, compare_models) : NULL;
    return found ? found : &p->defaults;
}
