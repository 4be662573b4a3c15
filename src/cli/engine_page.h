/* SPDX-License-Identifier: MIT */
/*
 * The web page of the engine's program, for `serve --ui engine`. The program itself is asked for it: it runs for a moment as a
 * router without models on a unix socket, and its page and whatever that names are fetched.
 *
 * A process of its own does so: libcurl and its libraries would stay in the daemon.
 */
#ifndef HOSTLER_CLI_ENGINE_PAGE_H
#define HOSTLER_CLI_ENGINE_PAGE_H

#include <stdbool.h>
#include <stddef.h>

/* A file of the page, `/` first. The texts are the callee's to free. `packed`: by gzip. */
typedef void engine_page_found(char *path, char *type, bool packed, char *data, size_t len,
                               void *ctx);

/* `program` is started without variables that begin with `env_prefix` (NULL: with all). Returns how many files it has; 0: it has
 * no page. Blocks: 1 s or so, 20 s at most. Before any thread was started. */
size_t engine_page_fetch(const char *program, const char *env_prefix, engine_page_found *found,
                         void *ctx);

#endif
