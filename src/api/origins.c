/* SPDX-License-Identifier: MIT */
#include "api/origins.h"

#include <string.h>
#include <strings.h>

/* Behind `http://` or `https://`; NULL: another scheme, or `null`. */
static const char *authority_of(const char *origin)
{
    if (strncmp(origin, "http://", 7) == 0)
        return origin + 7;
    return strncmp(origin, "https://", 8) == 0 ? origin + 8 : NULL;
}

static bool is_port_or_end(const char *text)
{
    if (!*text)
        return true;
    size_t digits = *text == ':' ? strspn(text + 1, "0123456789") : 0;
    return digits && digits <= 5 && !text[1 + digits];
}

/* `http://localhost:3000` and the like: a page that this machine serves, on any port. */
static bool is_local(const char *origin)
{
    static const char *const hosts[] = {"localhost", "127.0.0.1", "[::1]"};
    const char *authority = authority_of(origin);
    for (size_t i = 0; authority && i < sizeof hosts / sizeof *hosts; i++) {
        size_t len = strlen(hosts[i]);
        if (strncmp(authority, hosts[i], len) == 0 && is_port_or_end(authority + len))
            return true;
    }
    return false;
}

/* By itself, not by one of the words that stand for many. */
static bool is_named(const struct strv *origins, const char *origin)
{
    return strcmp(origin, "*") != 0 && strcmp(origin, "localhost") != 0 &&
           strv_has(origins, origin);
}

bool origins_list(const struct strv *origins, const char *origin)
{
    return strv_has(origins, "*") || is_named(origins, origin) ||
           (strv_has(origins, "localhost") && is_local(origin));
}

static bool trusts(const struct strv *origins, const char *origin)
{
    if (is_named(origins, origin))
        return true;
    return (strv_has(origins, "localhost") || strv_has(origins, "*")) && is_local(origin);
}

/* The page was fetched from where it now asks. */
static bool is_own(const char *origin, const struct http_head *head)
{
    const char *host = http_head_get(head, "host"), *site = http_head_get(head, "sec-fetch-site");
    const char *authority = authority_of(origin);
    return host && *host && authority && strcasecmp(host, authority) == 0 &&
           (!site || strcasecmp(site, "same-origin") == 0);
}

/* Without an Origin. `same-site` is another port or a neighbouring host, of which nobody knows
 * whether it is trusted. */
static bool is_from_elsewhere(const struct http_head *head)
{
    const char *site = http_head_get(head, "sec-fetch-site");
    return site && strcasecmp(site, "none") != 0 && strcasecmp(site, "same-origin") != 0;
}

static bool all_trusted(const struct strv *origins, const struct http_head *head)
{
    for (unsigned i = 0; i < head->n_fields; i++) {
        if (!http_field_is(head, i, "origin"))
            continue;
        const char *origin = http_field_value(head, i);
        if (!trusts(origins, origin) && !is_own(origin, head))
            return false;
    }
    return true;
}

enum page origins_page(const struct strv *origins, const struct http_exchange *x)
{
    const struct http_head *head = http_exchange_head(x);
    if (http_head_get(head, "origin")) /* few requests have one, and hardly any two */
        return all_trusted(origins, head) ? PAGE_TRUSTED : PAGE_FOREIGN;
    return is_from_elsewhere(head) ? PAGE_FOREIGN : PAGE_NONE;
}
