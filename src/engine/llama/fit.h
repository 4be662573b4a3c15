/* SPDX-License-Identifier: MIT */
/*
 * llama.cpp's own estimate: `llama-fit-params` with `--fit-print on`, which loads nothing and answers
 * in 0.1 to 0.5 s. It is beside llama-server in llama.cpp's releases, and in Debian's package
 * llama.cpp-tools-extra.
 */
#ifndef HOSTLER_ENGINE_LLAMA_FIT_H
#define HOSTLER_ENGINE_LLAMA_FIT_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "engine/estimate.h"

#define FIT_DEVICES_MAX 16

struct fit_device {
    char name[16];                    /* `Host`, `CUDA0`, … */
    uint64_t model, context, compute; /* bytes */
};

struct fit {
    size_t n;
    struct fit_device device[FIT_DEVICES_MAX];
};

/* The three together, as the kind's dry run. */
extern const struct engine_dry_run llama_fit;

/* Beside `engine`, or beside what that links to, or on PATH; NULL: there is none. The caller frees. */
char *fit_find(const char *engine);
/* The options that it takes, from its `--help`. Blocking: some 20 ms. */
int fit_options(struct engine_options **out, const char *program, struct error *err)
    __attribute__((warn_unused_result));
/* Blocking. Passes those of `args` that are among `options`: what it does not take changes no memory.
 * `env` as for engine_start(). */
int fit_run(struct fit *out, const char *program, const struct engine_options *options,
            const struct engine_args *args, const struct strv *env, struct error *err)
    __attribute__((warn_unused_result));
/* From what it prints: a line a device, `NAME model context compute`, in MiB. -EPROTO: no such line. */
int fit_parse(struct fit *out, const char *text, struct error *err)
    __attribute__((warn_unused_result));

#endif
