/* SPDX-License-Identifier: MIT */
/* The page's files, which scripts/ui makes from ui/ and writes as C source. */
#ifndef HOSTLER_API_PAGE_ASSETS_H
#define HOSTLER_API_PAGE_ASSETS_H

#include <stdbool.h>
#include <stddef.h>

struct page_asset {
    const char *name; /* below /hostler/; `/`: the page for the server's root */
    const char *type; /* its Content-Type */
    const char *tag;  /* of its content, hexadecimal */
    const char *plain;
    size_t plain_len;
    const char *packed; /* by gzip */
    size_t packed_len;
    bool hashed; /* its name changes with its content */
};

extern const struct page_asset page_assets[];
extern const size_t n_page_assets;

#endif
