/* SPDX-License-Identifier: MIT */
#include "engine/llama/protocol.h"

#include <errno.h>
#include <string.h>

static const char prefix[] = "cmd_child_to_router:state:";

static int type_from_name(const char *name, enum engine_report_type *out)
{
    static const struct {
        const char *name;
        enum engine_report_type type;
    } states[] = {
        {"loading", ENGINE_REPORT_LOADING},
        {"ready", ENGINE_REPORT_READY},
        {"sleeping", ENGINE_REPORT_SLEEPING},
        {"downloading", ENGINE_REPORT_DOWNLOADING},
    };
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        if (strcmp(name, states[i].name) == 0) {
            *out = states[i].type;
            return 0;
        }
    }
    return -EBADMSG;
}

/* The last report of a download says how it ended. */
static void take_result(struct engine_report *out, const json_t *payload)
{
    const char *result = json_string_value(json_object_get(payload, "result"));
    if (out->type == ENGINE_REPORT_DOWNLOADING && result)
        out->type = strcmp(result, "download_finished") == 0 ? ENGINE_REPORT_DOWNLOADED
                                                             : ENGINE_REPORT_NOT_DOWNLOADED;
}

int llama_protocol_parse(const char *line, size_t len, struct engine_report *out)
{
    const size_t head = sizeof prefix - 1;
    if (len < head || memcmp(line, prefix, head) != 0)
        return -ENOMSG;
    json_t *report = json_loadb(line + head, len - head, 0, NULL);
    const char *name = json_string_value(json_object_get(report, "state"));
    int rc = name ? type_from_name(name, &out->type) : -EBADMSG;
    if (rc == 0) {
        json_t *payload = json_object_get(report, "payload");
        out->payload = json_is_object(payload) ? json_incref(payload) : NULL;
        take_result(out, out->payload);
    }
    json_decref(report);
    return rc;
}
