/* SPDX-License-Identifier: MIT */
/*
 * The HTTP API: which function answers which request. A file here is a family of routes; each
 * function takes an exchange and answers it, now or later.
 */
#ifndef HOSTLER_API_API_H
#define HOSTLER_API_API_H

#include <stdint.h>

#include "api/access_recorder.h"
#include "api/caller.h"
#include "api/hosts.h"
#include "http/body_budget.h"
#include "http/server.h"
#include "server/downloads.h"
#include "server/host.h"
#include "server/refresh.h"

struct engine_route;
struct meter;
struct own_usage;

struct api {
    struct host *host;
    struct refresh *refresh;
    struct events *events;
    struct sessions *sessions;
    struct downloads *downloads;
    struct request_log *requests;
    struct otlp *otlp;                 /* NULL: nothing is sent to a collector */
    struct tracing *tracing;           /* NULL: the same */
    struct otlp_metrics *otlp_metrics; /* NULL: figures are not sent */
    struct meter *meter;
    struct access_recorder access;
    struct own_usage *own;
    struct logs *logs;
    struct live *live;
    struct timelines *timelines;
    struct capture *capture;
    struct files *files; /* NULL: no --path */
    struct doctor *doctor;
    struct hosts hosts;        /* by which requests may name the server */
    struct body_budget bodies; /* memory for requests' bodies that are held */
    uint64_t started;          /* uv_now(), ms */
    bool is_exposed;           /* it listens on an address that other machines may reach */
    unsigned preset_jobs;      /* that the pool has (presets.c) */
    bool preset_is_written;    /* by one of them */
};

struct api *api_create(struct host *host, struct refresh *refresh);
/* When no exchange is left. */
void api_destroy(struct api *api);

/* `caller` is the route's for the time of the call. */
typedef void api_handler(struct api *api, struct http_exchange *x, const struct caller *caller);

/* The http_handler of the server; `ctx` is the struct api. */
void api_handle(struct http_exchange *x, void *ctx);
/* The server listens; before the first request. */
void api_listening(struct api *api, const struct http_server *server);
/* For http_server_on_end(). */
void api_end(struct http_exchange *x, enum http_end end, void *ctx);
/* Adds what every answer's head has; for http_server_on_answer(). */
void api_add_fields(struct http_exchange *x, void *ctx);

/*
 * Handlers, with what a call costs the loop beside reading the body; what a slice does is bounded by time
 * (slices.h). A name that no model has costs the search for the nearest one, O(models) with a ceiling.
 * bench/latency calls each with its worst input.
 */

/* models.c: llama.cpp's router routes, and an entry of the list by its name. List: O(models), in slices; with `?reload=1`
 * also refresh.h. Others: O(1). */
api_handler api_models_list, api_models_get, api_models_load;
/* downloads.c. O(1); files are fetched by a process and deleted in the pool. */
api_handler api_models_download, api_models_delete;
downloads_on_event api_downloads_on_event;
/* Cancels the download of that name and answers; false when there is none. */
bool api_download_cancel(struct api *api, struct http_exchange *x, const char *name);
/* events.c. O(1); each event later is O(subscribers). */
api_handler api_events;
/* live.c. What changed of models is told in slices; it is found out once for all subscribers. */
api_handler api_live;
/* timeline.c. O(devices): 720 steps, some 0.1 ms a device. */
api_handler api_timeline;
/* unload.c. O(models named), for unload-all O(models): some 0.1 µs each; the report in slices. */
api_handler api_models_unload, api_models_unload_all;
/* holds.c. O(models named), or O(models), in slices; of a hold 0.5 µs each in one turn. */
api_handler api_models_hold, api_models_release, api_models_pin, api_models_unpin;
/* requests.c, show.c, estimate.c, logs.c. Requests: O(those asked for), at most 1,000 and those that go on; logs:
 * O(what is kept); show and estimate: O(instances). */
api_handler api_requests, api_request, api_show, api_estimate, api_logs;
/* capture.c. O(bodies that are kept), when it ends. */
api_handler api_capture, api_set_capture;
/* prompt_cache.c. O(saved prompts), at most 10,000, some 10 ns each; the list in slices. Files are removed in the pool. */
api_handler api_cache_list, api_cache_clear;
/* inference.c: passes the request on to the engine of the model that it names. `route`: by which of the
 * kinds' routes it came. */
void api_inference(struct api *api, struct http_exchange *x, const struct caller *caller,
                   const struct engine_route *route);
/* The same for a request that names its model in the query, or in classic mode, where the path is the engine's as it is. `meant`: by
 * which of the kinds' routes it would come in router mode; NULL: by none. */
void api_inference_query(struct api *api, struct http_exchange *x, const struct caller *caller,
                         const struct engine_route *meant);
/* Reads a conversation's stream again, at the engine of a loaded model. */
void api_inference_of(struct api *api, struct http_exchange *x, const struct caller *caller,
                      struct model *m, const char *conversation);
/* streams.c. O(1); lookup: O(models + ids × engines), at most 4096 ids. */
api_handler api_stream_get, api_stream_delete, api_streams_lookup;
/* status.c. O(1); status: O(models), in slices. */
api_handler api_health, api_props, api_status;
/* metrics.c: O(models that were used, with a ceiling), in slices; once O(models), some 5 ns each. With `?model=` the engine's own. */
api_handler api_metrics, api_own_metrics;
/* log_level.c. O(1). */
api_handler api_log_level, api_set_log_level;
/* What llama.cpp's web UI looks for, to learn that it is not there: tools, the CORS proxy. O(1). */
api_handler api_disabled;
/* presets.c. O(models), in the pool; the body, and copying the text in effect, on the loop. */
api_handler api_presets, api_presets_check, api_presets_put;
/* doctor.c. O(1): a process runs, at most one in 10 s. */
api_handler api_doctor;
/* page.c: hostler's page, at `/` and below /hostler/. O(its files), from memory. */
api_handler api_page, api_page_root;
/* 404: there is no such route. */
void api_no_route(const struct api *api, struct http_exchange *x);

#endif
