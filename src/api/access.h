/* SPDX-License-Identifier: MIT */
/* Who may ask what, where keys are set: llama-server's rules. */
#ifndef HOSTLER_API_ACCESS_H
#define HOSTLER_API_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "http/head.h"
#include "server/keys.h"

/* The name of the key that the request carries: in Authorization, with `Bearer ` or without, or when
 * that is not there or empty in X-Api-Key. NULL when it is none of `keys`. */
const char *access_key(const struct keys *keys, const struct http_head *head);
/*
 * Whether it asks for a part of the web interface's page, which a browser fetches before anybody can
 * give a key: GET or HEAD of `/`, `/index.html`, what is in `/_app/`, and files at the root by their
 * ending. `path` has `len` bytes.
 */
bool access_is_page(const char *method, const char *path, size_t len);

#endif
