/* SPDX-License-Identifier: MIT */
/*
 * A message's body on its way through transforms to a sink: an answer that is translated while it
 * streams, for example. A transform sees chunks, never a whole body; how the bytes are cut into chunks
 * means nothing. No sockets are known here.
 *
 * Bounds: pipeline_push() is synchronous, so the caller holds the source back by not pushing while its
 * sink is full. What a push may bring to any stage or to the sink is at most PIPELINE_OUT_MAX bytes, and
 * what a transform holds back it keeps in a buffer with a ceiling of its own.
 *
 * A message without transforms does not need a pipeline: its bytes pass untouched.
 */
#ifndef HOSTLER_MESSAGE_PIPELINE_H
#define HOSTLER_MESSAGE_PIPELINE_H

#include <stddef.h>

#define PIPELINE_STAGES_MAX 4
#define PIPELINE_OUT_MAX ((size_t)1024 * 1024)

struct message_out;

/* A kind of transform. Its functions return 0, or a negative errno that fails the message. */
struct message_transform {
    const char *name;  /* for the log */
    size_t state_size; /* bytes, which are zeroed before `init` */
    int (*init)(void *state, const void *options);
    int (*chunk)(void *state, const char *data, size_t len, struct message_out *out);
    /* The body is complete: what was held back must go now. NULL: nothing to do. */
    int (*end)(void *state, struct message_out *out);
    /* Frees what the state holds. NULL: nothing. */
    void (*finish)(void *state);
};

/* Takes what comes of the message. 0 or a negative errno. */
typedef int message_sink(void *ctx, const char *data, size_t len);

struct pipeline_stage {
    const struct message_transform *transform;
    const void *options;
    void *state;
    size_t budget; /* bytes that the current push may still bring after this stage */
};

/* Embedded by the message's owner. */
struct pipeline {
    struct pipeline_stage stage[PIPELINE_STAGES_MAX];
    unsigned n;
    message_sink *sink;
    void *ctx;
    int error; /* the first; nothing passes after it */
};

void pipeline_init(struct pipeline *p, message_sink *sink, void *ctx);
/* Adds a stage after those there are; `options` must outlive it. 0, -ENOMEM, -ENOSPC (too many), or what its `init` returns. */
int pipeline_add(struct pipeline *p, const struct message_transform *t, const void *options)
    __attribute__((warn_unused_result));
/* Begins anew, with the same stages, for the same message or another one. 0, or what an `init` returns. */
int pipeline_restart(struct pipeline *p) __attribute__((warn_unused_result));
/* 0, or the error that fails the message: also for every later call. */
int pipeline_push(struct pipeline *p, const char *data, size_t len)
    __attribute__((warn_unused_result));
int pipeline_end(struct pipeline *p) __attribute__((warn_unused_result));
/* Safe for a zeroed one. */
void pipeline_finish(struct pipeline *p);

/* For transforms: `data` goes to the next stage, or to the sink. -ENOBUFS: too much of one push. */
int message_emit(struct message_out *out, const char *data, size_t len)
    __attribute__((warn_unused_result));

#endif
