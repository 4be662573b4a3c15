/* SPDX-License-Identifier: MIT */
/* Which paths of a classic server need no key: llama-server's rules. */
#ifndef HOSTLER_API_ACCESS_H
#define HOSTLER_API_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Whether it asks for a part of the web interface's page, which a browser fetches before anybody can
 * give a key: GET or HEAD of `/`, `/index.html`, what is in `/_app/`, and files at the root by their
 * ending. `path` has `len` bytes.
 */
bool access_is_page(const char *method, const char *path, size_t len);
/* GET or HEAD of a path that every reader takes for the same: without escapes and dot segments. */
bool access_is_plain_get(const char *method, const char *path, size_t len);

#endif
