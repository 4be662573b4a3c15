/* SPDX-License-Identifier: MIT */
/*
 * A stand-in for llama-server that costs next to nothing, so that what stands before it can be
 * measured: one thread, epoll. It has the command line, the child mode and the HTTP that a proxy
 * meets; its model is any file.
 *
 *     build/bench/engine --host PATH.sock | --port N [--host ADDRESS]
 *
 * GET anything           200 {"status":"ok"}
 * POST, no "stream":true  reads the body, answers 200 {"tokens":[…]} with its length
 * POST, "stream":true    an SSE stream of "n" events, "rate" of them a second (0: as fast as they are
 *                        taken), each with the time of its making: {"t":NANOSECONDS,…}. Both are
 *                        looked for in the body's first 4 KiB.
 *
 * Streams of one rate wait in one queue, so an event costs no search: a run uses few rates. When in
 * its period a stream has its turn depends on its number alone, and those of many are spread over it:
 * else streams that a proxy opened quickly would have their events at the same time, and the proxy
 * that was faster would look slower.
 */
#include <errno.h>
#include <llhttp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PEEK_MAX 4096
#define RATES_MAX 8
#define NEVER INT64_MAX
/* An event that is due so soon is waited for awake: a virtual machine's timer may be 8 ms late, and then all
 * that was due meanwhile would come in one go, and the queue of it be taken for the proxy's delay. */
#define AWAKE_NS 20000000

struct conn {
    int fd;
    bool waits_for_room; /* EPOLLOUT is asked for */
    bool keep_alive, streaming;
    llhttp_t parser;
    size_t body_len, peeked;
    unsigned long events_left;
    int64_t due;       /* of its next event, ns */
    struct rate *rate; /* NULL: as fast as it goes */
    TAILQ_ENTRY(conn) link;
    size_t unsent_len;
    char unsent[512]; /* of an event that the socket took a part of */
    char body[PEEK_MAX + 1];
};
TAILQ_HEAD(conns, conn);

/* Streams that have one event every `period`: those that come first are due first. */
struct rate {
    int64_t period;
    struct conns queue;
};

static int poller;
static struct rate rates[RATES_MAX];
static unsigned n_rates;
static llhttp_settings_t settings;
static const char filler[] = "\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":{"
                             "\"content\":\" word\"}}],\"created\":1700000000,"
                             "\"id\":\"chatcmpl-0123456789abcdef0123456789abcdef\",\"model\":"
                             "\"m1\",\"object\":\"chat.completion.chunk\"";

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* --- connections ---------------------------------------------------------------------------------- */

static void want(struct conn *c, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
}

static void conn_close(struct conn *c)
{
    if (c->streaming && c->rate)
        TAILQ_REMOVE(&c->rate->queue, c, link);
    close(c->fd);
    free(c);
}

/* False when the connection is gone. What the socket does not take waits for EPOLLOUT: a stream has
 * no further event made meanwhile. */
static bool conn_send(struct conn *c, const char *data, size_t len)
{
    ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) {
        conn_close(c);
        return false;
    }
    size_t sent = n < 0 ? 0 : (size_t)n;
    if (sent == len)
        return true;
    c->unsent_len = len - sent;
    memcpy(c->unsent, data + sent, c->unsent_len);
    c->waits_for_room = true;
    want(c, EPOLLIN | EPOLLOUT);
    return true;
}

/* --- streams -------------------------------------------------------------------------------------- */

static struct rate *rate_of(unsigned long per_second)
{
    int64_t period = 1000000000 / (int64_t)per_second;
    for (unsigned i = 0; i < n_rates; i++)
        if (rates[i].period == period)
            return &rates[i];
    if (n_rates == RATES_MAX)
        return &rates[RATES_MAX - 1];
    rates[n_rates].period = period;
    TAILQ_INIT(&rates[n_rates].queue);
    return &rates[n_rates++];
}

/* Most belong at the end. */
static void rate_insert(struct rate *r, struct conn *c)
{
    struct conn *before = TAILQ_LAST(&r->queue, conns);
    while (before && before->due > c->due)
        before = TAILQ_PREV(before, conns, link);
    if (before)
        TAILQ_INSERT_AFTER(&r->queue, before, c, link);
    else
        TAILQ_INSERT_HEAD(&r->queue, c, link);
}

static void stream_end(struct conn *c)
{
    if (c->rate)
        TAILQ_REMOVE(&c->rate->queue, c, link);
    c->streaming = false;
    if (conn_send(c, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n", 24))
        llhttp_resume(&c->parser);
}

/* One event, with the framing that llama-server gives it: a chunk. False when the stream is over. */
static bool stream_event(struct conn *c)
{
    char data[400], chunk[480];
    if (c->events_left-- == 0) {
        stream_end(c);
        return false;
    }
    int len = snprintf(data, sizeof data, "data: {\"t\":%lld,%s}\n\n", (long long)now_ns(), filler);
    int n = snprintf(chunk, sizeof chunk, "%x\r\n%s\r\n", (unsigned)len, data);
    return conn_send(c, chunk, (size_t)n);
}

static void stream_rush(struct conn *c)
{
    while (!c->waits_for_room && stream_event(c))
        ;
}

/* When a new stream has its first turn: in the period after this one. */
static int64_t first_due(const struct rate *r)
{
    static uint32_t streams;
    int64_t next = (now_ns() / r->period + 1) * r->period;
    /* Multiples of the golden ratio are spread evenly, however many there are. */
    return next + (int64_t)((double)(streams++ * 2654435769u) / 4294967296.0 * (double)r->period);
}

static void stream_begin(struct conn *c, unsigned long events, unsigned long per_second)
{
    static const char head[] =
        "HTTP/1.1 200 OK\r\nServer: llama.cpp\r\nContent-Type: text/event-stream\r\n"
        "Access-Control-Allow-Origin: \r\nTransfer-Encoding: chunked\r\n\r\n";
    c->streaming = true;
    c->events_left = events;
    c->rate = per_second ? rate_of(per_second) : NULL;
    if (c->rate) {
        c->due = first_due(c->rate);
        rate_insert(c->rate, c);
    }
    if (conn_send(c, head, sizeof head - 1) && !c->rate)
        stream_rush(c);
}

/* Makes what is due, and returns when the next one is. A stream whose reader is behind loses its
 * turn, not its place. */
static int64_t make_due_events(void)
{
    int64_t next = NEVER, now = now_ns();
    for (unsigned i = 0; i < n_rates; i++) {
        struct conn *c;
        while ((c = TAILQ_FIRST(&rates[i].queue)) && c->due <= now) {
            TAILQ_REMOVE(&rates[i].queue, c, link);
            c->due += rates[i].period;
            rate_insert(&rates[i], c);
            if (!c->waits_for_room)
                stream_event(c);
        }
        if (c && c->due < next)
            next = c->due;
    }
    return next;
}

/* --- requests ------------------------------------------------------------------------------------- */

static unsigned long number_in(const char *body, const char *key, unsigned long otherwise)
{
    const char *at = strstr(body, key);
    return at ? strtoul(at + strlen(key) + 1, NULL, 10) : otherwise;
}

static int on_message_begin(llhttp_t *p)
{
    struct conn *c = p->data;
    c->body_len = c->peeked = 0;
    return 0;
}

static int on_body(llhttp_t *p, const char *at, size_t len)
{
    struct conn *c = p->data;
    size_t n = len < PEEK_MAX - c->peeked ? len : PEEK_MAX - c->peeked;
    memcpy(c->body + c->peeked, at, n);
    c->peeked += n;
    c->body_len += len;
    return 0;
}

static int on_message_complete(llhttp_t *p)
{
    (void)p;
    return HPE_PAUSED;
}

/* The parser paused behind a request: nothing more is read of the connection until it is answered. */
static void conn_answer(struct conn *c)
{
    char head[256], body[128];
    c->keep_alive = llhttp_should_keep_alive(&c->parser);
    c->body[c->peeked] = '\0';
    if (strstr(c->body, "\"stream\":true")) {
        stream_begin(c, number_in(c->body, "\"n\"", 1000000000),
                     number_in(c->body, "\"rate\"", 10));
        return;
    }
    int len = c->parser.method == HTTP_POST
                  ? snprintf(body, sizeof body, "{\"tokens\":[%zu]}", c->body_len)
                  : snprintf(body, sizeof body, "{\"status\":\"ok\"}");
    int n = snprintf(
        head, sizeof head,
        "HTTP/1.1 200 OK\r\nServer: llama.cpp\r\nContent-Type: application/json; charset=utf-8\r\n"
        "Content-Length: %d\r\n%s\r\n%s",
        len, c->keep_alive ? "" : "Connection: close\r\n", body);
    if (conn_send(c, head, (size_t)n))
        llhttp_resume(&c->parser);
}

static void conn_read(struct conn *c)
{
    static char data[256 * 1024];
    ssize_t n = recv(c->fd, data, sizeof data, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 || c->streaming ||
        (llhttp_execute(&c->parser, data, (size_t)n) != HPE_OK &&
         llhttp_get_errno(&c->parser) != HPE_PAUSED)) {
        conn_close(c); /* a client that leaves its stream, or is none */
        return;
    }
    if (llhttp_get_errno(&c->parser) == HPE_PAUSED)
        conn_answer(c);
}

static void conn_written(struct conn *c)
{
    char data[sizeof c->unsent];
    size_t len = c->unsent_len;
    memcpy(data, c->unsent, len);
    c->unsent_len = 0;
    c->waits_for_room = false;
    if (!conn_send(c, data, len) || c->waits_for_room)
        return;
    want(c, EPOLLIN);
    if (c->streaming && !c->rate)
        stream_rush(c);
}

static void accept_all(int listener)
{
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct conn *c = calloc(1, sizeof *c);
        if (!c)
            die("calloc");
        c->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        llhttp_init(&c->parser, HTTP_REQUEST, &settings);
        c->parser.data = c;
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
    }
}

/* --- the process ---------------------------------------------------------------------------------- */

static int listen_on(const char *host, unsigned port)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    size_t len = strlen(host);
    bool is_unix = len > 5 && strcmp(host + len - 5, ".sock") == 0;
    int on = 1,
        fd = socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    snprintf(local.sun_path, sizeof local.sun_path, "%s", host);
    inet_pton(AF_INET, host, &in.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, is_unix ? (struct sockaddr *)&local : (struct sockaddr *)&in,
             is_unix ? sizeof local : sizeof in) ||
        listen(fd, 4096))
        die(host);
    return fd;
}

/* Its router closed the pipe or said `exit`: either way it ends. */
static void on_stdin(void)
{
    char line[256];
    if (read(STDIN_FILENO, line, sizeof line) <= 0)
        exit(1);
    exit(0);
}

static void run(int listener, bool child)
{
    struct epoll_event got[256], e = {.events = EPOLLIN, .data.fd = listener};
    static char listener_tag, stdin_tag;
    e.data.ptr = &listener_tag;
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);
    e.data.ptr = &stdin_tag;
    if (child)
        epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &e);
    for (;;) {
        int64_t next = make_due_events(), now = now_ns();
        struct timespec wait = {0, 0};
        if (next - now > AWAKE_NS)
            wait = (struct timespec){(next - now) / 1000000000, (next - now) % 1000000000};
        int n = epoll_pwait2(poller, got, 256, next == NEVER ? NULL : &wait, NULL);
        for (int i = 0; i < n; i++) {
            if (got[i].data.ptr == &listener_tag)
                accept_all(listener);
            else if (got[i].data.ptr == &stdin_tag)
                on_stdin();
            else if (got[i].events & EPOLLOUT)
                conn_written(got[i].data.ptr);
            else
                conn_read(got[i].data.ptr);
        }
    }
}

/* In the form that hostler reads: what it passes on must be listed. */
static const char help[] =
    "----- common params -----\n\n"
    "-m,    --model FNAME                    model path to load\n"
    "                                        (env: LLAMA_ARG_MODEL)\n"
    "-a,    --alias STRING                   model's names\n"
    "                                        (env: LLAMA_ARG_ALIAS)\n"
    "--host HOST                             address, or a path that ends in .sock\n"
    "                                        (env: LLAMA_ARG_HOST)\n"
    "--port PORT                             port\n"
    "                                        (env: LLAMA_ARG_PORT)\n"
    "--threads-http N                        connections served at once\n"
    "                                        (env: LLAMA_ARG_THREADS_HTTP)\n"
    "--slot-save-path PATH                   folder for files of slots\n"
    "                                        (env: LLAMA_ARG_SLOT_SAVE_PATH)\n";

int main(int argc, char **argv)
{
    const char *host = "127.0.0.1";
    unsigned port = 8080;
    bool child = getenv("LLAMA_SERVER_ROUTER_PORT");
    struct rlimit files;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0)
            return fputs(help, stdout) < 0;
        if (strcmp(argv[i], "--version") == 0)
            return puts("version: 0.0.0 (build 0, commit bench)\nbuilt with cc for any machine") <
                   0;
        if (i + 1 < argc && strcmp(argv[i], "--host") == 0)
            host = argv[++i];
        else if (i + 1 < argc && strcmp(argv[i], "--port") == 0)
            port = (unsigned)strtoul(argv[++i], NULL, 10);
    }
    signal(SIGPIPE, SIG_IGN);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    llhttp_settings_init(&settings);
    settings.on_message_begin = on_message_begin;
    settings.on_body = on_body;
    settings.on_message_complete = on_message_complete;
    poller = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_on(host, port);
    if (child) {
        puts("cmd_child_to_router:state:{\"state\":\"ready\",\"payload\":{}}");
        fflush(stdout);
    }
    run(listener, child);
}
