/* SPDX-License-Identifier: MIT */
/* The web page that the engine's program carries (--ui engine), as files in memory. */
#ifndef HOSTLER_SERVER_ENGINE_PAGE_H
#define HOSTLER_SERVER_ENGINE_PAGE_H

#include <stdbool.h>
#include <stddef.h>

struct engine_page_file {
    char *path;  /* `/`, `/bundle.js`, … */
    char *type;  /* its Content-Type */
    bool packed; /* by gzip */
    char *data;
    size_t len;
};

/* Zeroed: there is none. */
struct engine_page {
    struct engine_page_file *v;
    size_t n;
};

/* Takes over what `file` points to. */
void engine_page_add(struct engine_page *p, const struct engine_page_file *file);
/* `path` has `len` bytes; NULL: there is no such file. O(files). */
const struct engine_page_file *engine_page_find(const struct engine_page *p, const char *path,
                                                size_t len);
void engine_page_finish(struct engine_page *p);

#endif
