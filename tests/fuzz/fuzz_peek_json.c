/* SPDX-License-Identifier: MIT */
/* The peek's JSON scan: cuts do not matter, and what jansson reads it reads the same way. (Not the
 * other way round: jansson has limits on depth and numbers, and no byte order mark.) */
#include <jansson.h>

#include "peek_cuts.h"

/* What jansson says the answer is. */
static enum peek_result answer(json_t *root)
{
    json_t *model = json_object_get(root, "model");
    if (!model)
        return PEEK_MISSING;
    size_t len = json_string_length(model);
    if (!json_is_string(model) || !len || memchr(json_string_value(model), '\0', len))
        return PEEK_NOT_STRING;
    return len > PEEK_NAME_MAX ? PEEK_TOO_LONG : PEEK_FOUND;
}

static void compare(json_t *root, enum peek_result result, const struct peek *p)
{
    if (result != answer(root))
        abort();
    if (result == PEEK_FOUND &&
        strcmp(peek_model(p), json_string_value(json_object_get(root, "model"))) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *body = (const char *)data;
    enum peek_result result;
    struct peek *p = fuzz_cuts(NULL, body, size, &result);
    json_t *root = json_loadb(body, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    /* A zero byte behind a literal or a number gets lost in jansson, as if it were a blank. */
    if (root && size < PEEK_WINDOW && !memchr(body, '\0', size))
        compare(root, result, p);
    json_decref(root);
    peek_destroy(p);
    return 0;
}
