/* SPDX-License-Identifier: MIT */
/* Transforms that grow, shrink and hold back a message, and one that fails. */
#ifndef HOSTLER_TESTS_TRANSFORMS_TEST_H
#define HOSTLER_TESTS_TRANSFORMS_TEST_H

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "message/pipeline.h"

/* Each byte twice. */
static int twice_chunk(void *state, const char *data, size_t len, struct message_out *out)
{
    int rc = 0;
    (void)state;
    for (size_t i = 0; i < len && !rc; i++)
        rc = message_emit(out, (const char[]){data[i], data[i]}, 2);
    return rc;
}

/* Every second byte, wherever the chunks are cut. */
static int half_chunk(void *state, const char *data, size_t len, struct message_out *out)
{
    size_t *seen = state;
    int rc = 0;
    for (size_t i = 0; i < len && !rc; i++)
        if ((*seen)++ % 2 == 0)
            rc = message_emit(out, data + i, 1);
    return rc;
}

/* All of it at the end; at most `*options` bytes. */
static int hold_init(void *state, const void *options)
{
    buf_init(state, *(const size_t *)options);
    return 0;
}

static int hold_chunk(void *state, const char *data, size_t len, struct message_out *out)
{
    (void)out;
    return buf_append(state, data, len);
}

static int hold_end(void *state, struct message_out *out)
{
    struct buf *b = state;
    return message_emit(out, b->data, b->len);
}

static void hold_finish(void *state)
{
    buf_finish(state);
}

/* Fails at an `!`. */
static int strict_chunk(void *state, const char *data, size_t len, struct message_out *out)
{
    (void)state;
    return memchr(data, '!', len) ? -EBADMSG : message_emit(out, data, len);
}

static const struct message_transform twice = {.name = "twice", .chunk = twice_chunk};
static const struct message_transform half = {
    .name = "half", .state_size = sizeof(size_t), .chunk = half_chunk};
static const struct message_transform hold = {.name = "hold",
                                              .state_size = sizeof(struct buf),
                                              .init = hold_init,
                                              .chunk = hold_chunk,
                                              .end = hold_end,
                                              .finish = hold_finish};
static const struct message_transform strict = {.name = "strict", .chunk = strict_chunk};

#endif
