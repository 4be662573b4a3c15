/* SPDX-License-Identifier: MIT */
/*
 * Finds the route, checks the key. In router mode the table below says it all; in classic mode
 * whatever hostler does not answer itself goes to the one engine, so that the server behaves as a
 * llama-server would.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/access.h"
#include "api/api.h"
#include "api/cors.h"
#include "api/events.h"
#include "api/logs.h"
#include "api/reply.h"
#include "api/requests.h"
#include "api/streams.h"
#include "base/memory.h"
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
    {"GET", "/models", api_models_list, ROUTER},
    {"GET", "/v1/models", api_models_list, ROUTER},
    {"POST", "/models", api_models_download, ROUTER},
    {"DELETE", "/models", api_models_delete, ROUTER},
    {"GET", "/models/sse", api_events, ROUTER},
    {"GET", "/props", api_props, ROUTER},
    {"POST", "/models/load", api_models_load, 0},
    {"POST", "/models/unload", api_models_unload, 0},
    {"POST", "/models/unload-all", api_models_unload_all, 0},
    {"POST", "/models/hold", api_models_hold, 0},
    {"POST", "/models/release", api_models_release, 0},
    {"POST", "/models/pin", api_models_pin, 0},
    {"POST", "/models/unpin", api_models_unpin, 0},
    {"GET", "/hostler/v1/status", api_status, 0},
    {"GET", "/hostler/v1/requests", api_requests, 0},
    {"GET", "/hostler/v1/show", api_show, 0},
    {"GET", "/hostler/v1/estimate", api_estimate, 0},
    {"GET", "/hostler/v1/logs", api_logs, 0},

    {"GET", "/v1/stream", api_stream_get, ROUTER},
    {"DELETE", "/v1/stream", api_stream_delete, ROUTER},
    {"POST", "/v1/streams/lookup", api_streams_lookup, ROUTER},

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
    {"POST", "/v1/systemone", api_inference_body, ROUTER},

    {"GET", "/tools", api_disabled, ROUTER},
    {"POST", "/tools", api_disabled, ROUTER},
    {"GET", "/cors-proxy", api_disabled, ROUTER},
    {"POST", "/cors-proxy", api_disabled, ROUTER},
};

/* Of each route's path: a request's path differs from most in its length already. */
static unsigned char path_len[sizeof routes / sizeof *routes];

static bool path_matches(const char *pattern, size_t n, const char *path, size_t len)
{
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
static const struct route *find_route(const char *method, const char *target,
                                      const char **other_method)
{
    size_t len = target_path_len(target);
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        const struct route *r = &routes[i];
        if (!path_matches(r->path, path_len[i], target, len))
            continue;
        if (method_matches(r->method, method))
            return r;
        *other_method = r->method;
    }
    return NULL;
}

/* --- dispatch -----------------------------------------------------------------------------------
 */

/* RFC 9110, 15.5.6: it must say what is allowed. */
static void refuse_method(struct http_exchange *x, const char *method, const char *allowed)
{
    char text[96], field[48];
    snprintf(text, sizeof text, "%s is not possible here: use %s", method, allowed);
    snprintf(field, sizeof field, "Allow: %s\r\n", allowed);
    reply_error_fields(x, 405, text, field);
}

void api_add_fields(struct http_exchange *x, void *ctx)
{
    const struct api *api = ctx;
    cors_add_fields(host_config(api->host), x);
}

static void refuse_path(const struct config *c, struct http_exchange *x)
{
    const char *target = http_exchange_target(x);
    reply_error(x, 404, "there is no route %s %.*s%s%s", http_exchange_method(x),
                (int)target_path_len(target), target,
                c->api_prefix ? "; all are below --api-prefix " : "",
                c->api_prefix ? c->api_prefix : "");
}

static bool may_ask(const struct config *c, const struct http_exchange *x)
{
    const struct keys *keys = &c->api_keys;
    return !keys->n || access_key(keys, http_exchange_head(x));
}

/* In classic mode the one engine answers what hostler does not answer itself. */
static bool is_engines(const struct config *c, const struct route *r)
{
    return c->classic && (!r || (r->flags & ROUTER));
}

static bool is_public(const struct config *c, const struct route *r, const struct http_exchange *x)
{
    const char *target = http_exchange_target(x);
    if (r)
        return r->flags & PUBLIC;
    return c->classic && access_is_page(http_exchange_method(x), target, target_path_len(target));
}

/* From here on the target is what stands below --api-prefix; false when it is not below it. */
static bool enter_prefix(const struct config *c, struct http_exchange *x)
{
    size_t len = c->api_prefix ? strlen(c->api_prefix) : 0;
    const char *target = http_exchange_target(x);
    if (len && (strncmp(target, c->api_prefix, len) != 0 || target[len] != '/'))
        return false;
    http_exchange_skip_target(x, len);
    return true;
}

struct api *api_create(struct host *host, struct refresh *refresh)
{
    struct api *api = mem_zalloc(sizeof *api);
    api->host = host;
    api->refresh = refresh;
    api->events = events_create(host);
    api->streams = streams_create();
    api->requests = requests_create(host_loop(host));
    api->logs = logs_create(host);
    api->downloads = downloads_create(host, refresh, api_downloads_told, api);
    api->started = uv_now(host_loop(host));
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        path_len[i] = (unsigned char)strlen(routes[i].path);
    return api;
}

void api_destroy(struct api *api)
{
    downloads_destroy(api->downloads);
    events_destroy(api->events);
    streams_destroy(api->streams);
    requests_destroy(api->requests);
    logs_destroy(api->logs);
    free(api);
}

void api_handle(struct http_exchange *x, void *ctx)
{
    struct api *api = ctx;
    const struct config *c = host_config(api->host);
    const char *method = http_exchange_method(x);
    const char *other_method = NULL;
    if (strcmp(method, "OPTIONS") == 0) {
        cors_answer_preflight(c, x);
        return;
    }
    bool inside = enter_prefix(c, x);
    const struct route *r =
        inside ? find_route(method, http_exchange_target(x), &other_method) : NULL;
    bool has_right = may_ask(c, x);
    if (!(inside && is_public(c, r, x)) && !has_right)
        reply_error(x, 401, "Invalid API Key");
    else if (inside && is_engines(c, r))
        (has_right ? api_inference_query : api_inference_page)(api, x);
    else if (r)
        r->handler(api, x);
    else if (other_method)
        refuse_method(x, method, other_method);
    else
        refuse_path(c, x);
}
