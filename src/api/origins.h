/* SPDX-License-Identifier: MIT */
/*
 * Which requests web pages send, and which pages are trusted. A browser names the page's origin in
 * `Origin` (RFC 6454, 7), except in GETs whose answer the page cannot read, like an image's; those it
 * marks by Sec-Fetch-Site (W3C Fetch Metadata).
 */
#ifndef HOSTLER_API_ORIGINS_H
#define HOSTLER_API_ORIGINS_H

#include <stdbool.h>

#include "base/strv.h"
#include "http/exchange.h"

enum page {
    PAGE_NONE,    /* no page asks: a program, or a person who typed the address */
    PAGE_TRUSTED, /* of the server's own origin, or of one that --cors-origins names */
    PAGE_FOREIGN, /* of any other origin, or of one that the browser does not tell */
};

/* `origins`: --cors-origins. `*` there is for inference: it trusts pages of this machine only, as
 * `localhost` does. The exchange's Host must have been accepted (api/hosts.h). */
enum page origins_page(const struct strv *origins, const struct http_exchange *x);
/* Whether `origins` lists the origin; `*` lists all of them. */
bool origins_list(const struct strv *origins, const char *origin);

#endif
