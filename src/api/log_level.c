/* SPDX-License-Identifier: MIT */
/* GET and POST /hostler/v1/log-level: what the log tells, changed while the daemon runs. */
#include <stdlib.h>

#include "api/api.h"
#include "api/body.h"
#include "api/reply.h"
#include "base/log.h"

static void reply_level(struct http_exchange *x)
{
    reply_json(x, 200, json_pack("{s:s}", "level", log_level_name(log_level())));
}

void api_log_level(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    (void)api;
    (void)caller;
    reply_level(x);
}

static void set_level(struct api *api, struct http_exchange *x, const struct caller *caller,
                      json_t *body)
{
    static const char *const known[] = {"level", NULL};
    const char *text = NULL;
    (void)api;
    if (body_check_members(x, body, known) || body_get_text(x, body, "level", &text))
        return;
    int level = text ? log_level_parse(text) : -1;
    if (level < 0) {
        reply_error(x, 400, "'level' must be error, warn, info or debug");
        return;
    }
    char *who = caller_describe(caller);
    /* At whichever of the two levels tells more, so that the log itself says from when on it is silent. */
    if (level > (int)log_level())
        log_set_level((enum log_level)level);
    log_warn("the log's level is %s from now on: %s", log_level_name((enum log_level)level), who);
    log_set_level((enum log_level)level);
    free(who);
    reply_level(x);
}

void api_set_log_level(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    body_read_json(api, x, caller, set_level);
}
