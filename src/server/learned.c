/* SPDX-License-Identifier: MIT */
#include "server/learned.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "engine/device_view.h"
#include "server/budget.h"
#include "server/model.h"
#include "server/state.h"

#define SECTION "footprints"
#define MOST 2000
#define KEY_BYTES 16

static void add_text(EVP_MD_CTX *md, const char *text)
{
    EVP_DigestUpdate(md, text, strlen(text) + 1);
}

static void add_variable(const char *name, const char *value, void *ctx)
{
    add_text(ctx, name);
    add_text(ctx, value);
}

/* A hash of all that makes loads differ. It contains no secret and is short, so that a file with thousands of
 * keys is read quickly. */
static const char *key_of(const struct model *m, char key[2 * KEY_BYTES + 1])
{
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_DigestInit_ex(md, EVP_sha256(), NULL);
    add_text(md, m->entry->id);
    for (size_t i = 0; i < m->launch->argv.n; i++)
        add_text(md, m->launch->argv.v[i]);
    EVP_DigestUpdate(md, &m->entry->size, sizeof m->entry->size);
    device_view_variables(&m->launch->env, environ, add_variable, md);
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
    if (json_object_size(memory) != b->devices)
        return false; /* a device is gone: its part will be on another one */
    for (size_t d = 0; d < b->devices; d++) {
        json_t *bytes = json_object_get(memory, b->snapshot->figures.device[d].name);
        if (!is_size(bytes))
            return false; /* a new device */
        out[d] = (uint64_t)json_integer_value(bytes);
    }
    return b->devices;
}

static void recall_memory(const struct budget *b, struct footprint *f, const json_t *kept)
{
    struct footprint found = {.source = FOOTPRINT_MEASURED};
    uint64_t loaded[MEMORY_DEVICES_MAX] = {0};
    const json_t *mapped = json_object_get(kept, "mapped");
    if (!recall_bytes(b, json_object_get(kept, "memory"), found.bytes) || !is_size(mapped))
        return;
    if (recall_bytes(b, json_object_get(kept, "loaded"), loaded))
        memcpy(found.loaded, loaded, sizeof loaded);
    found.mapped = (uint64_t)json_integer_value(mapped);
    *f = found;
}

void learned_recall(const struct state *s, const struct budget *b, struct model *m)
{
    char key[2 * KEY_BYTES + 1];
    json_t *kept = state_get(s, SECTION, key_of(m, key));
    json_t *load_ms = json_object_get(kept, "load_ms");
    if (is_size(load_ms))
        m->sched.load_ms = (uint64_t)json_integer_value(load_ms);
    recall_memory(b, &m->learned.footprint, kept);
}

void learned_take_fitted(struct learned *l, const struct engine_estimate *fitted)
{
    if (!l->fitted)
        l->fitted = mem_zalloc(sizeof *l->fitted);
    footprint_from_dry_run(l->fitted, fitted);
    if (l->footprint.source == FOOTPRINT_ESTIMATED && !l->footprint.alone)
        l->footprint = *l->fitted;
}

static json_t *memory_of(const struct budget *b, const uint64_t *bytes)
{
    json_t *memory = json_object();
    for (size_t d = 0; d < b->devices; d++)
        json_object_set_new(memory, b->snapshot->figures.device[d].name,
                            json_integer((json_int_t)bytes[d]));
    return memory;
}

/* An earlier measurement stays if there is no new one, as with --memory off. */
void learned_keep(struct state *s, const struct budget *b, const struct model *m)
{
    char key[2 * KEY_BYTES + 1];
    json_t *before = state_get(s, SECTION, key_of(m, key));
    json_t *kept = before ? json_copy(before) : json_object();
    json_object_set_new(kept, "model", json_string(m->entry->id));
    json_object_set_new(kept, "load_ms", json_integer((json_int_t)m->sched.load_ms));
    if (m->learned.footprint.source == FOOTPRINT_MEASURED) {
        json_object_set_new(kept, "memory", memory_of(b, m->learned.footprint.bytes));
        json_object_set_new(kept, "loaded", memory_of(b, m->learned.footprint.loaded));
        json_object_set_new(kept, "mapped", json_integer((json_int_t)m->learned.footprint.mapped));
    }
    state_set(s, SECTION, key, kept, MOST);
}
