/* SPDX-License-Identifier: MIT */
/* GET /hostler/v1/requests: those that go on, and the last that are over (api/request_log.h). */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/query.h"
#include "api/reply.h"
#include "api/request_json.h"
#include "api/request_log.h"
#include "base/memory.h"
#include "http/target.h"

#define LIMIT 100 /* of an answer, unless more are asked for */

struct filter {
    char *model, *state;
    unsigned limit;
};

static bool matches(const struct request_record *e, const struct filter *f)
{
    return (!f->model || request_is_of(e, f->model)) &&
           (!f->state || strcmp(f->state, request_json_state(e)) == 0);
}

static int read_filter(struct api *api, struct http_exchange *x, struct filter *f)
{
    const char *target = http_exchange_target(x);
    f->limit = LIMIT;
    if (query_count(x, "limit", &f->limit))
        return -1;
    f->state = target_query(target, "state");
    if (f->state && strcmp(f->state, "waiting") != 0 && strcmp(f->state, "running") != 0 &&
        strcmp(f->state, "done") != 0) {
        reply_error(x, 400, "'state' must be waiting, running or done");
        return -1;
    }
    f->model = target_query(target, "model");
    const struct model *m = f->model ? host_find(api->host, f->model) : NULL;
    if (m) /* an alias */
        mem_replace(&f->model, m->entry->id);
    return 0;
}

/* O(requests): at most some thousand. */
void api_requests(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    const uint64_t now = uv_now(host_loop(api->host));
    const struct request_record *e = NULL;
    struct filter f = {0};
    (void)caller;
    if (!read_filter(api, x, &f)) {
        json_t *out = json_array();
        while (json_array_size(out) < f.limit && (e = request_log_next(api->requests, e)))
            if (matches(e, &f))
                json_array_append_new(out, request_json(e, now));
        reply_json(x, 200, json_pack("{s:o}", "requests", out));
    }
    free(f.model);
    free(f.state);
}
