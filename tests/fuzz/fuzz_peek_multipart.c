/* SPDX-License-Identifier: MIT */
/* The peek's multipart scan. The first line of an input is the Content-Type, the rest the body. */
#include "peek_cuts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const char *newline = size ? memchr(text, '\n', size) : NULL;
    if (!newline)
        return 0;
    size_t len = (size_t)(newline - text);
    char *type = strndup(text, len);
    enum peek_result result;
    peek_destroy(fuzz_cuts(type, newline + 1, size - len - 1, &result));
    free(type);
    return 0;
}
