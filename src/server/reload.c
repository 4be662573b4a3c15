/* SPDX-License-Identifier: MIT */
#include "server/reload.h"

#include "base/log.h"

static void read_files(uv_work_t *work)
{
    struct reload *r = work->data;
    const struct config *c = r->config;
    if (c->log_file)
        r->log_fd = log_open(c->log_file, &r->log_problem);
    if (c->access_log)
        r->access_fd = log_open(c->access_log, &r->access_problem);
    if (c->ssl_cert_file &&
        tls_identity_load(&r->identity, c->ssl_cert_file, c->ssl_key_file, &r->tls_problem))
        r->identity = NULL;
}

static void on_read(uv_work_t *work, int status)
{
    struct reload *r = work->data;
    (void)status; /* nobody cancels it */
    r->done(r);
}

void reload_start(struct reload *r, uv_loop_t *loop, const struct config *config,
                  void (*done)(struct reload *r))
{
    *r = (struct reload){.config = config, .done = done, .log_fd = -1, .access_fd = -1};
    r->work.data = r;
    uv_queue_work(loop, &r->work, read_files, on_read);
}
