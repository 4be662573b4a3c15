/* SPDX-License-Identifier: MIT */
#include "engine/llama/protocol.h"

#include <errno.h>
#include <string.h>

static const char prefix[] = "cmd_child_to_router:state:";

static int state_from_name(const char *name, enum protocol_state *out)
{
    static const char *const names[] = {
        [PROTOCOL_LOADING] = "loading",
        [PROTOCOL_READY] = "ready",
        [PROTOCOL_SLEEPING] = "sleeping",
        [PROTOCOL_DOWNLOADING] = "downloading",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) {
            *out = (enum protocol_state)i;
            return 0;
        }
    }
    return -EBADMSG;
}

int protocol_parse(const char *line, size_t len, struct protocol_report *out)
{
    const size_t head = sizeof prefix - 1;
    if (len < head || memcmp(line, prefix, head) != 0)
        return -ENOMSG;
    if (len > PROTOCOL_LINE_MAX)
        return -EBADMSG;
    json_t *report = json_loadb(line + head, len - head, 0, NULL);
    const char *name = json_string_value(json_object_get(report, "state"));
    int rc = name ? state_from_name(name, &out->state) : -EBADMSG;
    if (rc == 0) {
        json_t *payload = json_object_get(report, "payload");
        out->payload = json_is_object(payload) ? json_incref(payload) : NULL;
    }
    json_decref(report);
    return rc;
}
