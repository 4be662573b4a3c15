/* SPDX-License-Identifier: MIT */
/*
 * Fetches a model into the Hugging Face cache with the engine's own program (kind.h, `downloading`), so
 * that it fetches the files that it will load later. Like an engine it is killed when the daemon dies, and
 * belongs to the program's main thread.
 */
#ifndef HOSTLER_ENGINE_DOWNLOAD_H
#define HOSTLER_ENGINE_DOWNLOAD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "base/error.h"
#include "base/strv.h"
#include "engine/kind.h"

enum download_outcome {
    DOWNLOAD_DONE,
    /* The program reports that it has finished, but it fetched nothing: everything is in the cache already,
     * or there is no such repository, no right to it, or no hub. Only the cache shows which (cache_read()). */
    DOWNLOAD_NOTHING,
    DOWNLOAD_FAILED,
    DOWNLOAD_CANCELLED,
};

struct download_spec {
    const struct engine_kind *kind; /* one that has `downloading` */
    const char *repo;               /* `user/repo:TAG`, or without a tag the program's choice */
    const char *binary;             /* path of its program */
    const struct strv
        *env; /* NAME=VALUE, beside the clean environment and `hub_environment`; NULL: none */
};

struct download;

struct download_events {
    /* `done` of `total` bytes of the file `url` are fetched (total 0: not known). A model may have several
     * files, which are fetched in parallel. About ten times a second. */
    void (*progress)(struct download *d, const char *url, uint64_t done, uint64_t total, void *ctx);
    /* The process is gone. Last event; download_destroy() may be called from here. */
    void (*done)(struct download *d, enum download_outcome outcome, void *ctx);
};

/* Copies what it needs of `spec`. On error nothing is running. Events come from the loop only. */
int download_start(struct download **out, uv_loop_t *loop, const struct download_spec *spec,
                   const struct download_events *events, void *ctx, struct error *err)
    __attribute__((warn_unused_result));
/* Stops it; `done` follows within seconds, even if the hub does not answer. The program removes unfinished
 * files if it can; otherwise they stay in the cache, and the next download continues them. No-op if the
 * outcome is known already. */
void download_cancel(struct download *d);
/* Frees it. Only after `done`, or instead of waiting for it, as engine_destroy(). NULL-safe. */
void download_destroy(struct download *d);

const char *download_repo(const struct download *d);
pid_t download_pid(const struct download *d);
/* The last lines that it logged (at most `lines`), joined by newlines; the caller frees. */
char *download_log_tail(const struct download *d, size_t lines);
/* `done`, `nothing`, `failed` or `cancelled`. */
const char *download_outcome_name(enum download_outcome outcome);

#endif
