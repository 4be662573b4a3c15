/* SPDX-License-Identifier: MIT */
#include "cli/peer/client.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/curl_library.h"
#include "base/memory.h"

#define BODY_MAX ((size_t)64 << 20)
#define CONNECT_TIMEOUT_MS 5000L

static const struct curl_library *lib; /* NULL until a client is created */

/* --- the client ---------------------------------------------------------------------------------
 */

struct client {
    const struct url *url;
    CURL *curl; /* client_do()'s; reused, and with it the connection */
    struct curl_slist *headers;
    CURLM *multi; /* NULL until client_start() */
    LIST_HEAD(, client_transfer) started;
};

/* A transfer that goes on. */
struct client_transfer {
    struct client *client;
    CURL *curl;
    const struct client_request *request;
    struct client_answer *answer;
    bool stopped;                 /* by a callback of ours */
    int failure;                  /* of the buffer */
    char detail[CURL_ERROR_SIZE]; /* what libcurl says, beyond its code */
    /* Of client_start() only: what the above points to, and whom to tell. */
    struct client_request own_request;
    struct client_answer own_answer;
    char *path, *body;
    client_done *done;
    LIST_ENTRY(client_transfer) link;
};

static int add_header(struct client *c, const char *line)
{
    struct curl_slist *more = lib->curl_slist_append(c->headers, line);
    if (!more)
        return -ENOMEM;
    c->headers = more;
    return 0;
}

static int add_headers(struct client *c, const char *key)
{
    int rc = add_header(c, "Content-Type: application/json");
    if (!rc)
        rc = add_header(c, "Expect:"); /* no round trip before a long prompt */
    if (!rc)
        rc = add_header(c, "User-Agent: hostler/" HOSTLER_VERSION);
    if (!rc && key) {
        char *line = mem_printf("Authorization: Bearer %s", key);
        rc = add_header(c, line);
        free(line);
    }
    return rc;
}

int client_create(struct client **out, const struct url *url, const char *key, struct error *err)
{
    *out = NULL;
    lib = curl_library_load(err);
    if (!lib)
        return -ELIBACC;
    /* Without TLS, its library need not be set up: that is half of a short command's time. */
    if (lib->curl_global_init(url->tls ? CURL_GLOBAL_SSL : CURL_GLOBAL_NOTHING))
        return error_set(err, -EIO, "libcurl does not start");
    struct client *c = mem_zalloc(sizeof *c);
    c->url = url;
    c->curl = lib->curl_easy_init();
    if (!c->curl || add_headers(c, key)) {
        client_destroy(c);
        return error_set(err, -ENOMEM, "libcurl is out of memory");
    }
    *out = c;
    return 0;
}

void client_destroy(struct client *c)
{
    if (!c)
        return;
    while (!LIST_EMPTY(&c->started)) // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it is taken out
        client_cancel(LIST_FIRST(&c->started));
    if (c->multi)
        lib->curl_multi_cleanup(c->multi);
    if (c->curl)
        lib->curl_easy_cleanup(c->curl);
    lib->curl_slist_free_all(c->headers);
    free(c);
}

static size_t on_data(char *data, size_t size, size_t n, void *ctx)
{
    struct client_transfer *t = ctx;
    size_t len = size * n;
    long status = 0;
    lib->curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    if (t->request->data && status == 200)
        t->stopped = t->request->data(data, len, t->request->ctx) != 0;
    else
        t->failure = buf_append(&t->answer->body, data, len);
    return t->stopped || t->failure ? 0 : len;
}

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    struct client_transfer *t = ctx;
    (void)a, (void)b, (void)c, (void)d;
    t->stopped = t->request->tick(t->request->ctx) != 0;
    return t->stopped;
}

/* The variable that names the certificates to trust in place of the system's: as for curl's own
 * command. */
static const char *trust_variable(void)
{
    const char *bundle = getenv("CURL_CA_BUNDLE");
    return bundle && *bundle ? "CURL_CA_BUNDLE" : "SSL_CERT_FILE";
}

static void set_where(CURL *curl, const struct url *url)
{
    const char *ca = getenv(trust_variable());
    if (url->socket)
        lib->curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, url->socket);
    if (url->loopback)
        lib->curl_easy_setopt(curl, CURLOPT_PROXY, "");
    if (url->tls && ca && *ca)
        lib->curl_easy_setopt(curl, CURLOPT_CAINFO, ca);
}

static void set_options(struct client_transfer *t)
{
    const struct client_request *r = t->request;
    const struct client *c = t->client;
    char *address = mem_printf("%s%s", c->url->base, r->path);
    lib->curl_easy_reset(t->curl);
    lib->curl_easy_setopt(t->curl, CURLOPT_URL, address);
    lib->curl_easy_setopt(t->curl, CURLOPT_ERRORBUFFER, t->detail);
    lib->curl_easy_setopt(t->curl, CURLOPT_HTTPHEADER, c->headers);
    lib->curl_easy_setopt(t->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    lib->curl_easy_setopt(t->curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    lib->curl_easy_setopt(t->curl, CURLOPT_TIMEOUT_MS, (long)r->timeout_ms);
    lib->curl_easy_setopt(t->curl, CURLOPT_TCP_KEEPALIVE, 1L);
    lib->curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, on_data);
    lib->curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
    if (r->body)
        lib->curl_easy_setopt(t->curl, CURLOPT_POSTFIELDS, r->body);
    lib->curl_easy_setopt(t->curl, CURLOPT_CUSTOMREQUEST, r->method);
    if (r->tick) {
        lib->curl_easy_setopt(t->curl, CURLOPT_NOPROGRESS, 0L);
        lib->curl_easy_setopt(t->curl, CURLOPT_XFERINFOFUNCTION, on_progress);
        lib->curl_easy_setopt(t->curl, CURLOPT_XFERINFODATA, t);
    }
    set_where(t->curl, c->url);
    free(address); /* libcurl has its own copy */
}

/* --- what went wrong ----------------------------------------------------------------------------
 */

static int not_reached(const struct client_transfer *t, const char *why, struct error *err)
{
    long os = 0;
    lib->curl_easy_getinfo(t->curl, CURLINFO_OS_ERRNO, &os);
    if (os == EACCES && t->client->url->socket)
        return error_set(err, -EACCES, "you may not open %s: %s", t->client->url->shown,
                         strerror((int)os));
    return error_set(err, -ECONNREFUSED, "nothing answers at %s: %s", t->client->url->shown,
                     os ? strerror((int)os) : why);
}

static int timed_out(const struct client_transfer *t, struct error *err)
{
    const struct client_request *r = t->request;
    const char *where = t->client->url->shown;
    double connected = 0;
    lib->curl_easy_getinfo(t->curl, CURLINFO_PRETRANSFER_TIME, &connected);
    if (connected <= 0)
        return error_set(err, -ECONNREFUSED, "nothing answers at %s: no connection in time", where);
    return error_set(err, -ETIMEDOUT, "%s did not answer %s %s within %u s", where, r->method,
                     r->path, r->timeout_ms / 1000);
}

static int not_secure(const struct client_transfer *t, CURLcode code, struct error *err)
{
    const char *where = t->client->url->shown;
    const char *why = *t->detail ? t->detail : lib->curl_easy_strerror(code);
    if (code == CURLE_SSL_CONNECT_ERROR && strstr(why, "wrong version number"))
        return error_set(err, -EPROTO,
                         "%s does not speak HTTPS: write http:// in place of https://", where);
    if (code == CURLE_SSL_CONNECT_ERROR)
        return error_set(err, -EPROTO, "no HTTPS with %s: %s; does it speak plain http://?", where,
                         why);
    if (code == CURLE_SSL_CACERT_BADFILE)
        return error_set(err, -ENOENT, "cannot use the certificates that %s names: %s",
                         trust_variable(), why);
    return error_set(err, -EACCES,
                     "the certificate of %s is not trusted: %s. If it is the right one, name it or "
                     "its issuer: %s=/path/cert.pem",
                     where, why, trust_variable());
}

static int explain(const struct client_transfer *t, CURLcode code, struct error *err)
{
    const char *why = lib->curl_easy_strerror(code), *where = t->client->url->shown;
    if (t->stopped)
        return error_set(err, -ECANCELED, "stopped");
    if (t->failure)
        return error_set(err, -EIO, "the answer of %s is too long", where);
    if (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST)
        return not_reached(t, code == CURLE_COULDNT_RESOLVE_HOST ? "there is no such host" : why,
                           err);
    if (code == CURLE_OPERATION_TIMEDOUT)
        return timed_out(t, err);
    if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CONNECT_ERROR ||
        code == CURLE_SSL_CACERT_BADFILE)
        return not_secure(t, code, err);
    if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY)
        return error_set(err, -EPROTO, "what answers at %s does not speak HTTP", where);
    if (code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR || code == CURLE_PARTIAL_FILE ||
        code == CURLE_SEND_ERROR)
        return error_set(err, -ECONNRESET, "%s broke off the connection: %s", where, why);
    return error_set(err, -EIO, "no answer from %s: %s", where, why);
}

/* What came of it: 0 and the status, or a negative errno and a text. */
static int settle(struct client_transfer *t, CURLcode code, struct error *err)
{
    long status = 0;
    const char *redirect = NULL;
    if (code)
        return explain(t, code, err);
    lib->curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    lib->curl_easy_getinfo(t->curl, CURLINFO_REDIRECT_URL, &redirect);
    t->answer->status = (int)status;
    t->answer->redirect = redirect ? mem_strdup(redirect) : NULL;
    return 0;
}

int client_do(struct client *c, const struct client_request *r, struct client_answer *a,
              struct error *err)
{
    struct client_transfer t = {.client = c, .curl = c->curl, .request = r, .answer = a};
    *a = (struct client_answer){0};
    buf_init(&a->body, BODY_MAX);
    set_options(&t);
    return settle(&t, lib->curl_easy_perform(c->curl), err);
}

void client_answer_finish(struct client_answer *a)
{
    buf_finish(&a->body);
    free(a->redirect);
    *a = (struct client_answer){0};
}

/* --- side by side -------------------------------------------------------------------------------
 */

struct client_transfer *client_start(struct client *c, const struct client_request *r,
                                     client_done *done)
{
    struct client_transfer *t = mem_zalloc(sizeof *t);
    t->client = c;
    t->path = mem_strdup(r->path);
    t->body = r->body ? mem_strdup(r->body) : NULL;
    t->own_request = *r;
    t->own_request.path = t->path;
    t->own_request.body = t->body;
    t->request = &t->own_request;
    t->answer = &t->own_answer;
    t->done = done;
    buf_init(&t->own_answer.body, BODY_MAX);
    if (!c->multi)
        c->multi = lib->curl_multi_init();
    t->curl = lib->curl_easy_init();
    if (!c->multi || !t->curl)
        mem_out();
    set_options(t);
    lib->curl_easy_setopt(t->curl, CURLOPT_PRIVATE, t);
    lib->curl_multi_add_handle(c->multi, t->curl);
    LIST_INSERT_HEAD(&c->started, t, link);
    return t;
}

/* It is in no list of libcurl's any more. */
static void transfer_destroy(struct client_transfer *t)
{
    lib->curl_easy_cleanup(t->curl);
    client_answer_finish(&t->own_answer);
    free(t->path);
    free(t->body);
    free(t);
}

void client_cancel(struct client_transfer *t)
{
    if (!t)
        return;
    LIST_REMOVE(t, link);
    lib->curl_multi_remove_handle(t->client->multi, t->curl);
    transfer_destroy(t);
}

static void finish(CURL *curl, CURLcode code)
{
    struct client_transfer *t = NULL;
    struct error err = {0};
    lib->curl_easy_getinfo(curl, CURLINFO_PRIVATE, &t);
    int rc = settle(t, code, &err);
    LIST_REMOVE(t, link);
    lib->curl_multi_remove_handle(t->client->multi, curl);
    t->done(t->request->ctx, rc, &t->own_answer, &err);
    transfer_destroy(t);
}

void client_wait(struct client *c, const int *fds, size_t n, unsigned timeout_ms)
{
    struct curl_waitfd extra[CLIENT_WAIT_MAX] = {0};
    int running, left;
    CURLMsg *m;
    for (size_t i = 0; i < n; i++)
        extra[i] = (struct curl_waitfd){.fd = fds[i], .events = CURL_WAIT_POLLIN};
    if (!c->multi)
        c->multi = lib->curl_multi_init();
    if (!c->multi)
        mem_out();
    lib->curl_multi_poll(c->multi, extra, (unsigned)n, (int)timeout_ms, NULL);
    lib->curl_multi_perform(c->multi, &running);
    while ((m = lib->curl_multi_info_read(c->multi, &left)))
        if (m->msg == CURLMSG_DONE)
            finish(m->easy_handle, m->data.result);
}
