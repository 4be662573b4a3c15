/* SPDX-License-Identifier: MIT */
#include "server/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/container_of.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/memory_reserve.h"
#include "base/strv.h"
#include "engine/children.h"
#include "server/access_log.h"
#include "server/descriptors.h"
#include "server/reload.h"

#define N_SIGNALS 3
#define FLUSH_STEP_MS 10     /* how often it is looked whether all answers are sent, at the end */
#define FLUSH_MAX_MS 5000    /* and for how long */
#define CLOSING_MAX_MS 15000 /* what is closed then, the last writes too, may take so long; */
#define LAST_WRITES_MS 1000  /* and where a driver is known to hang, this long */

struct daemon {
    const struct config *config;
    struct supervisor *supervisor;
    uv_loop_t loop;
    uv_signal_t signals[N_SIGNALS];
    uv_timer_t timer;     /* for the steps of the end */
    uint64_t flush_until; /* 0 before */
    uv_timer_t last;      /* ends the process where the loop cannot end by itself */
    struct host *host;
    struct refresh *refresh;
    struct host_listener first_load; /* classic mode, until the only model was ready once */
    uv_timer_t
        first_load_failed; /* in the turn after that: then it is known whether it is tried again */
    struct refresh_waiter reloaded; /* for SIGHUP */
    bool reloading;                 /* `reloaded` waits */
    struct reload reload;           /* of the log file and the certificate */
    bool reload_running;
    bool reload_again;         /* SIGHUP came while it ran */
    struct error reload_error; /* of the last reload: log file, certificate; empty: none */
    struct http_server *server;
    const struct daemon_api *handlers;
    void *api;
    unsigned end_requests; /* SIGTERM, SIGINT */
    bool closing;
    int status; /* of the process: 1 when an engine could not be ended, or the only model not loaded */
};

/* Of SIGTERM and SIGINT, once the loop takes them no more. */
static volatile sig_atomic_t signals_seen;

static const int signal_numbers[N_SIGNALS] = {SIGTERM, SIGINT, SIGHUP};

/* --- the end ------------------------------------------------------------------------------------
 */

static void on_last(uv_timer_t *timer)
{
    (void)timer;
    log_error("a file system or a driver does not answer: exits without waiting for it");
    access_log_stop();
    log_stop();
    _exit(1);
}

/* What hangs keeps a thread of the pool, which exit() would wait for, and the loop too. */
static void limit_end(struct daemon *d, uint64_t ms)
{
    uv_timer_start(&d->last, on_last, ms, 0);
}

static void on_host_closed(bool stuck, void *ctx)
{
    struct daemon *d = ctx;
    d->host = NULL;
    if (!stuck)
        return;
    log_error("the kernel or a driver still does not tell the memory figures");
    limit_end(d, LAST_WRITES_MS);
}

static void on_refresh_closed(void *ctx)
{
    struct daemon *d = ctx;
    host_close(d->host, on_host_closed, d);
}

static void on_turn(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    uv_close((uv_handle_t *)&d->timer, NULL);
    uv_close((uv_handle_t *)&d->first_load_failed, NULL);
    if (d->api)
        d->handlers->destroy(d->api);
    d->api = NULL;
    if (d->refresh)
        refresh_close(d->refresh, on_refresh_closed, d);
}

/* Goes on in the next turn of the loop: handles that requests began to close are closed then. */
static void on_server_closed(void *ctx)
{
    struct daemon *d = ctx;
    d->server = NULL;
    uv_timer_start(&d->timer, on_turn, 0, 0);
}

/* The last steps are short, except when a file system or a driver hangs: the third signal cuts them
 * off. Only async-signal-safe calls. */
static void on_late_signal(int signum)
{
    (void)signum;
    if (++signals_seen > 2)
        _exit(1);
}

/* No engine is left, or the wait is given up: closes every handle, so that the loop ends. */
static void daemon_close(struct daemon *d)
{
    if (d->closing)
        return;
    d->closing = true;
    limit_end(d, CLOSING_MAX_MS);
    supervisor_unwatch(d->supervisor);
    for (int i = 0; i < N_SIGNALS; i++) {
        uv_close((uv_handle_t *)&d->signals[i], NULL);
        signal(signal_numbers[i], signal_numbers[i] == SIGHUP ? SIG_IGN : on_late_signal);
    }
    if (d->server)
        http_server_close(d->server, on_server_closed, d);
    else
        on_server_closed(d);
}

/* Answers that are due, or still on their way to a slow reader, are waited for, a while. A request
 * that came in the meantime may have begun an operation: that uses all that is closed here. */
static void on_flush(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    bool flushing = http_server_busy(d->server) && uv_now(&d->loop) < d->flush_until;
    if (flushing || host_has_operations(d->host))
        uv_timer_start(&d->timer, on_flush, FLUSH_STEP_MS, 0);
    else
        daemon_close(d);
}

static void on_host_idle(void *ctx)
{
    struct daemon *d = ctx;
    if (host_log_stuck(d->host))
        d->status = 1;
    else
        log_info("all engines are gone");
    d->flush_until = uv_now(&d->loop) + FLUSH_MAX_MS;
    uv_timer_start(&d->timer, on_flush, 0, 0);
}

static void end(struct daemon *d, int signum)
{
    uint64_t drain = d->config->drain_timeout_ms;
    signals_seen = (int)++d->end_requests;
    if (d->end_requests == 1) {
        supervisor_tell(d->supervisor, "STOPPING=1", "finishes requests, then stops the engines");
        log_info("%s: stopping; %zu request%s in flight may take another %llu s", strsignal(signum),
                 http_server_busy(d->server), http_server_busy(d->server) == 1 ? "" : "s",
                 (unsigned long long)(drain / 1000));
        http_server_quiesce(d->server);
        host_shutdown(d->host, drain, on_host_idle, d);
        return;
    }
    if (d->end_requests > 2) {
        log_error("%s for the third time: exits, whatever is left", strsignal(signum));
        access_log_stop();
        log_stop();
        _exit(1);
    }
    log_warn("%s again: stopping at once", strsignal(signum));
    if (d->flush_until)
        d->flush_until = uv_now(&d->loop); /* no engine is left: slow readers are cut off */
    else
        host_shutdown(d->host, 0, on_host_idle, d);
}

/* --- the only model -----------------------------------------------------------------------------
 */

/* Whoever waits for it has been refused; what supervises the daemon learns of it by the exit status. */
static void on_first_load_failed(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    const struct model *m = host_at(d->host, 0);
    if (!m || model_waits(m) || model_instance(m) || d->end_requests)
        return;
    log_error("the only model could not be loaded: %s", m->outcome.failure);
    supervisor_tell(d->supervisor, "STOPPING=1", "%s", m->outcome.failure);
    d->status = 1;
    d->end_requests = 1;
    http_server_quiesce(d->server);
    host_shutdown(d->host, 0, on_host_idle, d);
}

static void on_only_model(struct host_listener *l, enum host_event event, struct model *m,
                          struct instance *i)
{
    struct daemon *d = container_of(l, struct daemon, first_load);
    (void)i;
    if (event == HOST_EV_READY || event == HOST_EV_SHUTDOWN) {
        host_unlisten(d->host, l);
        uv_timer_stop(&d->first_load_failed);
    } else if (event == HOST_EV_GONE && m->outcome.reason == OUTCOME_LOAD_FAILED) {
        uv_timer_start(&d->first_load_failed, on_first_load_failed, 0, 0);
    }
}

/* As llama-server: a server of one model ends when that cannot be loaded at the start. Later on it is tried again. */
static void watch_first_load(struct daemon *d)
{
    d->first_load.on_event = on_only_model;
    if (d->config->classic)
        host_listen(d->host, &d->first_load);
}

/* --- signals ------------------------------------------------------------------------------------
 */

static void use_identity(struct daemon *d, struct tls_identity *identity)
{
    if (tls_identity_has_expired(identity))
        log_warn("the certificate in %s has expired: clients will refuse it",
                 d->config->ssl_cert_file);
    http_server_secure(d->server, identity);
}

static int read_identity(struct daemon *d, struct error *err)
{
    struct tls_identity *identity;
    const struct config *c = d->config;
    if (!c->ssl_cert_file)
        return 0;
    int rc = tls_identity_load(&identity, c->ssl_cert_file, c->ssl_key_file, err);
    if (!rc)
        use_identity(d, identity);
    return rc;
}

static void tell_ready(const struct daemon *d)
{
    size_t n = catalog_count(host_catalog(d->host));
    const char *problem = refresh_problem(d->refresh);
    if (problem)
        supervisor_tell(d->supervisor, "READY=1", "the models stay as they were: %s", problem);
    else if (*d->reload_error.text)
        supervisor_tell(d->supervisor, "READY=1", "%s", d->reload_error.text);
    else
        supervisor_tell(d->supervisor, "READY=1", "serves %zu model%s", n, n == 1 ? "" : "s");
}

static void on_reloaded(struct refresh_waiter *w, const char *problem)
{
    struct daemon *d = container_of(w, struct daemon, reloaded);
    (void)problem;
    d->reloading = false;
    if (!d->end_requests)
        tell_ready(d);
}

static void note_reload_error(struct daemon *d, const struct error *err, const char *instead)
{
    log_error("%s; %s", err->text, instead);
    if (!*d->reload_error.text) /* the first one; the log has all */
        error_set(&d->reload_error, -EIO, "%s; %s", err->text, instead);
}

static void use_reloaded(struct daemon *d, struct reload *r)
{
    if (r->log_fd >= 0)
        log_to_fd(r->log_fd);
    else if (d->config->log_file)
        note_reload_error(d, &r->log_problem, "the log continues in the file that was open before");
    if (r->access_fd >= 0)
        access_log_to_fd(r->access_fd);
    else if (d->config->access_log)
        note_reload_error(d, &r->access_problem,
                          "the access log continues in the file that was open before");
    if (r->identity) {
        use_identity(d, r->identity);
        log_info("the certificate was read again");
    } else if (d->config->ssl_cert_file) {
        note_reload_error(d, &r->tls_problem, "the certificate that was read before stays in use");
    }
}

static void reload(struct daemon *d);

static void on_reload_done(struct reload *r)
{
    struct daemon *d = container_of(r, struct daemon, reload);
    d->reload_running = false;
    if (d->closing) { /* the server may be gone */
        if (r->log_fd >= 0)
            log_to_fd(r->log_fd);
        if (r->access_fd >= 0)
            access_log_to_fd(r->access_fd);
        tls_identity_destroy(r->identity);
        return;
    }
    use_reloaded(d, r);
    if (d->reloading) /* the running reading may have begun before this signal */
        refresh_leave(d->refresh, &d->reloaded);
    d->reloading = true;
    host_find_cards(d->host);
    refresh_request(d->refresh, &d->reloaded);
    if (d->reload_again)
        reload(d);
}

static void reload(struct daemon *d)
{
    d->reload_again = d->reload_running;
    if (d->reload_running)
        return;
    d->reload_error = (struct error){0};
    if (!d->end_requests)
        supervisor_tell_reloading(d->supervisor);
    d->reload_running = true;
    reload_start(&d->reload, &d->loop, d->config, on_reload_done);
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct daemon *d = handle->data;
    if (signum == SIGHUP)
        reload(d);
    else
        end(d, signum);
}

static void watch_signals(struct daemon *d)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file beyond ulimit -f: write() fails, as on a full disk */
    for (int i = 0; i < N_SIGNALS; i++) {
        uv_signal_init(&d->loop, &d->signals[i]);
        d->signals[i].data = d;
        uv_signal_start(&d->signals[i], on_signal, signal_numbers[i]);
    }
}

/* --- the beginning ------------------------------------------------------------------------------
 */

static void set_limits(struct daemon *d)
{
    const struct config *c = d->config;
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    limits.stall_ms = c->timeout_ms;
    limits.connections =
        descriptors_max_clients(c->max_connections, c->classic ? 1 : c->models_max);
    limits.held = http_limits_held(limits.connections);
    http_server_set_limits(d->server, &limits);
}

/* With several TCP addresses `::` is one of them, and does not stand for IPv4's as well: as
 * llama-server has it. */
static unsigned listen_flags(const struct config *c, const struct strv *hosts)
{
    unsigned tcp = 0;
    for (size_t i = 0; i < hosts->n; i++)
        tcp += !listener_means_unix(hosts->v[i]);
    return (tcp > 1 ? LISTENER_IPV6_ONLY : 0U) | (c->reuse_port ? LISTENER_REUSE_PORT : 0U);
}

static int adopt_all(struct daemon *d, struct error *err)
{
    int rc = 0;
    for (unsigned i = 0; i < d->supervisor->n_sockets && !rc; i++)
        rc = http_server_adopt(d->server, SUPERVISOR_FIRST_SOCKET + (int)i, err);
    return rc;
}

static int listen_all(struct daemon *d, struct error *err)
{
    struct strv hosts = {0};
    int rc = 0;
    if (d->supervisor->n_sockets)
        return adopt_all(d, err);
    strv_split(&hosts, d->config->host, ',');
    unsigned flags = listen_flags(d->config, &hosts);
    for (size_t i = 0; i < hosts.n && !rc; i++)
        rc = http_server_listen(d->server, hosts.v[i], d->config->port, flags, err);
    strv_finish(&hosts);
    return rc;
}

/* One line for each address. */
static void log_addresses(const struct daemon *d)
{
    const struct config *c = d->config;
    size_t n = catalog_count(host_catalog(d->host));
    char address[256];
    bool exposed;
    for (unsigned i = 0; http_server_address(d->server, i, address, sizeof address, &exposed);
         i++) {
        if (i == 0)
            log_info("hostler " HOSTLER_VERSION " serves %zu model%s%s%s on %s", n,
                     n == 1 ? "" : "s", c->api_prefix ? " below " : "",
                     c->api_prefix ? c->api_prefix : "", address);
        else
            log_info("and on %s", address);
        if (exposed && !c->api_keys.n)
            log_warn("no --api-key is set: whoever reaches %s can use it", address);
    }
    if (c->api_key_in_arguments)
        log_warn(
            "--api-key shows in the list of processes: use --api-key-file, or LLAMA_API_KEY in "
            "the environment");
}

/* Listens first, so that a port in use costs nothing; requests are answered from the next turn of
 * the loop on, when the models are known. */
static int daemon_start(struct daemon *d, const struct daemon_api *api, struct error *err)
{
    int rc = host_create(&d->host, &d->loop, d->config, err);
    if (rc)
        return rc;
    watch_first_load(d);
    d->refresh = refresh_create(d->host);
    d->handlers = api;
    d->reloaded.done = on_reloaded;
    d->api = api->create(d->host, d->refresh);
    d->server = http_server_create(&d->loop, api->handler, d->api);
    http_server_on_answer(d->server, api->add_fields);
    http_server_on_end(d->server, api->on_end);
    set_limits(d);
    rc = read_identity(d, err);
    if (!rc)
        rc = listen_all(d, err);
    if (!rc)
        rc = refresh_first(d->refresh, err);
    if (!rc)
        rc = descriptors_check(err);
    if (!rc) {
        log_addresses(d);
        api->listening(d->api, d->server);
        tell_ready(d);
    }
    return rc;
}

static int open_log(const struct config *config, struct error *err)
{
    int fd = config->log_file ? log_open(config->log_file, err) : -1;
    if (fd >= 0)
        log_to_fd(fd);
    if (config->log_file && fd < 0)
        return fd;
    fd = config->access_log ? log_open(config->access_log, err) : -1;
    if (fd >= 0)
        access_log_to_fd(fd);
    return config->access_log && fd < 0 ? fd : 0;
}

/* libuv aborts when it cannot grow its table of descriptors. */
static void *uv_allocate(size_t size)
{
    return mem_realloc(NULL, size);
}

static void *uv_allocate_zeroed(size_t n, size_t size)
{
    return mem_zalloc(n * size);
}

#define POOL_THREADS "16" /* libuv has 4: a disk that hangs holds up one for each file read there */

/* Before the loop's first work, which starts the pool; operators may have chosen a size. */
static void size_pool(void)
{
    setenv("UV_THREADPOOL_SIZE", POOL_THREADS, 0);
}

void daemon_prepare_memory(void)
{
    mem_tune();
    memory_reserve_init();
    json_text_init();
    tls_prepare_memory();
    uv_replace_allocator(uv_allocate, mem_realloc, uv_allocate_zeroed, free);
}

int daemon_run(const struct config *config, struct supervisor *supervisor,
               const struct daemon_api *api)
{
    struct daemon *d = mem_zalloc(sizeof *d);
    struct error err;
    d->config = config;
    d->supervisor = supervisor;
    size_pool();
    log_setup(config->log_level, config->log_format);
    descriptors_raise_limit();
    int rc = uv_loop_init(&d->loop);
    if (rc) {
        log_plain(LOG_ERROR, "hostler serve: cannot start the event loop: %s", uv_strerror(rc));
        free(d);
        return 1;
    }
    uv_timer_init(&d->loop, &d->timer);
    d->timer.data = d;
    uv_timer_init(&d->loop, &d->last);
    uv_unref((uv_handle_t *)&d->last); /* it does not keep the loop going */
    uv_timer_init(&d->loop, &d->first_load_failed);
    d->first_load_failed.data = d;
    children_reap(&d->loop);
    watch_signals(d);
    supervisor_watch(supervisor, &d->loop);
    log_start();
    rc = open_log(config, &err);
    if (!rc)
        rc = daemon_start(d, api, &err);
    if (rc) {
        log_plain(LOG_ERROR, "hostler serve: %s", err.text);
        supervisor_tell(supervisor, NULL, "%s", err.text);
        daemon_close(d);
    }
    uv_run(&d->loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&d->last, NULL);
    children_reap_end(&d->loop);
    uv_loop_close(&d->loop);
    int status = rc ? 1 : d->status;
    free(d);
    access_log_stop();
    log_stop();
    memory_reserve_finish();
    return status;
}
