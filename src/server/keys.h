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
};

void keys_add(struct keys *k, const char *key);
bool keys_have(const struct keys *k, const char *key);
void keys_finish(struct keys *k);

#endif
