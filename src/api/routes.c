/* SPDX-License-Identifier: MIT */
/*
 * Finds the route, and refuses callers who may not use it. In router mode there are the routes of the table
 * below and those of the kinds of engines; in classic mode whatever hostler does not answer itself goes to
 * the one engine, so that the server behaves as a llama-server would.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/access.h"
#include "api/api.h"
#include "api/capture.h"
#include "api/cors.h"
#include "api/doctor.h"
#include "api/events.h"
#include "api/files.h"
#include "api/live.h"
#include "api/logs.h"
#include "api/meter.h"
#include "api/metrics.h"
#include "api/page.h"
#include "api/otlp_metrics.h"
#include "api/reply.h"
#include "api/request_log.h"
#include "api/sessions.h"
#include "api/timeline.h"
#include "api/tracing.h"
#include "base/log.h"
#include "base/json_text.h"
#include "base/memory.h"
#include "engine/kind.h"
#include "http/spool.h"
#include "server/own_usage.h"
#include "http/target.h"
#include "server/otlp.h"

enum route_flags {
    ROUTER = 1,  /* only in router mode: in classic mode it is the engine's */
    RELOADS = 2, /* with `?reload=` it reads the models anew, which needs RIGHT_ADMIN */
    RESERVE =
        4, /* an operator needs it, and it is short, or makes way while it waits: served even when all
           connections are in use */
    LEAN = 8, /* needs little memory, or brings some back: served while memory is short */
};

struct route {
    const char *method; /* GET also answers HEAD */
    const char *path;   /* a trailing `*` matches one more segment, `**` one or more */
    api_handler *handler;
    enum right right;
    unsigned flags;
    const struct engine_route *engine; /* passed on to an engine, in place of `handler`; NULL */
};

/* Those that hostler answers itself, or asks several engines for. */
static const struct route own_routes[] = {
    {"GET", "/health", api_health, RIGHT_NONE, RESERVE | LEAN, NULL},
    {"GET", "/v1/health", api_health, RIGHT_NONE, RESERVE | LEAN, NULL},
    {"GET", "/models", api_models_list, RIGHT_LIST, ROUTER | RELOADS | RESERVE, NULL},
    {"GET", "/v1/models", api_models_list, RIGHT_LIST, ROUTER | RELOADS | RESERVE, NULL},
    {"GET", "/v1/models/**", api_models_get, RIGHT_LIST, ROUTER | RESERVE, NULL},
    {"POST", "/models", api_models_download, RIGHT_DOWNLOAD, ROUTER, NULL},
    {"DELETE", "/models", api_models_delete, RIGHT_DELETE, ROUTER, NULL},
    {"GET", "/models/sse", api_events, RIGHT_STATUS, ROUTER, NULL},
    {"GET", "/props", api_props, RIGHT_LIST, ROUTER | RESERVE, NULL},
    {"POST", "/models/load", api_models_load, RIGHT_LOAD, RESERVE, NULL},
    {"POST", "/models/unload", api_models_unload, RIGHT_UNLOAD, RESERVE | LEAN, NULL},
    {"POST", "/models/unload-all", api_models_unload_all, RIGHT_UNLOAD, RESERVE | LEAN, NULL},
    {"POST", "/models/hold", api_models_hold, RIGHT_HOLD, RESERVE, NULL},
    {"POST", "/models/release", api_models_release, RIGHT_HOLD, RESERVE, NULL},
    {"POST", "/models/pin", api_models_pin, RIGHT_HOLD, RESERVE, NULL},
    {"POST", "/models/unpin", api_models_unpin, RIGHT_HOLD, RESERVE, NULL},
    {"GET", "/hostler/v1/status", api_status, RIGHT_STATUS, RESERVE | LEAN, NULL},
    {"GET", "/hostler/v1/live", api_live, RIGHT_STATUS, 0, NULL},
    {"GET", "/hostler/v1/timeline", api_timeline, RIGHT_STATUS, RESERVE, NULL},
    {"GET", "/hostler/v1/requests", api_requests, RIGHT_STATUS, RESERVE, NULL},
    {"GET", "/hostler/v1/requests/*", api_request, RIGHT_STATUS, RESERVE, NULL},
    {"GET", "/hostler/v1/capture", api_capture, RIGHT_ADMIN, RESERVE, NULL},
    {"POST", "/hostler/v1/capture", api_set_capture, RIGHT_ADMIN, RESERVE, NULL},
    {"GET", "/hostler/v1/show", api_show, RIGHT_STATUS, RESERVE, NULL},
    {"GET", "/hostler/v1/estimate", api_estimate, RIGHT_STATUS, 0, NULL},
    {"GET", "/hostler/v1/logs", api_logs, RIGHT_LOGS, 0, NULL},
    {"GET", "/hostler/v1/doctor", api_doctor, RIGHT_STATUS, 0, NULL},
    {"GET", "/hostler/v1/presets", api_presets, RIGHT_ADMIN, RESERVE, NULL},
    {"PUT", "/hostler/v1/presets", api_presets_put, RIGHT_ADMIN, RESERVE, NULL},
    {"POST", "/hostler/v1/presets/check", api_presets_check, RIGHT_ADMIN, 0, NULL},
    {"GET", "/hostler/v1/cache", api_cache_list, RIGHT_STATUS, RESERVE, NULL},
    {"DELETE", "/hostler/v1/cache", api_cache_clear, RIGHT_UNLOAD, RESERVE | LEAN, NULL},

    {"GET", "/metrics", api_metrics, RIGHT_STATUS, ROUTER | RESERVE | LEAN, NULL},
    {"GET", "/hostler/v1/log-level", api_log_level, RIGHT_ADMIN, RESERVE, NULL},
    {"POST", "/hostler/v1/log-level", api_set_log_level, RIGHT_ADMIN, RESERVE, NULL},
    {"GET", "/hostler/v1/metrics", api_own_metrics, RIGHT_STATUS, RESERVE | LEAN, NULL},

    {"GET", "/v1/stream", api_stream_get, RIGHT_RESUME, ROUTER, NULL},
    {"DELETE", "/v1/stream", api_stream_delete, RIGHT_RESUME, ROUTER, NULL},
    {"POST", "/v1/streams/lookup", api_streams_lookup, RIGHT_RESUME, ROUTER, NULL},

    {"GET", "/", api_page_root, RIGHT_NONE, ROUTER | RESERVE, NULL},
    {"GET", "/hostler", api_page, RIGHT_NONE, RESERVE, NULL},
    {"GET", "/hostler/", api_page, RIGHT_NONE, RESERVE, NULL},
    {"GET", "/hostler/*", api_page, RIGHT_NONE, RESERVE, NULL},

    {"GET", "/tools", api_disabled, RIGHT_ADMIN, ROUTER, NULL},
    {"POST", "/tools", api_disabled, RIGHT_ADMIN, ROUTER, NULL},
    {"GET", "/cors-proxy", api_disabled, RIGHT_ADMIN, ROUTER, NULL},
    {"POST", "/cors-proxy", api_disabled, RIGHT_ADMIN, ROUTER, NULL},
};

#define N_OWN_ROUTES (sizeof own_routes / sizeof *own_routes)
#define ROUTES_MAX 255 /* an index in one byte, 0 aside */

/* Those and the kinds' of engines. */
static struct route routes[ROUTES_MAX];
static size_t n_routes;

#define ROUTE_LEN_MAX 64 /* no route's path is longer */

/*
 * Routes by the length of their path, in which a request's path differs from most already. A list has the
 * table's order, and each goes on with the routes that have a `*`; list 0 has only those.
 */
static struct {
    unsigned char first[ROUTE_LEN_MAX + 1]; /* a route's number plus 1; 0: none */
    unsigned char next[ROUTES_MAX];         /* the same */
    unsigned char len[ROUTES_MAX];          /* of the path */
} by_length;

static bool is_pattern(const struct route *r)
{
    return strchr(r->path, '*');
}

static void prepend(unsigned char *list, size_t i)
{
    by_length.next[i] = *list;
    *list = (unsigned char)(i + 1);
}

static enum right right_of_use(enum engine_route_use use)
{
    switch (use) {
    case ENGINE_ROUTE_INFER:
        return RIGHT_INFER;
    case ENGINE_ROUTE_READ:
        return RIGHT_LIST;
    case ENGINE_ROUTE_STATUS:
        return RIGHT_STATUS;
    case ENGINE_ROUTE_ADMIN:
        return RIGHT_ADMIN;
    }
    return RIGHT_ADMIN;
}

static bool has_route(const char *method, const char *path)
{
    for (size_t i = 0; i < n_routes; i++)
        if (strcmp(routes[i].path, path) == 0 && strcmp(routes[i].method, method) == 0)
            return true;
    return false;
}

/* Of two kinds with the same route the first one's right counts; whether a model's engine serves it is
 * known when its name is (inference.c). */
static void add_route(const struct engine_route *r)
{
    if (has_route(r->method, r->path))
        return;
    assert(n_routes < ROUTES_MAX && strlen(r->path) <= ROUTE_LEN_MAX);
    routes[n_routes++] = (struct route){.method = r->method,
                                        .path = r->path,
                                        .right = right_of_use(r->use),
                                        .flags = ROUTER,
                                        .engine = r};
}

static void collect_routes(void)
{
    const struct engine_kind *kind;
    memcpy(routes, own_routes, sizeof own_routes);
    n_routes = N_OWN_ROUTES;
    for (size_t k = 0; (kind = engine_kind_at(k)); k++)
        for (size_t i = 0; kind->routes && i < kind->routes->n; i++)
            add_route(&kind->routes->v[i]);
}

static void index_routes(void)
{
    collect_routes();
    memset(&by_length, 0, sizeof by_length);
    for (size_t i = n_routes; i--;) {
        by_length.len[i] = (unsigned char)strlen(routes[i].path);
        if (is_pattern(&routes[i]))
            prepend(&by_length.first[0], i);
    }
    memset(by_length.first, by_length.first[0], sizeof by_length.first);
    for (size_t i = n_routes; i--;)
        if (!is_pattern(&routes[i]))
            prepend(&by_length.first[by_length.len[i]], i);
}

static bool path_matches(const char *pattern, size_t n, const char *path, size_t len)
{
    if (pattern[n - 1] != '*')
        return n == len && memcmp(pattern, path, n) == 0;
    if (pattern[n - 2] == '*')
        return len >= n - 1 && memcmp(pattern, path, n - 2) == 0;
    return len >= n && memcmp(pattern, path, n - 1) == 0 &&
           !memchr(path + n - 1, '/', len - (n - 1));
}

static bool method_matches(const char *wanted, const char *method)
{
    return strcmp(wanted, method) == 0 ||
           (strcmp(wanted, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

/* The next route of the path after `r`, whatever its method; NULL: none. `r` is NULL: the first. */
static const struct route *next_of_path(const char *path, size_t len, const struct route *r)
{
    unsigned char i =
        r ? by_length.next[r - routes] : by_length.first[len <= ROUTE_LEN_MAX ? len : 0];
    for (; i; i = by_length.next[i - 1])
        if (path_matches(routes[i - 1].path, by_length.len[i - 1], path, len))
            return &routes[i - 1];
    return NULL;
}

static const struct route *find_route(const char *method, const char *target)
{
    const size_t len = target_path_len(target);
    const struct route *r = NULL;
    while ((r = next_of_path(target, len, r)) && !method_matches(r->method, method))
        ;
    return r;
}

/* --- who may use it -----------------------------------------------------------------------------
 */

static bool wants_reload(const char *target)
{
    char *reload = target[target_path_len(target)] ? target_query(target, "reload") : NULL;
    bool wanted = reload && *reload;
    free(reload);
    return wanted;
}

/* In classic mode what is none of our routes is the engine's. Other spellings of a path could lead to
 * one of its routes that the table protects, so they need all rights. */
static enum right right_of_unknown(const struct config *c, const char *method, const char *target)
{
    const size_t len = target_path_len(target);
    if (page_is_engines(c, method, target))
        return RIGHT_NONE;
    if (!c->classic) /* a file of --path, or to be told that there is no such route */
        return c->static_dir && len == 1 && access_is_plain_get(method, target, len) ? RIGHT_NONE
                                                                                     : RIGHT_LIST;
    if (access_is_page(method, target, len))
        return RIGHT_NONE;
    return access_is_plain_get(method, target, len) ? RIGHT_INFER : RIGHT_ADMIN;
}

/* `r`: NULL where there is no route. */
static enum right right_of(const struct config *c, const struct route *r, const char *method,
                           const char *target)
{
    if (!r)
        return right_of_unknown(c, method, target);
    return (r->flags & RELOADS) && wants_reload(target) ? RIGHT_ADMIN : r->right;
}

/* A form, which a page may send without asking first, is no JSON. */
static bool has_json_body(const struct http_exchange *x)
{
    static const char json[] = "application/json";
    const char *type = http_head_get(http_exchange_head(x), "content-type");
    if (!http_exchange_body_length(x))
        return true;
    if (!type || strncasecmp(type, json, sizeof json - 1) != 0)
        return false;
    type += sizeof json - 1;
    return strchr("; \t", *type) != NULL;
}

/* Whether the request may go on; else it is answered. */
static bool admit(const struct caller *caller, enum right right, struct http_exchange *x)
{
    if (!caller_may(caller, right, NULL)) {
        caller_refuse(caller, right, x);
        return false;
    }
    if (caller->page == PAGE_NONE || caller_foreign_page_may(right) || has_json_body(x))
        return true;
    reply_error(x, 415, "a page's request to this route needs Content-Type: application/json");
    return false;
}

static void refuse_host(struct http_exchange *x)
{
    size_t len;
    const char *authority = http_exchange_authority(x, &len);
    const char *host = http_head_get(http_exchange_head(x), "host");
    if (!authority) {
        authority = host ? host : "";
        len = strlen(authority);
    }
    http_exchange_omit_fields(x);
    reply_error(x, 421,
                "'%.*s' is no name of this server: ask it by its address or as localhost, or start "
                "it with --allowed-hosts and that name",
                (int)(len < 128 ? len : 128), authority);
}

/* --- dispatch -----------------------------------------------------------------------------------
 */

/* It takes any path below its own: /v1/models/load is no model that could be read with another method. */
static bool is_open_ended(const struct route *r)
{
    return strstr(r->path, "**");
}

/* `GET, HEAD, POST`: of the path's routes. The caller frees it; NULL: it has none. */
static char *methods_of(const char *target)
{
    const size_t len = target_path_len(target);
    char *all = NULL;
    const struct route *r = NULL;
    while ((r = next_of_path(target, len, r))) {
        if (is_open_ended(r))
            continue;
        const char *more = strcmp(r->method, "GET") == 0 ? "GET, HEAD" : r->method;
        char *longer = all ? mem_printf("%s, %s", all, more) : mem_strdup(more);
        free(all);
        all = longer;
    }
    return all;
}

/* RFC 9110, 15.5.6: it must say what is allowed. */
static void refuse_method(struct http_exchange *x, const char *methods)
{
    char *text = mem_printf("%s is not possible here: use %s", http_exchange_method(x), methods);
    char *field = mem_printf("Allow: %s, OPTIONS\r\n", methods);
    reply_error_fields(x, 405, text, field);
    free(field);
    free(text);
}

static void refuse_path(const struct config *c, struct http_exchange *x)
{
    const char *target = http_exchange_target(x);
    reply_error(x, 404, "there is no route %s %.*s%s%s", http_exchange_method(x),
                (int)target_path_len(target), target,
                c->api_prefix ? "; all are below --api-prefix " : "",
                c->api_prefix ? c->api_prefix : "");
}

static void refuse_route(const struct config *c, struct http_exchange *x, bool inside)
{
    char *methods = inside ? methods_of(http_exchange_target(x)) : NULL;
    if (methods)
        refuse_method(x, methods);
    else
        refuse_path(c, x);
    free(methods);
}

/* --path has no such file. */
static void on_file_missing(struct http_exchange *x, void *ctx)
{
    const struct api *api = ctx;
    const bool is_root = target_path_len(http_exchange_target(x)) == 1;
    if (!page_serve_engines(api, x) && (!is_root || !page_serve_root(api, x)))
        refuse_route(host_config(api->host), x, true);
}

void api_no_route(const struct api *api, struct http_exchange *x)
{
    refuse_path(host_config(api->host), x);
}

static bool may_be_file(const struct api *api, const char *method)
{
    return api->files && method_matches("GET", method);
}

/* In classic mode the one engine answers what hostler does not answer itself. */
static bool is_engines(const struct config *c, const struct route *r)
{
    return c->classic && (!r || (r->flags & ROUTER));
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

/* Permits what the request that it asks for would be granted, and nothing else. Without a key: a
 * browser sends none here. */
static void answer_preflight(const struct config *c, struct http_exchange *x,
                             const struct caller *caller)
{
    const char *target = http_exchange_target(x);
    const char *method = http_head_get(http_exchange_head(x), "access-control-request-method");
    enum right right = RIGHT_NONE;
    if (method)
        right = right_of(c, find_route(method, target), method, target);
    if (caller->page == PAGE_FOREIGN && !caller_foreign_page_may(right))
        caller_refuse(caller, right, x);
    else
        cors_answer_preflight(c, x);
}

void api_add_fields(struct http_exchange *x, void *ctx)
{
    const struct api *api = ctx;
    cors_add_fields(host_config(api->host), x);
}

/* 0: there is no route. */
static unsigned tag_of(const struct route *r)
{
    return r ? (unsigned)(r - routes) + 1 : 0;
}

const char *api_route_path(unsigned tag)
{
    return tag ? routes[tag - 1].path : REQUEST_OTHER_ROUTE;
}

const char *api_route_method(unsigned tag)
{
    return tag ? routes[tag - 1].method : METER_OTHER;
}

const struct engine_route *api_engine_route(const char *method, const char *path)
{
    const struct engine_kind *kind;
    for (size_t k = 0; (kind = engine_kind_at(k)); k++)
        for (size_t i = 0; kind->routes && i < kind->routes->n; i++)
            if (strcmp(kind->routes->v[i].path, path) == 0 &&
                strcmp(kind->routes->v[i].method, method) == 0)
                return &kind->routes->v[i];
    return NULL;
}

/* Of a request that an engine answers the record is still open. */
void api_end(struct http_exchange *x, enum http_end end, void *ctx)
{
    const struct api *api = ctx;
    struct request_record *record = http_exchange_note(x);
    struct http_figures figures;
    (void)end;
    http_exchange_figures(x, &figures);
    meter_note_exchange(api->meter, x, &figures);
    if (!record) {
        access_recorder_note(&api->access, x, api_route_path(figures.tag), &figures);
        return;
    }
    record->body_in = figures.body_in;
    record->body_out = figures.body_out;
}

/* O(routes whose path has the same length), beside what the handler does. */
void api_handle(struct http_exchange *x, void *ctx)
{
    struct api *api = ctx;
    const struct config *c = host_config(api->host);
    struct caller caller;
    json_text_begin();
    if (!hosts_accept(&api->hosts, x)) {
        refuse_host(x);
        return;
    }
    const bool inside = enter_prefix(c, x);
    caller_init(&caller, c, x);
    const char *method = http_exchange_method(x), *target = http_exchange_target(x);
    if (strcmp(method, "OPTIONS") == 0) {
        answer_preflight(c, x, &caller);
        return;
    }
    const struct route *r = inside ? find_route(method, target) : NULL;
    http_exchange_set_tag(x, tag_of(r));
    if (http_exchange_lacks_memory(x) && (!r || is_engines(c, r) || !(r->flags & LEAN))) {
        reply_no_memory(x);
        return;
    }
    if (http_exchange_is_over_limit(x) && (!r || is_engines(c, r) || !(r->flags & RESERVE))) {
        http_exchange_refuse_over_limit(x);
        return;
    }
    if (!admit(&caller, inside ? right_of(c, r, method, target) : RIGHT_LIST, x))
        return;
    if (inside && is_engines(c, r))
        api_inference_query(api, x, &caller, r ? r->engine : NULL);
    else if (r && r->engine)
        api_inference(api, x, &caller, r->engine);
    else if (r)
        r->handler(api, x, &caller);
    else if (inside && may_be_file(api, method))
        files_serve(api->files, x);
    else if (inside && method_matches("GET", method) && page_serve_engines(api, x))
        ;
    else
        refuse_route(c, x, inside);
}

/* --- the whole ----------------------------------------------------------------------------------
 */

static void begin_telemetry(struct api *api)
{
    struct otlp_settings settings;
    struct error err;
    if (!otlp_settings_read(&settings, environ))
        return;
    api->otlp = otlp_create(host_loop(api->host), &settings, &err);
    if (!api->otlp)
        log_warn("OpenTelemetry: nothing is sent: %s", err.text);
    if (!api->otlp)
        return;
    if (otlp_settings(api->otlp)->url[OTLP_TRACES])
        api->tracing = tracing_create(api->requests, api->otlp);
    api->otlp_metrics = otlp_metrics_create(api);
}

static void on_telemetry_closed(void *ctx)
{
    (void)ctx;
}

static void end_telemetry(struct api *api)
{
    tracing_destroy(api->tracing);
    otlp_metrics_destroy(api->otlp_metrics);
    if (api->otlp)
        otlp_close(api->otlp, on_telemetry_closed, NULL);
}

static void on_capture_changed(void *ctx)
{
    const struct api *api = ctx;
    live_note_server(api->live);
}

struct api *api_create(struct host *host, struct refresh *refresh)
{
    struct api *api = mem_zalloc(sizeof *api);
    api->host = host;
    api->refresh = refresh;
    api->events = events_create(host);
    api->sessions = sessions_create();
    api->requests = request_log_create(host_loop(host));
    api->meter = meter_create(host, api->requests);
    api->own = own_usage_create(host_loop(host));
    access_recorder_init(&api->access, host_loop(host), host_config(host), api->requests);
    api->logs = logs_create(host);
    api->doctor = doctor_create(host);
    api->live = live_create(api);
    api->timelines = timelines_create(host, api->requests);
    api->capture = capture_create(host, api->requests, on_capture_changed, api);
    api->downloads = downloads_create(host, refresh, api_downloads_on_event, api);
    api->bodies = (struct body_budget){.max = host_config(host)->max_body_memory,
                                       .folder = spool_choose_folder(host_private_folder(host)),
                                       .loop = host_loop(host)};
    api->started = uv_now(host_loop(host));
    if (host_config(host)->static_dir && !host_config(host)->classic)
        api->files = files_create(host, host_config(host)->static_dir, on_file_missing, api);
    begin_telemetry(api);
    index_routes();
    return api;
}

void api_destroy(struct api *api)
{
    end_telemetry(api); /* first: it tells the last figures */
    downloads_destroy(api->downloads);
    events_destroy(api->events);
    sessions_destroy(api->sessions);
    access_recorder_finish(&api->access);
    meter_destroy(api->meter);
    own_usage_destroy(api->own);
    live_destroy(api->live);
    timelines_destroy(api->timelines);
    capture_destroy(api->capture);
    request_log_destroy(api->requests);
    logs_destroy(api->logs);
    files_destroy(api->files);
    doctor_destroy(api->doctor);
    hosts_finish(&api->hosts);
    free(api);
}

static bool is_exposed(const struct http_server *server)
{
    char address[256];
    bool exposed = false;
    for (unsigned i = 0;
         !exposed && http_server_address(server, i, address, sizeof address, &exposed); i++)
        ;
    return exposed;
}

/* Bound to all addresses, it can be reached by any name. */
void api_listening(struct api *api, const struct http_server *server)
{
    hosts_finish(&api->hosts);
    hosts_init(&api->hosts, host_config(api->host), server);
    api->is_exposed = is_exposed(server);
    doctor_listening(api->doctor, server);
    if (api->hosts.any_name && api->hosts.any_address)
        log_warn("requests are answered whatever host they name, so that a web page could lead its "
                 "own name here: --allowed-hosts lists the names that count");
}
