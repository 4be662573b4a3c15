/* SPDX-License-Identifier: MIT */
#include "api/names.h"

#include <stdlib.h>
#include <sys/time.h>

#include "api/reply.h"
#include "base/memory.h"
#include "http/target.h"

void names_unknown(struct api *api, struct http_exchange *x, int status, const char *name)
{
    const char *near = catalog_nearest(host_catalog(api->host), name);
    json_t *error;
    if (downloads_has(api->downloads, name)) {
        reply_error(x, 400, "model '%s' is still being downloaded", name);
        return;
    }
    char *message = near ? mem_printf("model '%s' not found; did you mean '%s'?", name, near)
                         : mem_printf("model '%s' not found", name);
    error = reply_error_object(status, message);
    free(message);
    reply_error_json(x, status, error, 0);
}

struct hosted *names_model(struct api *api, struct http_exchange *x, json_t *body)
{
    const char *name = json_string_value(json_object_get(body, "model"));
    if (!name && !host_config(api->host)->classic) {
        reply_error(x, 400, "model name is missing from the request");
        return NULL;
    }
    struct hosted *h = host_find(api->host, name);
    if (!h)
        names_unknown(api, x, 404, name);
    return h;
}

char *names_client(struct http_exchange *x)
{
    const char *target = http_exchange_target(x);
    const char *agent = http_head_get(http_exchange_head(x), "user-agent");
    return mem_printf("%s %.*s from %s%s%.80s%s", http_exchange_method(x),
                      (int)target_path_len(target), target, http_exchange_peer(x),
                      agent ? " (" : "", agent ? agent : "", agent ? ")" : "");
}

json_t *names_hold(const struct hosted *h)
{
    json_t *o = json_object();
    uint64_t now = uv_now(host_loop(h->host));
    uint64_t until = h->sched.held_until;
    struct timeval tv;
    gettimeofday(&tv, NULL);
    json_object_set_new(o, "model", reply_string(h->model->id));
    json_object_set_new(o, "until",
                        until == SCHED_NEVER
                            ? json_null()
                            : json_integer((json_int_t)tv.tv_sec +
                                           (json_int_t)((until > now ? until - now : 0) / 1000)));
    json_object_set_new(o, "reason", h->held_reason ? reply_string(h->held_reason) : json_null());
    json_object_set_new(o, "by", h->held_by ? reply_string(h->held_by) : json_null());
    return o;
}
