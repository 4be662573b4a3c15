/* SPDX-License-Identifier: MIT */
/*
 * Bodies of requests and answers, kept for people to look at while an operator has switched that on for a time. In memory only and
 * bounded; when it ends everything that was kept is freed. Off, it costs a request one comparison.
 */
#ifndef HOSTLER_API_CAPTURE_H
#define HOSTLER_API_CAPTURE_H

#include <jansson.h>

#include "api/request_log.h"
#include "base/buf.h"

struct capture;

#define CAPTURE_BODY_MAX ((size_t)1 << 20)            /* bytes of a body; the rest is cut off */
#define CAPTURE_ALL_MAX ((size_t)32 << 20)            /* of all; the oldest make way */
#define CAPTURE_TIME_MAX ((uint64_t)24 * 3600 * 1000) /* ms */

/* Of one request, in its record. */
struct captured {
    struct capture *capture;
    struct request_record *record;
    struct buf request, answer;
    bool request_cut, answer_cut; /* there was more */
    TAILQ_ENTRY(captured) link;
};

/* `changed`: it was switched on or off. */
struct capture *capture_create(struct host *host, struct request_log *log,
                               void (*changed)(void *ctx), void *ctx);
/* Its timer closes in a later turn of the loop. */
void capture_destroy(struct capture *c);

/* From now on; 0: no more, and what was kept is freed. `model`: an id: only that one's requests; NULL: all. */
void capture_set(struct capture *c, uint64_t ms, const char *model);
/* {"allowed","until","model"}; until: Unix time; null: off. */
json_t *capture_json(const struct capture *c);

/* A request has come, unless its key has opted out. */
void capture_begin(struct capture *c, struct request_record *e, const struct caller *caller);
/* Its model is known. */
void capture_named(struct request_record *e);
/* Of a record with `captured` only: bytes of its body, and of its answer's. */
void capture_request(struct captured *k, const char *data, size_t len);
void capture_answer(struct captured *k, const char *data, size_t len);

#endif
