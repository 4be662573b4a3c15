/* SPDX-License-Identifier: MIT */
/* Asks llama-fit-params (engine/fit) what models take, one after the other, in the thread pool. */
#ifndef HOSTLER_SERVER_FITTER_H
#define HOSTLER_SERVER_FITTER_H

#include <stdbool.h>
#include <uv.h>

#include "engine/llama/fit.h"

struct fitter;

/* `fit` is NULL when there is no answer: `why` says why not. Not called from inside fitter_ask(). */
typedef void fitter_told(const struct fit *fit, const char *why, void *ctx);

struct fitter *fitter_create(uv_loop_t *loop, const char *engine);
enum fitter_turn {
    FITTER_FIRST, /* a load waits for it */
    FITTER_LAST,  /* somebody is curious: behind all others, and refused when there are many */
};

/* Copies `args` and `env`; the options that they point to must live on. False when it is refused:
 * nobody is told. */
bool fitter_ask(struct fitter *f, const struct engine_args *args, const struct strv *env,
                enum fitter_turn turn, fitter_told *told, void *ctx);
/* Nobody with this `ctx` is told any more. */
void fitter_forget(struct fitter *f, const void *ctx);
/* Nobody is told any more; it is freed when the loop has ended what runs. */
void fitter_close(struct fitter *f);

#endif
