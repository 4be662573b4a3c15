/* SPDX-License-Identifier: MIT */
#include "server/keys.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static_assert(KEY_DIGEST_SIZE == SHA256_DIGEST_LENGTH, "a key's digest is a SHA-256");

static void digest_of(const char *key, unsigned char out[KEY_DIGEST_SIZE])
{
    SHA256((const unsigned char *)key, strlen(key), out);
}

void keys_add(struct keys *k, const char *key, const char *name)
{
    k->digest = mem_realloc(k->digest, (k->n + 1) * sizeof *k->digest);
    k->name = mem_realloc(k->name, (k->n + 1) * sizeof *k->name);
    k->uncaptured = mem_realloc(k->uncaptured, (k->n + 1) * sizeof *k->uncaptured);
    k->uncaptured[k->n] = false;
    digest_of(key, k->digest[k->n]);
    k->name[k->n] = name && *name ? mem_strdup(name) : mem_printf("key %zu", k->n + 1);
    k->n++;
}

const char *keys_find(const struct keys *k, const char *key)
{
    unsigned char digest[KEY_DIGEST_SIZE];
    const char *found = NULL;
    digest_of(key, digest);
    for (size_t i = 0; i < k->n; i++) /* all of them: which one it was is no business of a clock */
        if (CRYPTO_memcmp(digest, k->digest[i], sizeof digest) == 0)
            found = k->name[i];
    return found;
}

void keys_set_uncaptured(struct keys *k)
{
    k->uncaptured[k->n - 1] = true;
}

bool keys_is_uncaptured(const struct keys *k, const char *name)
{
    for (size_t i = 0; i < k->n; i++)
        if (k->name[i] == name)
            return k->uncaptured[i];
    return false;
}

void keys_finish(struct keys *k)
{
    for (size_t i = 0; i < k->n; i++)
        free(k->name[i]);
    free(k->name);
    free(k->uncaptured);
    free(k->digest);
    *k = (struct keys){0};
}
