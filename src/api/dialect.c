/* SPDX-License-Identifier: MIT */
#include "api/dialect.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/reply.h"

static char *end_stream(json_t *error)
{
    char *frame = NULL;
    json_t *event = json_object();
    json_object_set(event, "error", error);
    char *text = json_dumps(event, JSON_COMPACT);
    if (asprintf(&frame, "\n\ndata: %s\n\n", text ? text : "{}") < 0)
        frame = NULL;
    free(text);
    json_decref(event);
    return frame;
}

const struct api_dialect dialect_openai = {.refuse = reply_error_json, .end_stream = end_stream};
