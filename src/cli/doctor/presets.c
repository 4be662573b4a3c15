/* SPDX-License-Identifier: MIT */
/* Doctor's check of the presets: the daemon would accept them, and the files that they name exist. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/env.h"
#include "base/memory.h"
#include "cli/doctor/doctor.h"
#include "cli/terminal/format.h"
#include "server/presets.h"

struct section_check {
    struct doctor *doctor;
    const struct config *config;
    const struct preset *preset;
};

/* --- files --------------------------------------------------------------------------------------
 */

/* `model = x.gguf in [coder], /etc/models.ini:12`, the line being the section's. */
static char *place(const struct section_check *l, const struct engine_arg *arg)
{
    const char *file = l->config->models_preset, *key = arg->option->canonical;
    const struct preset *p = l->preset;
    key += strspn(key, "-");
    return p->line ? mem_printf("%s = %s in [%s], %s:%u", key, arg->value, p->name, file, p->line)
                   : mem_printf("%s = %s in [%s] of %s", key, arg->value, p->name, file);
}

/* Also where it refuses our key. */
static bool server_runs(const struct doctor *d)
{
    return d->reached == CLI_OK || d->process.pid;
}

static struct doctor_remedy edit_place(const struct section_check *l)
{
    bool runs = server_runs(l->doctor);
    unsigned number = l->preset->line ? l->preset->line : 1;
    char *word = format_shell(l->config->models_preset);
    char *line = mem_printf("${EDITOR:-vi} +%u %s", number, word);
    free(word);
    return doctor_remedy(line, runs ? "or put the file there; then: hostler list --reload"
                                    : "or put the file there");
}

static void check_path(const struct section_check *l, const struct engine_arg *arg,
                       const char *noun, const char *given)
{
    const char *name = l->preset->name;
    char *model = strcmp(name, "*") == 0 ? mem_strdup("[*]") : mem_printf("'%s'", name);
    char *path = doctor_path(l->doctor, given);
    char *where = place(l, arg);
    struct doctor_remedy edit = edit_place(l);
    doctor_file(l->doctor, &(struct doctor_file){noun, model, path, where, &edit});
    free(edit.command);
    free(edit.remark);
    free(where);
    free(path);
    free(model);
}

static void add_blank(const struct section_check *l, const struct engine_arg *arg, const char *noun)
{
    const char *name = l->preset->name;
    const char *quote = strcmp(name, "*") == 0 ? "" : "'";
    doctor_add(l->doctor, DOCTOR_WRONG, "file",
               mem_printf("the %s of %s%s%s is given without a name", noun, quote,
                          *quote ? name : "[*]", quote),
               place(l, arg));
    doctor_add_remedy(l->doctor, edit_place(l));
    doctor_set_model(l->doctor, mem_printf("'%s'", name));
}

/* Older builds take the weight as a second value, newer ones after a colon. */
static void drop_weight(char *value, const struct engine_option *option)
{
    char *weight = strrchr(value, option->two_values ? ' ' : ':');
    if (weight)
        *weight = '\0';
}

static void check_argument(const struct section_check *l, const struct engine_arg *arg)
{
    const struct engine_option *o = arg->option;
    struct strv paths = {0};
    if (o->files == ENGINE_OPTION_NO_FILE || !arg->value)
        return;
    if (!*arg->value) {
        add_blank(l, arg, o->file_noun);
        return;
    }
    if (o->files == ENGINE_OPTION_FILE)
        strv_add(&paths, arg->value);
    else
        strv_split(&paths, arg->value, ',');
    for (size_t i = 0; i < paths.n; i++) {
        if (o->files == ENGINE_OPTION_FILE_SCALED_LIST)
            drop_weight(paths.v[i], o);
        check_path(l, arg, o->file_noun, paths.v[i]);
    }
    strv_finish(&paths);
}

/* Whether it adds a model with a file of its own. */
static bool check_section(struct section_check *l, const struct preset *p)
{
    l->preset = p;
    for (size_t i = 0; i < p->args.n; i++)
        check_argument(l, &p->args.v[i]);
    return engine_args_role(&p->args, ENGINE_OPTION_MODEL) != NULL;
}

/* --- presets ------------------------------------------------------------------------------------
 */

/* Without a server that runs, the presets' name comes from the environment. `missing`: there is no such file. */
static struct doctor_remedy use_presets(const struct doctor *d, const struct config *c,
                                        bool missing)
{
    static const char once[] = "after fixing that";
    bool runs = server_runs(d);
    if (runs && !missing)
        return doctor_remedy(mem_strdup("hostler list --reload"), once);
    if (!runs && missing)
        return doctor_remedy(mem_strdup("unset LLAMA_ARG_MODELS_PRESET"), "or create that file");
    char *word = format_shell(c->models_preset);
    struct doctor_remedy remedy =
        runs ? doctor_remedy(mem_printf("touch %s", word),
                             "or start the server without --models-preset")
             : doctor_remedy(mem_printf("hostler serve --models-preset %s", word), once);
    free(word);
    return remedy;
}

/* Not where the server reports the problem itself: that is a finding already. */
static void add_mistake(struct doctor *d, const struct config *c, int code, const char *why)
{
    bool is_mistake = code == -EINVAL;
    if (json_is_string(json_object_get(d->router.status, "problem")))
        return;
    doctor_add(d, DOCTOR_WRONG, "presets",
               mem_strdup(is_mistake
                              ? "the presets contain an error: the server does not accept them"
                              : "the presets cannot be read"),
               mem_strdup(why));
    doctor_add_remedy(d, use_presets(d, c, code == -ENOENT));
}

/* The engine's --help defines the valid keys. That it does not run is a finding already. */
static int read_config(struct config *c, const struct doctor *d, const char *preset)
{
    struct error err;
    char *engine = doctor_engine_name(d);
    const char *path = env_get(environ, "PATH"); /* where doctor_engine() looked, too */
    char *search = mem_printf("PATH=%s", path ? path : "");
    char *argv[] = {"--engine", engine, "--models-preset", (char *)preset, NULL};
    char *env[] = {search, NULL};
    int rc = config_parse(c, 4, argv, env, &err);
    free(search);
    free(engine);
    return rc;
}

static size_t check_presets(struct doctor *d, const struct config *c)
{
    struct section_check l = {.doctor = d, .config = c};
    struct presets p = {0};
    struct error err;
    char *text;
    size_t n = 0;
    int rc = presets_load(&text, c, &err);
    if (!rc)
        rc = presets_parse(&p, c, text, false, &err);
    if (rc)
        add_mistake(d, c, rc, err.text);
    else
        check_section(&l, &p.defaults);
    for (size_t i = 0; !rc && i < p.n; i++)
        n += check_section(&l, &p.v[i]);
    if (!rc)
        presets_finish(&p);
    free(text);
    return n;
}

size_t doctor_presets(struct doctor *d)
{
    const char *named = doctor_setting(d, "--models-preset", "LLAMA_ARG_MODELS_PRESET");
    struct config c;
    if (!named)
        return 0;
    char *path = doctor_path(d, named);
    int rc = read_config(&c, d, path);
    size_t n = rc ? 0 : check_presets(d, &c);
    if (!rc)
        config_finish(&c);
    free(path);
    return n;
}
