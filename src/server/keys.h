/* SPDX-License-Identifier: MIT */
/*
 * The keys that requests may carry. Only their SHA-256 is kept: what is not here cannot get into a
 * log, a status or an engine, and a comparison takes the same time whatever is wrong.
 */
#ifndef HOSTLER_SERVER_KEYS_H
#define HOSTLER_SERVER_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#define KEY_DIGEST_SIZE 32

/* Zeroed: no keys. */
struct keys {
    size_t n;
    unsigned char (*digest)[KEY_DIGEST_SIZE];
    char **name;      /* of each */
    bool *uncaptured; /* of each: its requests' bodies are never kept (api/capture.h) */
};

/* `name`: what people are told of who used it; NULL or empty: `key 3`, by its place. */
void keys_add(struct keys *k, const char *key, const char *name);
/* Its name; NULL when it is none of them. */
const char *keys_find(const struct keys *k, const char *key);
/* Bodies of requests with the key that was added last are never kept. */
void keys_set_uncaptured(struct keys *k);
/* `name`: as keys_find() returned it. */
bool keys_is_uncaptured(const struct keys *k, const char *name);
void keys_finish(struct keys *k);

#endif
