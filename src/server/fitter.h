/* SPDX-License-Identifier: MIT */
/* Precise estimates of what models take: runs the kinds' dry runs (engine/estimate.h) in the thread pool,
 * one after the other. */
#ifndef HOSTLER_SERVER_FITTER_H
#define HOSTLER_SERVER_FITTER_H

#include <stdbool.h>
#include <uv.h>

#include "engine/kind.h"

struct fitter;

/* `result` is NULL if there is none: then `why` says why. Never called from inside fitter_ask(). */
typedef void fitter_done(const struct engine_estimate *result, const char *why, void *ctx);

struct fitter *fitter_create(uv_loop_t *loop);
enum fitter_turn {
    FITTER_URGENT, /* a load waits for it */
    FITTER_LATER,  /* after all urgent ones; refused when there are many */
};

/* `program` is one whose kind has a dry run, and must outlive the fitter. Copies the question. False: it is
 * refused, and `done` is not called. */
bool fitter_ask(struct fitter *f, const struct engine_program *program,
                const struct engine_question *q, enum fitter_turn turn, fitter_done *done,
                void *ctx);
/* `done` is not called any more for this `ctx`. */
void fitter_cancel(struct fitter *f, const void *ctx);
/* No `done` is called any more; it is freed when the loop has ended what runs. */
void fitter_close(struct fitter *f);

#endif
