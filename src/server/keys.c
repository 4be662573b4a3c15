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

void keys_add(struct keys *k, const char *key)
{
    k->digest = mem_realloc(k->digest, (k->n + 1) * sizeof *k->digest);
    digest_of(key, k->digest[k->n++]);
}

bool keys_have(const struct keys *k, const char *key)
{
    unsigned char digest[KEY_DIGEST_SIZE];
    bool found = false;
    digest_of(key, digest);
    for (size_t i = 0; i < k->n; i++) /* all of them: which one it was is no business of a clock */
        found |= CRYPTO_memcmp(digest, k->digest[i], sizeof digest) == 0;
    return found;
}

void keys_finish(struct keys *k)
{
    free(k->digest);
    *k = (struct keys){0};
}
