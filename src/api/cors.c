/* SPDX-License-Identifier: MIT */
#include "api/cors.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* `http://localhost:3000` and the like: whatever runs on the browser's own machine. */
static bool is_local(const char *origin)
{
    static const char *const schemes[] = {"http://", "https://"};
    static const char *const hosts[] = {"localhost", "127.0.0.1", "[::1]"};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t skip = strlen(schemes[i]);
        if (strncmp(origin, schemes[i], skip) != 0)
            continue;
        for (size_t k = 0; k < sizeof hosts / sizeof *hosts; k++) {
            size_t len = strlen(hosts[k]);
            char after = strncmp(origin + skip, hosts[k], len) == 0 ? origin[skip + len] : 'x';
            if (after == '\0' || after == ':')
                return true;
        }
    }
    return false;
}

static bool allows(const char *entry, const char *origin)
{
    if (strcmp(entry, "*") == 0)
        return true;
    return strcmp(entry, "localhost") == 0 ? is_local(origin) : strcmp(entry, origin) == 0;
}

static bool is_allowed(const struct strv *origins, const char *origin)
{
    for (size_t i = 0; i < origins->n; i++)
        if (allows(origins->v[i], origin))
            return true;
    return false;
}

void cors_add_fields(const struct config *c, struct http_exchange *x)
{
    const char *origin = http_head_get(http_exchange_head(x), "origin");
    if (!origin)
        return;
    /* With credentials `*` would not do (Fetch, 3.2.5): the origin is named. */
    if (strv_has(&c->cors_origins, "*") && !c->cors_credentials) {
        http_exchange_field(x, "Access-Control-Allow-Origin", "*");
        return;
    }
    if (is_allowed(&c->cors_origins, origin))
        http_exchange_field(x, "Access-Control-Allow-Origin", origin);
    http_exchange_field(x, "Vary", "Origin");
}

void cors_answer_preflight(const struct config *c, struct http_exchange *x)
{
    char *fields =
        mem_printf("Access-Control-Allow-Credentials: %s\r\n"
                   "Access-Control-Allow-Methods: %s\r\n"
                   "Access-Control-Allow-Headers: %s\r\n",
                   c->cors_credentials ? "true" : "false", c->cors_methods, c->cors_headers);
    http_exchange_reply(x, 200, NULL, "", 0, fields);
    free(fields);
}
