/* SPDX-License-Identifier: MIT */
/*
 * What a request asks of a model, in the words of OpenTelemetry's conventions for generative AI (`gen_ai.operation.name`),
 * which leave other ones to us.
 */
#ifndef HOSTLER_API_OPERATION_H
#define HOSTLER_API_OPERATION_H

enum operation {
    OPERATION_CHAT,
    OPERATION_TEXT_COMPLETION,
    OPERATION_EMBEDDINGS,
    OPERATION_RERANK,
    OPERATION_TRANSCRIPTION,
    OPERATION_COUNT_TOKENS,
    OPERATION_OTHER,
    OPERATIONS
};

/* By the path of its route. */
enum operation operation_of(const char *route);
const char *operation_name(enum operation operation);

#endif
