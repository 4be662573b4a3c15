/* SPDX-License-Identifier: MIT */
#include "api/query.h"

#include <stdlib.h>
#include <string.h>

#include "api/reply.h"
#include "base/value.h"
#include "http/target.h"

bool query_has(const struct http_exchange *x, const char *name)
{
    char *value = target_query(http_exchange_target(x), name);
    const bool has = value != NULL;
    free(value);
    return has;
}

bool query_flag(const struct http_exchange *x, const char *name)
{
    char *value = target_query(http_exchange_target(x), name);
    const bool set = value && strcmp(value, "0") != 0 && strcmp(value, "false") != 0;
    free(value);
    return set;
}

int query_count(struct http_exchange *x, const char *name, unsigned *n)
{
    char *text = target_query(http_exchange_target(x), name);
    struct error err;
    int rc = text ? value_count(text, n, &err) : 0;
    free(text);
    if (rc)
        reply_error(x, 400, "%s: %s", name, err.text);
    return rc ? -1 : 0;
}
