/* SPDX-License-Identifier: MIT */
/*
 * Removes saved prompts on an operator's word: the files of the store, and what running engines know of them, so that they save again what
 * their slots still hold. Models that were left alone, because saving or restoring failed, are tried again (prompt_trust.h). Several models make one operation, whose end tells what was removed.
 */
#ifndef HOSTLER_SERVER_FORGET_H
#define HOSTLER_SERVER_FORGET_H

#include <stdbool.h>
#include <stdint.h>

struct forget;
struct host;

struct forgotten {
    uint64_t files, bytes;
    int rc; /* the first error of the disk: then files may be left, which nothing finds until the next start */
};

typedef void forget_done(const struct forgotten *result, void *ctx);

/* Keeps the host until its end. */
struct forget *forget_begin(struct host *host);
/* Those of the model of that id; NULL: all. They are not found any more when this returns. O(files). */
void forget_model(struct forget *f, const char *model);
/* Those of all models of which `keeps` is false. O(files × models that have some). */
void forget_others(struct forget *f, bool (*keeps)(const char *model, void *ctx), void *ctx);
/* `done` is called once their files are gone; also from within this call. Frees `f`. */
void forget_end(struct forget *f, forget_done *done, void *ctx);

#endif
