/* SPDX-License-Identifier: MIT */
/*
 * Clients by the thousand, and what they cost the server: one thread, epoll.
 *
 *     build/bench/load streams --to PORT --connections N [--stalled K] [--rate R] [--seconds S] [--pid P]…
 *     build/bench/load idle    --to PORT --connections N [--seconds S] [--pid P]…
 *
 * streams  N clients read a stream of R events a second each (bench/engine.c), K more ask for one
 *          without a limit and never read. An event's delay is the time from its making to its
 *          reading here; both clocks are the machine's.
 * idle     N clients ask once and keep their connection.
 *
 * Of the processes P: time on a processor (user and system) in the S seconds after all are there, and
 * how much their memory (Pss) grew since the first client was served. Prints one JSON object.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define OPENING_MAX 64 /* connections that have not had a byte yet */
#define PIDS_MAX 16
#define DELAYS 2000000 /* µs; what takes longer counts as that */
#define SETTLE_NS 1000000000
#define PATIENCE_NS 60000000000

struct client {
    int fd;
    bool stalled, answered;
    unsigned matched; /* bytes of `stamp` */
    int64_t made;     /* digits read so far, -1: in none */
};

static struct {
    bool idle;
    unsigned port, connections, stalled, rate;
    double seconds;
    const char *model;
    int pids[PIDS_MAX];
    unsigned n_pids;
} opt = {.connections = 1000, .rate = 10, .seconds = 5, .model = "m1"};

static const char stamp[] = "{\"t\":";
static int poller;
static struct client *clients;
static unsigned n_opened, n_answered, n_lost;
static bool counting;
static uint64_t n_events;
static uint32_t delays[DELAYS + 1];

static void fail(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* --- the server's costs --------------------------------------------------------------------------- */

/* Nanoseconds on a processor of all threads; schedstat's first figure (Documentation/scheduler). */
static uint64_t cpu_of(int pid)
{
    char path[64];
    uint64_t sum = 0;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *dir = opendir(path);
    struct dirent *d;
    while (dir && (d = readdir(dir))) {
        char file[400];
        unsigned long long ns = 0;
        snprintf(file, sizeof file, "%s/%s/schedstat", path, d->d_name);
        FILE *f = d->d_name[0] == '.' ? NULL : fopen(file, "r");
        if (f && fscanf(f, "%llu", &ns) == 1)
            sum += ns;
        if (f)
            fclose(f);
    }
    if (dir)
        closedir(dir);
    return sum;
}

static uint64_t kib_of(int pid)
{
    char path[64], line[256];
    unsigned long long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "Pss: %llu", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib;
}

static uint64_t sum_of(uint64_t (*figure)(int))
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < opt.n_pids; i++)
        sum += figure(opt.pids[i]);
    return sum;
}

/* --- clients -------------------------------------------------------------------------------------- */

static void lose(struct client *c)
{
    n_lost++;
    close(c->fd);
    c->fd = -1;
}

static size_t write_request(const struct client *c, char *out, size_t size)
{
    char body[256];
    int len = opt.idle
                  ? snprintf(body, sizeof body, "{\"model\":\"%s\",\"content\":\"x\"}", opt.model)
                  : snprintf(body, sizeof body,
                             "{\"model\":\"%s\",\"stream\":true,\"rate\":%u,"
                             "\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}",
                             opt.model, c->stalled ? 0 : opt.rate);
    return (size_t)snprintf(
        out, size,
        "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Content-Length: %d\r\n\r\n%s",
        opt.idle ? "/tokenize" : "/v1/chat/completions", len, body);
}

static void client_open(struct client *c, bool stalled)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port)};
    char request[512];
    int on = 1, little = 4096;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *c = (struct client){.stalled = stalled, .made = -1};
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        fail("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (stalled)
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to))
        fail("connect");
    size_t len = write_request(c, request, sizeof request);
    if (send(c->fd, request, len, MSG_NOSIGNAL) != (ssize_t)len)
        fail("send");
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e);
    n_opened++;
}

static void note_event(int64_t made, int64_t now)
{
    int64_t us = (now - made) / 1000;
    n_events++;
    delays[us < 0 ? 0 : us > DELAYS ? DELAYS : us]++;
}

/* Looks for the times in what came; the cuts may fall anywhere. */
static void scan(struct client *c, const char *data, size_t len, int64_t now)
{
    for (size_t i = 0; i < len; i++) {
        if (c->made >= 0 && data[i] >= '0' && data[i] <= '9') {
            c->made = c->made * 10 + (data[i] - '0');
            continue;
        }
        if (c->made >= 0 && counting)
            note_event(c->made, now);
        c->made = -1;
        c->matched = data[i] == stamp[c->matched] ? c->matched + 1 : data[i] == stamp[0];
        if (c->matched < sizeof stamp - 1)
            continue;
        c->matched = 0;
        c->made = 0;
    }
}

static void client_read(struct client *c)
{
    static char data[64 * 1024];
    if (c->stalled) { /* its answer has begun, and that is all it wants to know */
        epoll_ctl(poller, EPOLL_CTL_DEL, c->fd, NULL);
        n_answered++;
        return;
    }
    ssize_t n = recv(c->fd, data, sizeof data, 0);
    if (n <= 0 || (!c->answered && (n < 12 || memcmp(data, "HTTP/1.1 200", 12) != 0))) {
        if (n > 0)
            fprintf(stderr, "load: %.*s\n", (int)n, data);
        lose(c);
        return;
    }
    n_answered += !c->answered;
    c->answered = true;
    scan(c, data, (size_t)n, now_ns());
}

static void serve(int64_t until)
{
    struct epoll_event got[512];
    int64_t left = until - now_ns();
    int n = epoll_wait(poller, got, 512, left <= 0 ? 0 : (int)(left / 1000000) + 1);
    for (int i = 0; i < n; i++)
        client_read(got[i].data.ptr);
}

/* Opens clients up to the first `count`, a few at a time, and waits until each has an answer. */
static void open_to(unsigned count)
{
    int64_t end = now_ns() + PATIENCE_NS;
    while (n_answered + n_lost < count && now_ns() < end) {
        while (n_opened < count && n_opened - n_answered - n_lost < OPENING_MAX) {
            struct client *c = &clients[n_opened];
            client_open(c, n_opened >= opt.connections);
        }
        serve(now_ns() + 100000000);
    }
}

/* --- the run -------------------------------------------------------------------------------------- */

static unsigned percentile(double part)
{
    uint64_t below = 0;
    for (unsigned us = 0; us <= DELAYS; us++) {
        below += delays[us];
        if (n_events && (double)below >= part * (double)n_events)
            return us;
    }
    return 0;
}

static void serve_for(int64_t ns)
{
    int64_t end = now_ns() + ns;
    while (now_ns() < end)
        serve(end);
}

static void run(void)
{
    unsigned all = opt.connections + opt.stalled;
    open_to(1);
    uint64_t kib = sum_of(kib_of);
    open_to(all);
    serve_for(SETTLE_NS);
    uint64_t cpu = sum_of(cpu_of);
    int64_t begin = now_ns();
    counting = true;
    serve_for((int64_t)(opt.seconds * 1e9));
    counting = false;
    double elapsed = (double)(now_ns() - begin) / 1e9;
    double spent = (double)(sum_of(cpu_of) - cpu) / 1e3;
    double grown = (double)sum_of(kib_of) - (double)kib;
    printf("{\"clients\":%u,\"answered\":%u,\"lost\":%u,\"seconds\":%.3f,\"events\":%llu,\"cpu_"
           "us\":%.1f,"
           "\"cpu_us_per_event\":%.3f,\"p50_us\":%u,\"p99_us\":%u,\"max_us\":%u,\"kib_per_client\":"
           "%.2f}\n",
           all, n_answered, n_lost, elapsed, (unsigned long long)n_events, spent,
           n_events ? spent / (double)n_events : 0, percentile(0.5), percentile(0.99),
           percentile(1), all > 1 ? grown / (all - 1) : 0);
}

static void usage(void)
{
    fputs("usage: load streams|idle --to PORT [--connections N] [--stalled K] [--rate R] "
          "[--seconds S]\n"
          "            [--model NAME] [--pid P]…\n",
          stderr);
    exit(2);
}

static void parse(int argc, char **argv)
{
    if (argc < 2 || (strcmp(argv[1], "streams") != 0 && strcmp(argv[1], "idle") != 0))
        usage();
    opt.idle = strcmp(argv[1], "idle") == 0;
    for (int i = 2; i < argc; i += 2) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        unsigned number = (unsigned)strtoul(value, NULL, 10);
        if (strcmp(name, "--to") == 0)
            opt.port = number;
        else if (strcmp(name, "--connections") == 0)
            opt.connections = number;
        else if (strcmp(name, "--stalled") == 0)
            opt.stalled = number;
        else if (strcmp(name, "--rate") == 0)
            opt.rate = number;
        else if (strcmp(name, "--seconds") == 0)
            opt.seconds = strtod(value, NULL);
        else if (strcmp(name, "--model") == 0)
            opt.model = value;
        else if (strcmp(name, "--pid") == 0 && opt.n_pids < PIDS_MAX)
            opt.pids[opt.n_pids++] = (int)number;
        else
            usage();
    }
    if (!opt.port || !opt.connections)
        usage();
}

int main(int argc, char **argv)
{
    struct rlimit files;
    parse(argc, argv);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    poller = epoll_create1(EPOLL_CLOEXEC);
    clients = calloc(opt.connections + opt.stalled, sizeof *clients);
    if (poller < 0 || !clients)
        fail("setup");
    run();
    return n_lost != 0;
}
