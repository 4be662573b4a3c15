/* SPDX-License-Identifier: MIT */
/*
 * hostler's own page: files in the program itself, so that it needs no disk and no network. They hold no secret and need no
 * key; what the page shows it asks the API for, with the key that its user gives it.
 */
#ifndef HOSTLER_API_PAGE_H
#define HOSTLER_API_PAGE_H

#include <stdbool.h>

#include "api/api.h"

/* Answers with the page for `/`. False: --no-ui, and nothing is answered. */
bool page_serve_root(const struct api *api, struct http_exchange *x);

/* --ui engine: answers with a file of the engine's page. False: it has no such file, and nothing is answered. */
bool page_serve_engines(const struct api *api, struct http_exchange *x);
/* Whether the engine's page has it, so that it needs no key. `target`: a request's, below --api-prefix. */
bool page_is_engines(const struct config *c, const char *method, const char *target);

/* Whether the value of Accept-Encoding permits gzip; NULL: there is none. RFC 9110, 12.5.3. */
bool page_accepts_gzip(const char *accept);

#endif
