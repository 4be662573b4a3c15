/* SPDX-License-Identifier: MIT */
/*
 * What GET /hostler/v1/live says of a model and of the machine, as JSON. A model's row has two parts: what seldom changes (its
 * state, why it went, …), which is compared by a hash, and its figures, which change all the time and are compared one by one, so
 * that only those that changed by at least 1 % are sent.
 */
#ifndef HOSTLER_API_LIVE_ROWS_H
#define HOSTLER_API_LIVE_ROWS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "api/api.h"
#include "base/buf.h"

/* Where a row comes from: a model, a download of what may become one, or both. Valid in this turn of the loop. */
struct live_source {
    struct model *model;            /* NULL: no model of that name is listed */
    struct downloads_item download; /* `repo` NULL: it is not being downloaded */
};

/* False: neither is there. O(1). */
bool live_rows_find(struct api *api, const char *id, struct live_source *out);

enum live_figure {
    LIVE_REQUESTS = 1,
    LIVE_WAITING = 2,
    LIVE_RATE = 4,
    LIVE_PROGRESS = 8,
    LIVE_IDLE = 16,
    LIVE_MEMORY = 32,
    LIVE_DOWNLOAD = 64,
};

/* Rounded. Zeroed: nothing of it applies. */
struct live_figures {
    unsigned has;                        /* enum live_figure: which apply */
    unsigned requests;                   /* that its engine answers */
    unsigned waiting;                    /* requests */
    double rate;                         /* tokens a second, 3 digits */
    unsigned progress;                   /* of its load, percent */
    uint64_t last_used;                  /* uv_now(), ms: since when it is idle */
    uint32_t memory[MEMORY_DEVICES_MAX]; /* MiB */
    uint32_t done, total;                /* MiB of its download */
};

/* Appends the row's seldom changing part as JSON, without the object's end. The result is its hash. */
uint64_t live_rows_model(struct buf *out, struct api *api, const struct live_source *s);
void live_rows_figures(struct live_figures *out, struct api *api, const struct live_source *s);
/* Which of them changed enough to be sent: enum live_figure. */
unsigned live_rows_compare(const struct live_figures *sent, const struct live_figures *now);
/* Takes those over into `sent`. */
void live_rows_take(struct live_figures *sent, const struct live_figures *now, unsigned which);
/* Appends those as members, each after a comma; null for one that does not apply. */
void live_rows_write(struct buf *out, struct host *host, const struct live_figures *f,
                     unsigned which);
/* Whether its figures may change without any event that tells of it. */
bool live_rows_is_busy(const struct live_source *s, const struct live_figures *f);

/* The machine's devices, rounded to MiB. */
struct live_devices {
    size_t n;
    uint64_t version; /* of the cards */
    struct {
        uint32_t total, available, engines, budget;
        bool has_budget, gone;
    } device[MEMORY_DEVICES_MAX];
};

void live_rows_devices(struct live_devices *out, const struct host *host);
/* Whether `now` differs by so much that it is to be sent: 1 % of a device's memory. */
bool live_rows_devices_differ(const struct live_devices *sent, const struct live_devices *now);
/* {"devices":{…}} */
json_t *live_rows_devices_json(const struct live_devices *d, const struct host *host);
/* {"waiting","running","connections","models_next"}; `x`: an exchange of the server. O(models that wait), at most 8. */
json_t *live_rows_queue(struct api *api, const struct http_exchange *x);
/* What the server is and what the caller may do there. `started`: Unix time. */
json_t *live_rows_server(struct api *api, unsigned rights, double started);

#endif
