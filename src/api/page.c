/* SPDX-License-Identifier: MIT */
#include "api/page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/files.h"
#include "api/paced.h"
#include "api/page_assets.h"
#include "base/memory.h"
#include "http/target.h"

/*
 * No code but the page's own files, no connection but to this server. Trusted types: markup is set only by the sanitizer, so that
 * no text of a model becomes code, whatever the page does with it.
 */
static const char fields[] =
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src "
    "'self'; img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self'; base-uri "
    "'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types dompurify\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Cross-Origin-Opener-Policy: same-origin\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n"
    "Vary: Accept-Encoding\r\n";

/* --- negotiation ------------------------------------------------------------------------------- */

/* `text` begins with the parameters of a coding: `;q=0.5`. */
static bool has_weight_zero(const char *text, size_t len)
{
    const char *q = memchr(text, '=', len);
    if (!q)
        return false;
    len -= (size_t)(q + 1 - text);
    for (q++; len; q++, len--)
        if (!strchr("0. \t", *q))
            return false;
    return true;
}

bool page_accepts_gzip(const char *accept)
{
    bool any = false;
    for (const char *at = accept ? accept : ""; *at; at += strspn(at, ", \t")) {
        size_t len = strcspn(at, ","), name = strcspn(at, ",; \t");
        bool refused = has_weight_zero(at + name, len - name);
        if ((name == 4 && strncasecmp(at, "gzip", 4) == 0) ||
            (name == 6 && strncasecmp(at, "x-gzip", 6) == 0))
            return !refused;
        any |= name == 1 && *at == '*' && !refused;
        at += len;
    }
    return any;
}

static const struct page_asset *find(const char *name, size_t len)
{
    for (size_t i = 0; i < n_page_assets; i++)
        if (strlen(page_assets[i].name) == len && memcmp(page_assets[i].name, name, len) == 0)
            return &page_assets[i];
    return NULL;
}

static bool is_known(const struct http_exchange *x, const char *tag)
{
    const char *known = http_head_get(http_exchange_head(x), "if-none-match");
    return known && (strcmp(known, "*") == 0 || strstr(known, tag));
}

/* --- the answer -------------------------------------------------------------------------------- */

static void answer(struct http_exchange *x, const struct page_asset *a, bool packed, bool known,
                   const char *tag)
{
    char lines[sizeof fields + 256];
    int n = snprintf(lines, sizeof lines, "%sETag: %s\r\nCache-Control: %s\r\n", fields, tag,
                     a->hashed ? "public, max-age=31536000, immutable" : "no-cache");
    if (known) {
        http_exchange_reply(x, 304, NULL, "", 0, lines);
        return;
    }
    snprintf(lines + n, sizeof lines - (size_t)n, "Content-Type: %s\r\n%s", a->type,
             packed ? "Content-Encoding: gzip\r\n" : "");
    paced_reply(x, 200, lines, packed ? a->packed : a->plain, packed ? a->packed_len : a->plain_len,
                NULL);
}

/* False: there is no file of that name, and nothing is answered. */
static bool serve(struct http_exchange *x, const char *name, size_t len)
{
    const struct page_asset *a = find(name, len);
    char tag[64];
    if (!a)
        return false;
    bool packed = page_accepts_gzip(http_head_get(http_exchange_head(x), "accept-encoding"));
    snprintf(tag, sizeof tag, "\"%s%s\"", a->tag, packed ? "-gzip" : "");
    answer(x, a, packed, is_known(x, tag), tag);
    return true;
}

/* --- routes -------------------------------------------------------------------------------------
 */

static const struct config *config_of(const struct api *api)
{
    return host_config(api->host);
}

static const struct engine_page_file *find_engines(const struct config *c, const char *target)
{
    return c->engine_page.n ? engine_page_find(&c->engine_page, target, target_path_len(target))
                            : NULL;
}

bool page_is_engines(const struct config *c, const char *method, const char *target)
{
    return (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0) && find_engines(c, target);
}

/* It has code in its HTML, so no policy of ours. A browser that does not take gzip gets it all the same: every one takes it. */
bool page_serve_engines(const struct api *api, struct http_exchange *x)
{
    char lines[512];
    const struct engine_page_file *file = find_engines(config_of(api), http_exchange_target(x));
    if (!file)
        return false;
    snprintf(lines, sizeof lines,
             "Content-Type: %.128s\r\n%sCache-Control: no-cache\r\nX-Content-Type-Options: "
             "nosniff\r\nVary: Accept-Encoding\r\n",
             file->type, file->packed ? "Content-Encoding: gzip\r\n" : "");
    paced_reply(x, 200, lines, file->data, file->len, NULL);
    return true;
}

bool page_serve_root(const struct api *api, struct http_exchange *x)
{
    if (page_serve_engines(api, x))
        return true;
    return config_of(api)->ui != CONFIG_UI_OFF && serve(x, "/", 1);
}

void api_page_root(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    (void)caller;
    if (api->files)
        files_serve(api->files, x);
    else if (!page_serve_root(api, x))
        api_no_route(api, x);
}

/* What the page names is relative to the slash. */
static void redirect(const struct config *c, struct http_exchange *x)
{
    char *location = mem_printf("Location: %s/hostler/\r\n", c->api_prefix ? c->api_prefix : "");
    http_exchange_reply(x, 301, NULL, "", 0, location);
    free(location);
}

void api_page(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    static const char folder[] = "/hostler/";
    const size_t n = sizeof folder - 1;
    const char *path = http_exchange_target(x);
    const size_t len = target_path_len(path);
    (void)caller;
    if (config_of(api)->ui != CONFIG_UI_OFF && len < n) {
        redirect(config_of(api), x);
        return;
    }
    if (config_of(api)->ui == CONFIG_UI_OFF ||
        !serve(x, len == n ? "index.html" : path + n, len == n ? 10 : len - n))
        api_no_route(api, x);
}
