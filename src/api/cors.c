/* SPDX-License-Identifier: MIT */
#include "api/cors.h"

#include <stdlib.h>
#include <string.h>

#include "api/origins.h"
#include "base/memory.h"

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
    if (origins_list(&c->cors_origins, origin))
        http_exchange_field(x, "Access-Control-Allow-Origin", origin);
    http_exchange_field(x, "Vary", "Origin");
}

/* `*` covers no Authorization, and with credentials no field at all (Fetch, 3.2.5): the fields that the page
 * wants to send are named. */
static const char *permitted_headers(const struct config *c, const struct http_exchange *x)
{
    const char *wanted = http_head_get(http_exchange_head(x), "access-control-request-headers");
    return wanted && *wanted && strcmp(c->cors_headers, "*") == 0 ? wanted : c->cors_headers;
}

void cors_answer_preflight(const struct config *c, struct http_exchange *x)
{
    char *fields = mem_printf("Access-Control-Allow-Credentials: %s\r\n"
                              "Access-Control-Allow-Methods: %s\r\n"
                              "Access-Control-Allow-Headers: %s\r\n",
                              c->cors_credentials ? "true" : "false", c->cors_methods,
                              permitted_headers(c, x));
    http_exchange_reply(x, 200, NULL, "", 0, fields);
    free(fields);
}
