/* SPDX-License-Identifier: MIT */
#include "server/prompt_identity.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/memory.h"
#include "base/strv.h"
#include "catalog/folder.h"
#include "engine/kind.h"
#include "server/content.h"
#include "server/launch_facts.h"

struct prompt_identity {
    uv_work_t work;
    struct strv texts, files; /* that it is made of, in order */
    int error;
    char identity[33];
    prompt_identity_found *found; /* NULL: cancelled */
    void *ctx;
};

/* --- what counts ---------------------------------------------------------------------------------
 */

static void add_text(const char *text, void *ctx)
{
    strv_add(ctx, text);
}

/* The model's own files are added as a whole: their paths do not matter. */
static bool is_model_file(const struct engine_arg *arg)
{
    return arg->option->role == ENGINE_OPTION_MODEL || arg->option->role == ENGINE_OPTION_REPO ||
           arg->option->role == ENGINE_OPTION_REPO_FILE;
}

/* `a.gguf,b.gguf:0.5`: what follows a colon is a weight. */
static void add_files(struct strv *files, const char *list)
{
    for (const char *p = list; *p; p += *p == ',') {
        size_t len = strcspn(p, ",:");
        strv_add_take(files, mem_strndup(p, len));
        p += strcspn(p, ",");
    }
}

static void add_argument(struct prompt_identity *p, const struct engine_slots *slots,
                         const struct engine_arg *arg)
{
    if (is_model_file(arg) || !slots->depends_on(arg->option))
        return;
    strv_addf(&p->texts, "%s%s", arg->negated ? "no " : "", arg->option->canonical);
    if (arg->option->files == ENGINE_OPTION_FILE && arg->value)
        strv_add(&p->files, arg->value);
    else if (arg->value)
        strv_add(&p->texts, arg->value);
    if (arg->value && (arg->option->files == ENGINE_OPTION_FILE_LIST ||
                       arg->option->files == ENGINE_OPTION_FILE_SCALED_LIST))
        add_files(&p->files, arg->value);
}

/* All that is not an option counts: it may be for a driver or a library. */
static void add_variable(struct prompt_identity *p, const struct engine_program *program,
                         const char *text)
{
    const struct engine_option *o = NULL;
    bool negated;
    char *name = mem_strndup(text, strcspn(text, "="));
    if (program->options && program->kind->option_by_env)
        o = program->kind->option_by_env(program->options, name, &negated);
    free(name);
    if (!o || program->kind->slots->depends_on(o))
        strv_add(&p->texts, text);
}

static void collect(struct prompt_identity *p, const struct engine_launch *launch,
                    const struct catalog_model *model, const struct memory_figures *machine)
{
    launch_facts_build(launch->program, add_text, &p->texts);
    for (size_t i = 0; i < launch->args.n; i++)
        add_argument(p, launch->program->kind->slots, &launch->args.v[i]);
    for (size_t i = 0; i < launch->env.n; i++)
        add_variable(p, launch->program, launch->env.v[i]);
    launch_facts_cards(launch, machine, add_text, &p->texts);
    for (unsigned no = 1; no <= model->shards; no++)
        strv_add_take(&p->files, folder_shard_path(model->path, no, model->shards));
}

/* --- in the pool ---------------------------------------------------------------------------------
 */

static void add_contents(struct prompt_identity *p, XXH3_state_t *state)
{
    for (size_t i = 0; i < p->files.n && !p->error; i++) {
        uint64_t hash[2] = {0};
        p->error = content_hash(p->files.v[i], hash);
        XXH3_128bits_update(state, hash, sizeof hash);
    }
}

static void compute(uv_work_t *work)
{
    struct prompt_identity *p = work->data;
    XXH3_state_t *state = XXH3_createState();
    if (!state)
        abort();
    XXH3_128bits_reset(state);
    for (size_t i = 0; i < p->texts.n; i++)
        XXH3_128bits_update(state, p->texts.v[i], strlen(p->texts.v[i]) + 1);
    add_contents(p, state);
    XXH128_hash_t hash = XXH3_128bits_digest(state);
    XXH3_freeState(state);
    snprintf(p->identity, sizeof p->identity, "%016" PRIx64 "%016" PRIx64, hash.high64, hash.low64);
}

/* --- on the loop ---------------------------------------------------------------------------------
 */

static void identity_free(struct prompt_identity *p)
{
    strv_finish(&p->texts);
    strv_finish(&p->files);
    free(p);
}

static void on_computed(uv_work_t *work, int status)
{
    struct prompt_identity *p = work->data;
    (void)status;
    if (p->found)
        p->found(p->error ? NULL : p->identity, p->ctx);
    identity_free(p);
}

struct prompt_identity *prompt_identity_find(uv_loop_t *loop, const struct engine_launch *launch,
                                             const struct catalog_model *model,
                                             const struct memory_figures *machine,
                                             prompt_identity_found *found, void *ctx)
{
    if (!model->path)
        return NULL;
    struct prompt_identity *p = mem_zalloc(sizeof *p);
    p->found = found;
    p->ctx = ctx;
    p->work.data = p;
    collect(p, launch, model, machine);
    if (uv_queue_work(loop, &p->work, compute, on_computed)) {
        identity_free(p);
        return NULL;
    }
    return p;
}

void prompt_identity_cancel(struct prompt_identity *p)
{
    if (p)
        p->found = NULL;
}
