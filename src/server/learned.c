/* SPDX-License-Identifier: MIT */
#include "server/learned.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "engine/kind.h"
#include "engine/options.h"
#include "engine/program.h"
#include "server/budget.h"
#include "server/launch_facts.h"
#include "server/model.h"
#include "server/state.h"

#define SECTION "footprints"
#define MOST 2000
#define KEY_BYTES 16

static void add_text(const char *text, void *md)
{
    EVP_DigestUpdate(md, text, strlen(text) + 1);
}

static bool is_variable(const char *entry, const char *name)
{
    size_t len = name ? strlen(name) : 0;
    return len && strncmp(entry, name, len) == 0 && entry[len] == '=';
}

/* Limits of growth are none that a load shows, and hostler sets them by the budget. */
static bool limits_growth(const struct engine_program *program, const char *entry)
{
    static const enum engine_option_role roles[] = {ENGINE_OPTION_GROWTH,
                                                    ENGINE_OPTION_CHECKPOINTS};
    for (size_t i = 0; program->options && i < sizeof roles / sizeof *roles; i++) {
        const struct engine_option *o = engine_options_find_role(program->options, roles[i]);
        if (o && is_variable(entry, o->env))
            return true;
    }
    return false;
}

/* Options that the engine takes from its environment. */
static void add_options(EVP_MD_CTX *md, const struct engine_program *program,
                        const struct strv *env)
{
    const char *prefix = program->kind->option_env_prefix;
    for (size_t i = 0; prefix && i < env->n; i++)
        if (strncmp(env->v[i], prefix, strlen(prefix)) == 0 && !limits_growth(program, env->v[i]))
            add_text(env->v[i], md);
}

/* A hash of all that makes loads differ. It contains no secret and is short, so that a file with thousands of
 * keys is read quickly. */
static const char *key_of(const struct budget *b, const struct model *m,
                          char key[2 * KEY_BYTES + 1])
{
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_DigestInit_ex(md, EVP_sha256(), NULL);
    add_text(m->entry->id, md);
    launch_facts_build(m->launch->program, add_text, md);
    for (size_t i = 0; i < m->launch->argv.n; i++)
        add_text(m->launch->argv.v[i], md);
    EVP_DigestUpdate(md, &m->entry->size, sizeof m->entry->size);
    EVP_DigestUpdate(md, &m->entry->created, sizeof m->entry->created);
    add_options(md, m->launch->program, &m->launch->env);
    launch_facts_cards(m->launch, &b->snapshot->figures, add_text, md);
    EVP_DigestFinal_ex(md, digest, NULL);
    EVP_MD_CTX_free(md);
    for (size_t i = 0; i < KEY_BYTES; i++)
        snprintf(key + 2 * i, 3, "%02x", digest[i]);
    return key;
}

static bool is_size(const json_t *bytes)
{
    return json_is_integer(bytes) && json_integer_value(bytes) >= 0;
}

/* False: the devices are others than those of the record. */
static bool recall_bytes(const struct budget *b, const json_t *memory, uint64_t *out)
{
    size_t present = 0;
    for (size_t d = 0; d < b->devices; d++) {
        const struct memory_device *device = &b->snapshot->figures.device[d];
        json_t *bytes = json_object_get(memory, device->name);
        if (device->gone)
            continue;
        if (!is_size(bytes))
            return false; /* a new device */
        out[d] = (uint64_t)json_integer_value(bytes);
        present++;
    }
    /* Else a device is gone: its part will be on another one. */
    return present && json_object_size(memory) == present;
}

/* NULL unless all of it is sound. */
static struct loads *recall_loads(const struct budget *b, const json_t *kept)
{
    struct loads *l = mem_zalloc(sizeof *l);
    while (l->n < LOADS_MOST && l->n < json_array_size(kept)) {
        const json_t *load = json_array_get(kept, l->n);
        struct load *to = &l->load[l->n++];
        if (!recall_bytes(b, json_object_get(load, "loaded"), to->loaded) ||
            !recall_bytes(b, json_object_get(load, "most"), to->most)) {
            free(l);
            return NULL;
        }
    }
    return l;
}

static void recall_memory(const struct budget *b, struct learned *l, const json_t *kept)
{
    const json_t *mapped = json_object_get(kept, "mapped"), *loads = json_object_get(kept, "loads");
    if (!is_size(mapped) || !json_array_size(loads) || !(l->loads = recall_loads(b, loads)))
        return;
    l->footprint = (struct footprint){.mapped = (uint64_t)json_integer_value(mapped)};
    footprint_measure(&l->footprint, l->loads);
}

void learned_recall(const struct state *s, const struct budget *b, struct model *m)
{
    char key[2 * KEY_BYTES + 1];
    json_t *kept = state_get(s, SECTION, key_of(b, m, key));
    json_t *load_ms = json_object_get(kept, "load_ms");
    if (is_size(load_ms))
        m->sched.load_ms = (uint64_t)json_integer_value(load_ms);
    recall_memory(b, &m->learned, kept);
}

void learned_measure(struct learned *l, uint64_t number, const struct memory_use *use)
{
    if (!l->loads)
        l->loads = mem_zalloc(sizeof *l->loads);
    loads_measure(l->loads, number, use);
    footprint_measure(&l->footprint, l->loads);
}

void learned_end(struct learned *l, uint64_t number, bool served)
{
    if (l->footprint.source != FOOTPRINT_MEASURED)
        return;
    loads_end(l->loads, number, served);
    footprint_measure(&l->footprint, l->loads);
}

void learned_forget(struct learned *l)
{
    free(l->loads);
    free(l->fitted);
    l->loads = NULL;
    l->fitted = NULL;
    free(l->fit_available);
    l->fit_available = NULL;
    l->footprint = (struct footprint){0};
    l->fit_asked = l->fit_pending = false;
    l->fit_repeated = 0;
    l->fit_checked_at = 0; /* what was found for the old arguments says nothing of the new ones */
}

void learned_take_fitted(struct learned *l, const struct engine_estimate *fitted)
{
    if (!l->fitted)
        l->fitted = mem_zalloc(sizeof *l->fitted);
    footprint_from_dry_run(l->fitted, fitted);
    bool is_computed =
        l->footprint.source == FOOTPRINT_ESTIMATED || l->footprint.source == FOOTPRINT_FITTED;
    if (is_computed && !l->footprint.alone)
        l->footprint = *l->fitted;
}

static json_t *memory_of(const struct budget *b, const uint64_t *bytes)
{
    json_t *memory = json_object();
    for (size_t d = 0; d < b->devices; d++)
        if (!b->snapshot->figures.device[d].gone)
            json_object_set_new(memory, b->snapshot->figures.device[d].name,
                                json_integer((json_int_t)bytes[d]));
    return memory;
}

static json_t *loads_of(const struct budget *b, const struct loads *l)
{
    json_t *loads = json_array();
    for (unsigned i = 0; i < l->n; i++)
        json_array_append_new(loads,
                              json_pack("{s:o, s:o}", "loaded", memory_of(b, l->load[i].loaded),
                                        "most", memory_of(b, l->load[i].most)));
    return loads;
}

/* An earlier measurement stays if there is no new one, as with --memory off. */
void learned_keep(struct state *s, const struct budget *b, const struct model *m)
{
    char key[2 * KEY_BYTES + 1];
    json_t *before = state_get(s, SECTION, key_of(b, m, key));
    json_t *kept = before ? json_copy(before) : json_object();
    json_object_set_new(kept, "model", json_string(m->entry->id));
    json_object_set_new(kept, "load_ms", json_integer((json_int_t)m->sched.load_ms));
    if (m->learned.footprint.source == FOOTPRINT_MEASURED) {
        json_object_set_new(kept, "loads", loads_of(b, m->learned.loads));
        json_object_set_new(kept, "mapped", json_integer((json_int_t)m->learned.footprint.mapped));
    }
    state_set(s, SECTION, key, kept, MOST);
}
