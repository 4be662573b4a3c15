/* SPDX-License-Identifier: MIT */
/*
 * Finds the route, checks the key. In router mode the table below says it all; in classic mode
 * whatever hostler does not answer itself goes to the one engine, so that the server behaves as a
 * llama-server would.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "api/api.h"
#include "api/reply.h"
#include "http/target.h"

enum route_flags {
    PUBLIC = 1, /* no key needed */
    ROUTER = 2, /* only in router mode: in classic mode it is the engine's */
};

static const struct route {
    const char *method; /* GET also answers HEAD */
    const char *path;   /* a trailing `*` matches one more segment */
    api_handler *handler;
    unsigned flags;
} routes[] = {
    {"GET", "/health", api_health, PUBLIC},
    {"GET", "/v1/health", api_health, PUBLIC},
    {"GET", "/models", api_models_list, PUBLIC | ROUTER},
    {"GET", "/v1/models", api_models_list, PUBLIC | ROUTER},
    {"GET", "/props", api_props, ROUTER},
    {"POST", "/models/load", api_models_load, 0},
    {"POST", "/models/unload", api_models_unload, 0},
    {"POST", "/models/unload-all", api_models_unload_all, 0},
    {"POST", "/models/hold", api_models_hold, 0},
    {"POST", "/models/release", api_models_release, 0},
    {"GET", "/hostler/v1/status", api_status, 0},

    {"GET", "/metrics", api_inference_query, ROUTER},
    {"GET", "/slots", api_inference_query, ROUTER},
    {"GET", "/lora-adapters", api_inference_query, ROUTER},

    {"POST", "/props", api_inference_body, ROUTER},
    {"POST", "/completion", api_inference_body, ROUTER},
    {"POST", "/completions", api_inference_body, ROUTER},
    {"POST", "/v1/completions", api_inference_body, ROUTER},
    {"POST", "/infill", api_inference_body, ROUTER},
    {"POST", "/chat/completions", api_inference_body, ROUTER},
    {"POST", "/v1/chat/completions", api_inference_body, ROUTER},
    {"POST", "/v1/chat/completions/control", api_inference_body, ROUTER},
    {"POST", "/responses", api_inference_body, ROUTER},
    {"POST", "/v1/responses", api_inference_body, ROUTER},
    {"POST", "/audio/transcriptions", api_inference_body, ROUTER},
    {"POST", "/v1/audio/transcriptions", api_inference_body, ROUTER},
    {"POST", "/v1/messages", api_inference_body, ROUTER},
    {"POST", "/v1/messages/count_tokens", api_inference_body, ROUTER},
    {"POST", "/chat/completions/input_tokens", api_inference_body, ROUTER},
    {"POST", "/v1/chat/completions/input_tokens", api_inference_body, ROUTER},
    {"POST", "/responses/input_tokens", api_inference_body, ROUTER},
    {"POST", "/v1/responses/input_tokens", api_inference_body, ROUTER},
    {"POST", "/embedding", api_inference_body, ROUTER},
    {"POST", "/embeddings", api_inference_body, ROUTER},
    {"POST", "/v1/embeddings", api_inference_body, ROUTER},
    {"POST", "/rerank", api_inference_body, ROUTER},
    {"POST", "/v1/rerank", api_inference_body, ROUTER},
    {"POST", "/reranking", api_inference_body, ROUTER},
    {"POST", "/v1/reranking", api_inference_body, ROUTER},
    {"POST", "/tokenize", api_inference_body, ROUTER},
    {"POST", "/detokenize", api_inference_body, ROUTER},
    {"POST", "/apply-template", api_inference_body, ROUTER},
    {"POST", "/slots/*", api_inference_body, ROUTER},
    {"POST", "/lora-adapters", api_inference_body, ROUTER},
};

static bool path_matches(const char *pattern, const char *path, size_t len)
{
    size_t n = strlen(pattern);
    if (pattern[n - 1] != '*')
        return n == len && memcmp(pattern, path, n) == 0;
    return len >= n && memcmp(pattern, path, n - 1) == 0 &&
           !memchr(path + n - 1, '/', len - (n - 1));
}

static bool method_matches(const char *wanted, const char *method)
{
    return strcmp(wanted, method) == 0 ||
           (strcmp(wanted, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

/* NULL when there is none; `*other_method` tells that the path exists for another method. */
static const struct route *find_route(const char *method, const char *target, bool classic,
                                      const char **other_method)
{
    size_t len = target_path_len(target);
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        const struct route *r = &routes[i];
        if ((classic && (r->flags & ROUTER)) || !path_matches(r->path, target, len))
            continue;
        if (method_matches(r->method, method))
            return r;
        *other_method = r->method;
    }
    return NULL;
}

/* --- keys ---------------------------------------------------------------------------------------
 */

/* Takes as long for a wrong key as for a right one of the same length. */
static bool same_text(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b);
    unsigned char differ = la != lb;
    for (size_t i = 0; i < la; i++)
        differ |= (unsigned char)(a[i] ^ b[lb ? i % lb : 0]);
    return !differ;
}

static const char *presented_key(const struct http_head *head)
{
    const char *key = http_head_get(head, "authorization");
    if (!key || !*key)
        key = http_head_get(head, "x-api-key");
    return key && strncasecmp(key, "Bearer ", 7) == 0 ? key + 7 : key;
}

static bool key_is_valid(const struct strv *keys, const struct http_head *head)
{
    const char *key = presented_key(head);
    bool valid = false;
    for (size_t i = 0; key && i < keys->n; i++)
        valid |= same_text(key, keys->v[i]);
    return valid;
}

/* --- dispatch -----------------------------------------------------------------------------------
 */

static bool needs_key(const struct config *c, const struct route *r)
{
    return c->api_keys.n && !(r && (r->flags & PUBLIC));
}

/* RFC 9110, 15.5.6: it must say what is allowed. */
static void refuse_method(struct http_exchange *x, const char *method, const char *allowed)
{
    char text[96], field[48];
    snprintf(text, sizeof text, "%s is not possible here: use %s", method, allowed);
    snprintf(field, sizeof field, "Allow: %s\r\n", allowed);
    reply_error_fields(x, 405, text, field);
}

/* What a browser asks before a page of another origin may call us; answered as llama.cpp does. */
static void answer_preflight(struct http_exchange *x)
{
    http_exchange_reply(x, 200, NULL, "", 0,
                        "Access-Control-Allow-Credentials: true\r\n"
                        "Access-Control-Allow-Methods: GET, POST, DELETE, OPTIONS\r\n"
                        "Access-Control-Allow-Headers: *\r\n");
}

bool api_is_trusted(const struct api *api, const struct http_exchange *x)
{
    const struct config *c = host_config(api->host);
    return !c->api_keys.n || key_is_valid(&c->api_keys, http_exchange_head(x));
}

void api_handle(struct http_exchange *x, void *ctx)
{
    struct api *api = ctx;
    const struct config *c = host_config(api->host);
    const char *method = http_exchange_method(x);
    const char *other_method = NULL;
    if (strcmp(method, "OPTIONS") == 0) {
        answer_preflight(x);
        return;
    }
    const struct route *r = find_route(method, http_exchange_target(x), c->classic, &other_method);
    if (needs_key(c, r) && !api_is_trusted(api, x)) {
        reply_error(x, 401, "Invalid API Key");
        return;
    }
    if (r)
        r->handler(api, x);
    else if (c->classic)
        api_inference_query(api, x);
    else if (other_method)
        refuse_method(x, method, other_method);
    else
        reply_error(x, 404, "there is no route %s %.*s", method,
                    (int)target_path_len(http_exchange_target(x)), http_exchange_target(x));
}
