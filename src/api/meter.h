/* SPDX-License-Identifier: MIT */
/*
 * Counts what happens, from the daemon's start on: requests by model, how long they waited and took, tokens, loads and stops of
 * engines, exchanges by route. GET /metrics writes it (metrics.h). No count ever falls.
 *
 * A model has figures of its own once it was used; they outlast its record, and a reload. Memory is bounded, whatever clients
 * send: METER_MODELS_MAX models, then all others share those of `other`; names that no model has are `other` too.
 */
#ifndef HOSTLER_API_METER_H
#define HOSTLER_API_METER_H

#include <stddef.h>
#include <stdint.h>

#include "api/operation.h"
#include "api/request_log.h"
#include "base/hash.h"
#include "base/histogram.h"
#include "http/exchange.h"
#include "server/downloads.h"
#include "server/host.h"

#define METER_MODELS_MAX 1000
#define METER_ANSWERS_MAX 64     /* of a model: pairs of route and status */
#define METER_EXCHANGES_MAX 1024 /* routes, methods and statuses */
#define METER_TAGS 256           /* of exchanges */
#define METER_OTHER "other"
#define METER_OTHER_STATUS (-1)

/* Buckets of OpenTelemetry's conventions for generative AI, where they have some; seconds. */
extern const struct histogram_scale meter_queue_scale, meter_first_token_scale, meter_token_scale,
    meter_duration_scale, meter_load_scale;

enum meter_tokens {
    METER_INPUT,    /* of prompts, with those that were cached */
    METER_OUTPUT,   /* of answers */
    METER_CACHED,   /* of prompts: not computed, since the engine had them */
    METER_RESTORED, /* of these: restored from the prompt cache on the disk */
    METER_COMPUTED, /* of prompts: computed */
    METER_TOKENS,
};

enum meter_load { METER_READY, METER_FAILED, METER_CANCELLED, METER_LOADS };

/* Requests with the same answer. */
struct meter_answers {
    const char *route; /* static */
    enum operation operation;
    int status; /* 0: it got none; METER_OTHER_STATUS: of those that came last */
    uint64_t n;
};

struct meter_model {
    char *id;
    struct histogram queue, load;
    struct histogram first_token[OPERATIONS], token[OPERATIONS], duration[OPERATIONS];
    const char *provider; /* the engine's kind, static: `llama.cpp`; NULL: none answered yet */
    uint64_t tokens[METER_TOKENS];
    uint64_t loads[METER_LOADS];
    uint64_t stops[OUTCOME_NO_ROOM + 1]; /* by enum outcome_reason */
    struct meter_answers answers[METER_ANSWERS_MAX];
    unsigned n_answers;
    uint64_t spawned;               /* uv_now(), ms, while `loading` */
    const struct instance *loading; /* that is not ready yet; compared only */
    UT_hash_handle hh;
};

/* Exchanges with the same answer. */
struct meter_exchanges {
    unsigned tag;       /* http_exchange_set_tag(), by api/routes.c; 0: no route */
    const char *method; /* static; NULL: its route's */
    int status;
    uint64_t n;
};

/* A reason to refuse. */
struct meter_refusals {
    const char *reason; /* static */
    uint64_t n;
};

enum meter_download {
    METER_DOWNLOADED,
    METER_NOT_DOWNLOADED,
    METER_DOWNLOAD_CANCELLED,
    METER_DOWNLOADS
};

struct meter {
    struct host *host;
    struct request_log *requests;
    struct request_observer observer;
    struct host_listener listener;
    struct meter_model *by_id; /* a table */
    struct meter_model *last;  /* that was found last; NULL */
    struct meter_model *
        model[METER_MODELS_MAX + 1]; /* in the order in which they were used; model[0] is `other` */
    unsigned n_models;
    struct meter_exchanges exchanges[METER_EXCHANGES_MAX];
    unsigned n_exchanges;
    unsigned last_of_tag
        [METER_TAGS]; /* the index in `exchanges` of the last one that was counted, plus 1 */
    struct meter_refusals refusals[64];
    unsigned n_refusals;
    uint64_t downloads[METER_DOWNLOADS];
    uint64_t engines_silent,
        engines_refused; /* engines that did not tell their own figures when asked */
};

struct meter *meter_create(struct host *host, struct request_log *requests);
/* Before these two. */
void meter_destroy(struct meter *m);
/* An exchange is over. */
void meter_note_exchange(struct meter *m, const struct http_exchange *x,
                         const struct http_figures *figures);
void meter_note_download(struct meter *m, enum downloads_event event,
                         const struct downloads_item *item);
/* Gives models that run or wait figures of their own. O(models). */
void meter_take_models(struct meter *m);

#endif
