/* SPDX-License-Identifier: MIT */
#include "api/operation.h"

#include <stddef.h>
#include <string.h>

enum operation operation_of(const char *route)
{
    /* The first part that the path has: `/v1/messages/count_tokens` is no chat. */
    static const struct {
        const char *part;
        enum operation operation;
    } known[] = {
        {"_tokens", OPERATION_COUNT_TOKENS},   {"/control", OPERATION_OTHER},
        {"chat/completions", OPERATION_CHAT},  {"messages", OPERATION_CHAT},
        {"responses", OPERATION_CHAT},         {"completion", OPERATION_TEXT_COMPLETION},
        {"infill", OPERATION_TEXT_COMPLETION}, {"embedding", OPERATION_EMBEDDINGS},
        {"rerank", OPERATION_RERANK},          {"transcriptions", OPERATION_TRANSCRIPTION},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strstr(route, known[i].part))
            return known[i].operation;
    return OPERATION_OTHER;
}

const char *operation_name(enum operation operation)
{
    static const char *const names[] = {
        [OPERATION_CHAT] = "chat",
        [OPERATION_TEXT_COMPLETION] = "text_completion",
        [OPERATION_EMBEDDINGS] = "embeddings",
        [OPERATION_RERANK] = "rerank",
        [OPERATION_TRANSCRIPTION] = "transcription",
        [OPERATION_COUNT_TOKENS] = "count_tokens",
        [OPERATION_OTHER] = "other",
    };
    return names[operation];
}
